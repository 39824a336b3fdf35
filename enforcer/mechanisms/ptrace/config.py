"""What a plan says to its tracer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.supervision.binaries import Binaries


@dataclass(frozen=True, kw_only=True)
class Config:
    """`binaries` are those of the policies."""

    abis: Mapping[int, Abi]
    policies: Sequence[TaskPolicy]
    binaries: Binaries
    detached: TaskPolicy
    defences: frozenset[Defence]
    inherit: bool = False
    has_quick: bool = False
