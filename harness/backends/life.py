"""The life of a backend, whoever made it: needs, cover, compile, prepare, launch, witness, collect.

What runs where the target runs (from `prepare` on) is told by a Stage, and needs the plan only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import Cover, Missing, Plan
from enforcer.mechanisms.preparing import Event, Met, Needs, Stage
from enforcer.policy.ast import Policy
from harness.model import VerdictKind
from harness.places.layout import Layout


def stage_of(
    layout: Layout,
    *,
    uid: int,
    gid: int,
    walled: bool,
    disposable: bool = False,
    holds: tuple[int, ...] = (),
) -> Stage:
    """The stage of a run whose objects are there."""
    return Stage(
        root=layout.root,
        directory=layout.directory,
        denied=layout.denied,
        gate=layout.gate,
        program=layout.program,
        state=layout.state,
        uid=uid,
        gid=gid,
        walled=walled,
        disposable=disposable,
        holds=holds,
    )


class Backend(Protocol):
    """One way of confining a target. `weakness` says what is wrong with a leaky one.

    `held`: the target waits at a gate until it was looked at from outside (`probes` are tried
    there, `witness` judges). `rooted`: `launch` is called with the privilege of the run's init,
    and has to give it up for the target. `counts`: its log says how many calls it judged. `logs`:
    it is asked for a line on every refusal, whatever the scenario says. `usual`: the verdict that
    attacks are expected to get of it whose scenarios name none.
    """

    @property
    def name(self) -> str: ...

    @property
    def mechanism(self) -> str: ...

    @property
    def leaky(self) -> bool: ...

    @property
    def weakness(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    @property
    def held(self) -> bool: ...

    @property
    def rooted(self) -> bool: ...

    @property
    def counts(self) -> bool: ...

    @property
    def logs(self) -> bool: ...

    @property
    def usual(self) -> VerdictKind: ...

    @property
    def own(self) -> tuple[Path, ...]:
        """Files and directories of its author's that runs must see, wherever they lie."""
        ...

    @property
    def refusals(self) -> frozenset[int]:
        """The errno that a refusal of it may be; empty: whichever."""
        ...

    def probe(self) -> tuple[Missing, ...]:
        """What this machine lacks of its needs, found by trying."""
        ...

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One Cover a rule, and one for the default."""
        ...

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
        """Plain JSON. Raises Inexpressible for a rule of which nothing is enforced."""
        ...

    def prepare(self, plan: Plan, stage: Stage) -> AbstractContextManager[Plan]:
        """What has to be done with privilege before the target exists, and its undoing; the plan
        to be launched, with whatever is known only now. Raises LaunchError.
        """
        ...

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """The acts that the gate is to try, which must be refused."""
        ...

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Run the command confined. Raises LaunchError before anything of it ran."""
        ...

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """The evidence that enforcement is on, seen from outside; no ENFORCING event: there is
        none.
        """
        ...

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """What the backend's own log, if it is not the one that `launch` gets, says of the run."""
        ...


class InProcess:
    """What backends have in common that confine the calling process and write our log: nobody
    holds their target, and their witness stands in the log, written by a process outside.
    """

    held = False
    rooted = False
    logs = False
    usual = VerdictKind.HELD
    own: tuple[Path, ...] = ()
    refusals: frozenset[int] = frozenset()

    def prepare(self, plan: Plan, stage: Stage) -> AbstractContextManager[Plan]:
        """Nothing has to be done."""
        return contextlib.nullcontext(plan)

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """Nothing is tried."""
        return ()

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """It is in the log."""
        return ()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """The log is all there is."""
        return ()
