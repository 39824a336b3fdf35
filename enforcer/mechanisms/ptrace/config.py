"""What a plan says to its tracer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.supervision.binaries import Binaries
from enforcer.supervision.rereading import Rereads


@dataclass(frozen=True, kw_only=True)
class Config:
    """`binaries` are those of the policies; both grow by what `rereads` finds. `own` are processes
    (and groups) of the tracer's beside itself, out of the target's reach as it is.
    """

    abis: Mapping[int, Abi]
    policies: list[TaskPolicy]
    binaries: Binaries
    detached: TaskPolicy
    defences: frozenset[Defence]
    inherit: bool = False
    permissive: bool = False
    rereads: Rereads | None = None
    has_quick: bool = False
    own: tuple[int, ...] = ()
