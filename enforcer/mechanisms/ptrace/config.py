"""What a plan says to its tracer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.ptrace.authority import Authority
from enforcer.supervision.binaries import Binaries

Texts = Mapping[str, Sequence[str | None]]
"""The texts of arguments in memory by translator."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a plan says to its tracer; `binaries` are those of the authorities' policies."""

    abis: Mapping[int, Abi]
    authorities: Sequence[Authority]
    binaries: Binaries
    detached: Authority
    defences: frozenset[Defence]
    inherit: bool = False
    has_quick: bool = False
