"""A mechanism of ours that is switched on outside of its target, as a backend.

Its target is held at the gate (external/gate.c), and that it is confined is seen from outside.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    LaunchError,
    Missing,
    Options,
    Plan,
    Unavailable,
)
from enforcer.mechanisms.preparing import (
    Arranged,
    Arranging,
    Ask,
    Event,
    Foreseeing,
    Met,
    Needs,
    PreparedMechanism,
    Stage,
)
from enforcer.policy.ast import Policy
from harness import process
from harness.backends import backend
from harness.model import VerdictKind
from harness.places.features import lacking

PREPARE_S = 60.0
_MACHINE = Missing(
    feature="a machine that is thrown away after each case",
    mend="it changes what holds for the whole machine: `harness run --backend NAME` makes one, "
    "`--arch x86_64` says of which architecture",
)


@dataclass(frozen=True)
class Prepared:
    """The backend of a mechanism."""

    enforcer: PreparedMechanism
    leaky: bool = False
    weakness: str = ""
    counts: bool = False
    usual: VerdictKind = VerdictKind.HELD

    @property
    def name(self) -> str:
        return self.enforcer.name

    @property
    def mechanism(self) -> str:
        return self.enforcer.name

    @property
    def needs(self) -> Needs:
        return self.enforcer.needs

    @property
    def held(self) -> bool:
        return self.needs.held

    @property
    def rooted(self) -> bool:
        return self.needs.rooted

    @property
    def logs(self) -> bool:
        return self.enforcer.logs

    @property
    def own(self) -> tuple[Path, ...]:
        """Nothing: it is all ours."""
        return ()

    @property
    def refusals(self) -> frozenset[int]:
        return self.enforcer.refusals

    def probe(self) -> tuple[Missing, ...]:
        """Of a machine that is not thrown away it is not asked what else it lacks."""
        return (_MACHINE,) if self.needs.machine else self.enforcer.probe()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return self.enforcer.cover(policy, abis)

    def compile(
        self, policies: Sequence[Policy], abis: Sequence[Abi], *, partial: bool = False
    ) -> Plan:
        """Raises Inexpressible for a rule of which nothing is enforced, unless `partial`."""
        try:
            return self.enforcer.compile(policies, abis, Options(partial=partial))
        except Inexpressible as error:
            if any(cover.extent is Extent.NONE for cover in error.covers):
                raise
            return self.enforcer.compile(policies, abis, Options(partial=True))

    def settle(self) -> None:
        """See PreparedMechanism.settle; of a kernel that lacks something nothing is asked."""
        if not self._missing():
            self.enforcer.settle()

    def _missing(self) -> list[Missing]:
        modules = [f"lsm:{name}" for name in self.needs.lsm]
        absent = lacking([*self.needs.features, *modules])
        missing = [Missing(feature=f"{name}: {why}") for name, why in absent.items()]
        return [*missing, *self.enforcer.probe()]

    @contextlib.contextmanager
    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> Iterator[Arranged]:
        """What its mechanism has done outside of the run, if anything; see Arranging."""
        self._check_machine(stage.disposable)
        if isinstance(self.enforcer, Foreseeing):
            self.enforcer.foresee(plan, stage, _run)
        if not isinstance(self.enforcer, Arranging):
            yield Arranged(plan=plan)
            return
        with self.enforcer.arrange(plan, ask, stage) as arranged:
            yield arranged

    def _check_machine(self, disposable: bool) -> None:
        if self.needs.machine and not disposable:
            raise Unavailable(f"{self.name} needs {_MACHINE.feature}: {_MACHINE.mend}")

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage) -> Iterator[Plan]:
        """Switched on as long as it is entered; see PreparedMechanism.prepare."""
        self._check_machine(stage.disposable)
        if not stage.walled:
            raise Unavailable(f"{self.name} needs a run with mounts of its own: root")
        if missing := self._missing():
            raise Unavailable("; ".join(map(_said, missing)))
        stage.state.mkdir(mode=0o755)
        if not stage.denied.is_file():
            stage.beside.write_text("a probe\n", encoding="ascii")
            os.chown(stage.beside, stage.uid, stage.gid)
        with self.enforcer.prepare(plan, stage, _run) as prepared:
            yield prepared

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        return self.enforcer.probes(plan, stage)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        self.enforcer.launch(plan, command, log)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        return self.enforcer.witness(plan, stage, met)

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        return self.enforcer.collect(plan, stage)


def settle(names: Iterable[str]) -> None:
    """What these backends do once for a machine; what could not be done says so in their cases."""
    for name in names:
        found = backend(name)
        assert isinstance(found, Prepared)
        with contextlib.suppress(LaunchError, OSError):
            found.settle()


def _said(missing: Missing) -> str:
    return f"{missing.feature} ({missing.mend})" if missing.mend else missing.feature


def _run(command: Sequence[str], stdin: str) -> str:
    """A program of the place; see preparing.Run."""
    try:
        done = process.run(command, stdin=stdin, timeout_s=PREPARE_S)
    except (OSError, process.ProcessTimeout) as error:
        raise LaunchError(f"{command[0]}: {error}") from error
    if done.status:
        raise LaunchError(done.describe())
    return done.stdout
