"""Frozen values that flow from a scenario to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Effect(StrEnum):
    """How the oracle sees from outside that the denied thing happened.

    READ: the target printed the sentinel's nonce. WRITE: the sentinel's content, inode, mode or
    mtime changed. EXEC: the denied program emitted its nonce. NET: a loopback listener accepted.
    IPC: an outside helper received the nonce. LIVE: the enforcer is gone while the target runs
    unconfined. IOCTL: the denied command took effect.
    """

    READ = "read"
    WRITE = "write"
    EXEC = "exec"
    NET = "net"
    IPC = "ipc"
    LIVE = "live"
    IOCTL = "ioctl"


class RunKind(StrEnum):
    """The runs that one verdict needs."""

    CONTROL = "control"
    BENIGN = "benign"
    DIRECT = "direct"
    ATTACK = "attack"


class Outcome(StrEnum):
    """What one run did."""

    EFFECT = "effect"
    BLOCKED = "blocked"
    CRASHED = "crashed"
    HUNG = "hung"
    SILENT = "silent"
    UNSUPPORTED = "unsupported"
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
    scratch_bytes: int = 64 << 20
    output_bytes: int = 256 << 10


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one run did, seen from outside the sandbox.

    `attempts` and `wins` are the program's own counts (a win is believed only when `effect` was
    seen from outside). `errno` is what a blocked attempt reported, 0 if none. `events` are the
    enforcer's log (of very many decisions the first and the last). `tree` is a digest of the
    scratch directory afterwards (command scenarios).
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
    stdout: str = ""
    stderr: str = ""
    events: tuple[Mapping[str, object], ...] = ()
    seconds: float = 0.0
    detail: str = ""
    tree: str = ""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An attack or a command, a policy, backends, and what is expected.

    `expect` maps a backend's name (or "default") to the expected verdict; `known` maps a backend
    to the catalogue id of a known weakness (a strict xfail).
    """

    id: str
    title: str
    path: Path
    policy: str
    dialect: str
    attack: str | None = None
    command: tuple[str, ...] = ()
    variants: tuple[str, ...] = ("default",)
    backends: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    expect: Mapping[str, VerdictKind] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    logged: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the expanded matrix."""

    scenario: Scenario
    variant: str
    backend: str
    abi: str
    kernel: str
    place: str

    @property
    def id(self) -> str:
        return f"{self.scenario.id}[{self.variant}-{self.backend}-{self.abi}-{self.kernel}]"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement, with the numbers that it rests on.

    `bound` is the upper end of the 95 % interval of the win rate after `attempts` without a win.
    """

    kind: VerdictKind
    reason: str
    attempts: int = 0
    wins: int = 0
    bound: float | None = None
    seconds: float = 0.0
