"""What a mechanism offers that is switched on outside of its target, before that exists.

A module `enforcer/mechanisms/NAME` exposes one as `MECHANISM`, as those that a process puts itself
under do. Everything from `prepare` on runs where the target does, in guests too: it imports the
standard library and what guests have of the enforcer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol, runtime_checkable

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import Cover, Missing, Options, Plan
from enforcer.policy.ast import Policy

Event = Mapping[str, object]
Run = Callable[[Sequence[str], str], str]
"""Runs a program of the place with an input, and gives what it printed. Raises LaunchError."""
Ask = Callable[[Mapping[str, object]], Mapping[str, object]]
"""Asks whoever has the machine that a run is in; the answer has `error` where it cannot be done."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a backend needs of a machine, as data.

    `features` and `lsm` are probed where the case runs. `binaries` are looked for in PATH,
    `modules` among the Python packages of the interpreter that runs the laboratory; `packages`
    says what installs them, by manager ("debian", "pypi"). `unlimited`: no limits of address space
    and file sizes, and a wider one of processes: a kernel of its own cannot run under them.
    `by_default`: it stands in the matrix when nobody names backends.

    `machine`: it changes what holds for the whole machine, so that it is only ever prepared in one
    that is thrown away; such a guest gets the Debian `packages`, and `boot` is the whole list of
    security modules that its kernel is started with, where that is not the kernel's own.

    `held`: the target waits at a gate, to be looked at from outside. `rooted`: `launch` is called
    with the privilege of the run's init, and gives it up.
    """

    features: tuple[str, ...] = ()
    lsm: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    root: bool = False
    unlimited: bool = False
    by_default: bool = False
    machine: bool = False
    boot: tuple[str, ...] = ()
    held: bool = True
    rooted: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a run's target will be: its directories and its ids.

    `gate` is the program that a held target begins with, `program` what it becomes then, `state` a
    directory for the backend's own files, which no policy permits. `walled`: the mounts of the run
    are its own, so that what is mounted in `prepare` goes with it. `disposable`: so is the whole
    machine, which is thrown away after the case. `holds` are the capabilities that the target has
    where nobody takes them from it.
    """

    root: Path
    directory: Path
    denied: Path
    gate: Path
    program: Path
    state: Path
    uid: int
    gid: int
    walled: bool
    disposable: bool = False
    holds: tuple[int, ...] = ()

    @property
    def beside(self) -> Path:
        """A file beside the denied object, for where that is yet to be made, or no file."""
        return self.denied.parent / "probe"

    @property
    def tried(self) -> Path:
        """The file on which probes are tried."""
        return self.denied if self.denied.is_file() else self.beside


@dataclass(frozen=True, kw_only=True)
class Met:
    """A target that waits at the gate. `pid` is None where no process of this kernel is the target
    (a sandbox with a kernel of its own), `answers` the errno of each act that the gate tried.
    """

    pid: int | None
    answers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """What was done outside of a run: the plan with whatever is known only now, and what is told
    of the run afterwards, beside the events that it has itself.
    """

    plan: Plan
    tell: Callable[[Sequence[Event]], Sequence[Event]] = lambda events: ()


@runtime_checkable
class Arranging(Protocol):
    """What a backend offers beside, that has something done before a run's namespaces are there,
    and undone behind them: by the agent, whose namespaces are the machine's, or by who has that.
    """

    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> AbstractContextManager[Arranged]:
        """Raises Unavailable, LaunchError, OSError."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """What a mechanism offers beside that prepares all runs of a case alike, in part."""

    def foresee(self, plan: Plan, stage: Stage, run: Run) -> None:
        """Find it out and keep it, by who forks the runs, so that each has it already. `prepare`
        must do without. Raises LaunchError, OSError.
        """
        ...


class PreparedMechanism(Protocol):
    """One kernel facility behind the common policy that is no process's own affair.

    `refusals` are the errno that a refusal may be. `logs`: `collect` tells of every refusal.
    """

    name: str
    needs: Needs
    refusals: frozenset[int]
    logs: bool

    def probe(self) -> tuple[Missing, ...]:
        """What this machine lacks beside its `needs`."""
        ...

    def settle(self) -> None:
        """What is the same for every policy, and changes the whole machine: done once in it, by
        who carries out its cases, where there is what `needs` and `probe` ask for. A machine that
        was not settled must do as well.
        """
        ...

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One Cover a rule, and one for the default, in rule order."""
        ...

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """Pure. Raises Inexpressible unless `options.partial`."""
        ...

    def describe(self, plan: Plan) -> str:
        """The plan in words."""
        ...

    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Switch it on, and off again at the end; the plan with whatever is known only now.

        Called once a run by its init: root, with every capability of the machine's own user
        namespace, but with mount, pid, ipc and network namespaces of the run. There every mount
        from before is read-only and private, /proc is the run's: mount a file system of the
        kernel's anew (below `state`, say) to write to it, and unmount what the target is not to
        see. The objects of the run are there, the target is not. A gate runs before the target's
        program, in what confines it, and tries `probes`.

        Raises Unavailable for what the kernel lacks (inapplicable), LaunchError for what failed
        (broken).
        """
        ...

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """Acts that must be refused, as external/gate.c takes them (`read:PATH`...)."""
        ...

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Execute `command` confined. Called in the process that becomes the target, in a session
        of its own and, unless its `needs` say so, without any privilege. Raises LaunchError,
        OSError.
        """
        ...

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """An ENFORCING event with the evidence, seen by the run's init; none: it is not on."""
        ...

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """What was refused, as decisions, after everything has ended and before it is undone."""
        ...
