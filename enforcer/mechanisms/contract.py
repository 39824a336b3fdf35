"""What every mechanism offers, and the frozen values it speaks in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, Protocol

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.policy.ast import Policy


class MechanismName(StrEnum):
    """The closed set of mechanisms; each is the module of the same name."""

    NONE = "none"
    PTRACE = "ptrace"
    SECCOMP = "seccomp"
    NOTIFY = "notify"
    LANDLOCK = "landlock"


class PreparedName(StrEnum):
    """The mechanisms that are switched on outside of the target, with privilege, as preparing.py
    says; the module's name has `_` for `-`.
    """

    APPARMOR = "apparmor"
    TOMOYO = "tomoyo"
    SELINUX = "selinux"
    BPF_LSM = "bpf-lsm"
    REMOVED = "removed"
    SYSCALLS_CGROUP = "syscalls-cgroup"
    CAPABILITIES = "capabilities"
    STRICT = "strict"
    BROKER = "broker"
    AUDIT = "audit"


def module_of(name: str) -> str:
    """The module of the mechanism `name`."""
    return f"enforcer.mechanisms.{name.replace('-', '_')}"


class Defence(StrEnum):
    """A switchable defence against argument races (design: copy, pin, verify)."""

    COPY = "copy"
    PIN = "pin"
    VERIFY = "verify"


DEFAULT_DEFENCES = frozenset({Defence.COPY, Defence.PIN, Defence.VERIFY})


class Extent(StrEnum):
    """How much of a rule a mechanism enforces."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Cover:
    """How far one rule is enforced. `rule` None speaks of the policy's default.

    `errs` says for PARTIAL in which direction: "permits too much", "denies too much", or "denies
    with another errno". `elsewhere`: on other architectures the same rule is covered.
    """

    rule: int | None
    extent: Extent
    reason: str = ""
    errs: str = ""
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A kernel feature that a probe found absent, and what would enable it."""

    feature: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose beside the policy.

    `desk`: where the supervisor can be asked, and asks (enforcer.supervision.desk); None: nowhere.
    `permissive`: what the policy refuses is logged and permitted. `rereads`: where the
    supervisor reads policies again when they change, as enforcer.policy.rereading says it.
    """

    defences: frozenset[Defence] = DEFAULT_DEFENCES
    partial: bool = False
    inherit: bool = False
    desk: Mapping[str, object] | None = None
    permissive: bool = False
    rereads: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A compiled policy, ready to be launched here or in a guest: plain JSON inside.

    `mechanism` names the module that launches it, `data` is that module's own.
    """

    mechanism: str
    machine: str
    data: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        return {"mechanism": self.mechanism, "machine": self.machine, "data": dict(self.data)}


def _what(cover: Cover) -> str:
    return "beside the rules" if cover.rule is None else f"rule {cover.rule + 1}"


class Inexpressible(Exception):
    """The mechanism cannot enforce some rules in full; `covers` says which and why."""

    def __init__(self, covers: Sequence[Cover]) -> None:
        self.covers = tuple(covers)
        super().__init__("; ".join(f"{_what(c)}: {c.extent}: {c.reason}" for c in covers))

    @property
    def elsewhere(self) -> bool:
        """Whether only this architecture is why."""
        return all(cover.elsewhere for cover in self.covers)


class LaunchError(Exception):
    """Enforcement could not be switched on; the command was not started."""


class Unavailable(LaunchError):
    """This kernel lacks what the plan needs."""


class Mechanism(Protocol):
    """One kernel facility behind the common policy.

    A module `enforcer/mechanisms/NAME` exposes an instance as `MECHANISM`. What `launch` imports
    is the standard library and python-ptrace only, because it also runs inside guests.
    `supervised`: a process of ours judges calls, logs what it refuses, and counts in the `judged`
    of its END event how many calls of each name it judged.
    """

    name: str
    supervised: bool

    def probe(self) -> tuple[Missing, ...]:
        """Features that this kernel lacks, found by trying, never by version. Empty: usable."""
        ...

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One Cover a rule, and one for the default, in rule order."""
        ...

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """Pure. Raises Inexpressible unless `options.partial`."""
        ...

    def describe(self, plan: Plan) -> str:
        """The plan in words (for seccomp: a listing of the filter)."""
        ...

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Switch enforcement on for the calling process and execute `command` in it.

        Called in a process of its own (fresh fork, one thread). The caller keeps its pid, parent,
        group and session through the execve; a supervisor, where there is one, is a detached
        grandchild in a session of its own. Raises LaunchError before anything of `command` ran.
        An execve that fails raises the OSError.
        """
        ...
