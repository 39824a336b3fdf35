"""Frozen values that flow from a scenario to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from enforcer.mechanisms.contract import Defence


def spelled(name: str) -> str:
    """A name in the one spelling that ids have: words joined by '-'."""
    return name.replace("_", "-")


class Effect(StrEnum):
    """How the oracle sees from outside that the denied thing happened.

    READ: the target printed the sentinel's nonce. WRITE: the sentinel's content, inode, mode or
    mtime changed. EXEC: the denied program emitted its nonce. NET: a loopback listener accepted.
    IPC: an outside helper received the nonce. IOCTL: the denied command took effect. LOG: the
    target printed the sentinel's nonce, which the policy permits; the log has to name the sentinel
    each time.
    """

    READ = "read"
    WRITE = "write"
    EXEC = "exec"
    NET = "net"
    IPC = "ipc"
    IOCTL = "ioctl"
    LOG = "log"


class RunKind(StrEnum):
    """The runs that one verdict needs, in their order.

    DIRECT_CONTROL is the direct attempt without an enforcer: what is denied later must be possible
    here. CONTROL_AGAIN repeats the control behind the others: an effect that appears only now and
    then proves nothing by staying away.
    """

    CONTROL = "control"
    DIRECT_CONTROL = "direct control"
    BENIGN = "benign"
    DIRECT = "direct"
    ATTACK = "attack"
    CONTROL_AGAIN = "control again"


class Outcome(StrEnum):
    """What one run did. UNAVAILABLE: the enforcer found that the kernel lacks what it needs."""

    EFFECT = "effect"
    BLOCKED = "blocked"
    CRASHED = "crashed"
    HUNG = "hung"
    SILENT = "silent"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"


class VerdictKind(StrEnum):
    """The oracle's judgement of a case."""

    HELD = "held"
    BYPASSED = "bypassed"
    OVERBLOCKED = "overblocked"
    UNLOGGED = "unlogged"
    NOT_ENFORCING = "not enforcing"
    INEXPRESSIBLE = "inexpressible"
    INAPPLICABLE = "inapplicable"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one run. Times in seconds, sizes in bytes."""

    timeout_s: float = 30.0
    memory_bytes: int = 1 << 30
    processes: int = 64
    file_bytes: int = 16 << 20
    core_bytes: int = 0
    scratch_bytes: int = 64 << 20
    output_bytes: int = 256 << 10


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one run did, seen from outside the sandbox.

    `attempts` and `wins` are the program's own counts (a win is believed only when `effect` was
    seen from outside). `errno` is what a blocked attempt reported, 0 if none. `events` are the
    enforcer's log (of very many decisions the first and the last). `rung` is the delay between two
    flips that won most of a race's attempts, None where none won. `tree` is a digest of the
    scratch directory afterwards (command scenarios). Of a repeated run this is the last one that
    showed no effect, else the last; `repeats` counts all, `effects` those that showed it.
    """

    kind: RunKind
    outcome: Outcome
    effect: bool = False
    exit_status: int | None = None
    signal: int | None = None
    finished: bool = False
    errno: int = 0
    attempts: int = 0
    wins: int = 0
    rung: int | None = None
    stdout: str = ""
    stderr: str = ""
    events: tuple[Mapping[str, object], ...] = ()
    seconds: float = 0.0
    detail: str = ""
    tree: str = ""
    repeats: int = 1
    effects: int = 0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An attack or a command, a policy, backends, and what is expected.

    `policy` is its text with `${placeholders}`, `dialect` its syntax ("yaml" or "systrace").
    Empty `variants`, `backends` and `abis` mean all that there are. `leaky` backends must be
    defeated. `expect` maps a backend ("ptrace"), a backend with an ABI, a variant or a way
    ("seccomp/i386", "landlock/sendto") or "default" to the expected verdict; `known` maps the same
    to the catalogue id of a known weakness (a strict xfail). `logged` names the backends whose log
    must show the attempt.
    A command scenario compares a command with its bare run; `direct` is then the act to be denied.
    `attempts` None leaves the number to the attack's manifest. Without the kernel features
    `features` it is inapplicable; `needs` is what a machine is booted with. `partial` names the
    backends that run although they cannot enforce every rule in full; their verdicts say so.
    """

    id: str
    title: str
    path: Path
    policy: str
    dialect: str
    attack: str | None = None
    command: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    leaky: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    attempts: int | None = None
    expect: Mapping[str, VerdictKind] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    needs: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    logged: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the expanded matrix. `catalogue` is the attack's, empty for a command.

    `external`: somebody else's sandbox, or a mechanism that is switched on for the whole machine:
    nobody expects that it can keep every policy.
    `usual` is the verdict on attacks that the backend's own description expects.
    `defences` are those that the backend is compiled with, None for its own choice.
    """

    scenario: Scenario
    variant: str
    backend: str
    abi: str
    kernel: str
    place: str
    leaky: bool = False
    external: bool = False
    catalogue: tuple[str, ...] = ()
    usual: VerdictKind = VerdictKind.HELD
    defences: frozenset[Defence] | None = None

    @property
    def id(self) -> str:
        """Unique within a campaign, and stable between campaigns."""
        where = "" if self.place == "local" else f"-{self.place}"
        backend = self.backend_name
        if self.defences is not None:
            backend += f"({'+'.join(sorted(self.defences))})"
        return f"{self.scenario.id}[{self.variant}-{backend}-{self.abi}-{self.kernel}{where}]"

    @property
    def backend_name(self) -> str:
        """The backend's name; one that is a file is called as the file."""
        return Path(self.backend).stem if "." in self.backend else self.backend

    @property
    def expected(self) -> VerdictKind:
        """The verdict that the scenario expects here."""
        expect = self.scenario.expect
        for key in self._keys():
            if key in expect:
                return expect[key]
        if self.leaky:
            return VerdictKind.BYPASSED
        if self.backend == "none":
            return VerdictKind.NOT_ENFORCING
        return expect.get("default", self.usual if self.scenario.attack else VerdictKind.HELD)

    @property
    def weakness(self) -> str | None:
        """The catalogue id of the weakness that this case is known to show."""
        known = self.scenario.known
        return next((known[key] for key in self._keys() if key in known), None)

    def _keys(self) -> tuple[str, ...]:
        """What a scenario may call this case in `expect` and `known`, the narrowest first."""
        narrower = (self.variant, self.variant.partition("+")[2], self.abi)
        return (*(f"{self.backend_name}/{each}" for each in narrower if each), self.backend_name)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Digests of all that a result depends on; results of another provenance say nothing here.

    `program` is the attack's source, headers, flags and ABI; `policy` the scenario's policy and
    whatever else it gives its runs; `modules` the enforcer and the harness, leaky backends among
    them; `machine` the kernel, processors and isolation of the place.
    """

    program: str
    policy: str
    modules: str
    machine: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """How often an attack won from the leaky enforcer `backend`, and where that was measured.

    A race won most with the delay `rung`, with which those that it judges begin.
    """

    backend: str
    attempts: int
    wins: int
    source: str
    rung: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement, with the numbers that it rests on.

    `bound` is the upper end of the one-sided 95 % interval of the win rate after `attempts` without
    a win. `elsewhere`: what is inexpressible here is expressible on other architectures.
    """

    kind: VerdictKind
    reason: str
    attempts: int = 0
    wins: int = 0
    bound: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """A case with its verdict and what it rests on. `isolation` is how the runs were walled in.

    `provenance` is None where the case could not be prepared.
    """

    case: Case
    verdict: Verdict
    observations: tuple[Observation, ...] = ()
    isolation: str = ""
    seconds: float = 0.0
    provenance: Provenance | None = None

    @property
    def as_expected(self) -> bool:
        """A verdict about this machine contradicts no expectation; broken does."""
        if self.verdict.kind is VerdictKind.BROKEN:
            return False
        if self.verdict.kind is VerdictKind.INAPPLICABLE or self.verdict.elsewhere:
            return True
        if self.case.external and self.verdict.kind is VerdictKind.INEXPRESSIBLE:
            return True
        if self.case.weakness is not None:
            return self.verdict.kind is VerdictKind.BYPASSED
        return self.verdict.kind is self.case.expected
