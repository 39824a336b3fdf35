"""A tracer that guards its copies by the addresses of calls alone; its kernel seals nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from errno import ENOSYS

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, ERRNO, FilterSpec, always
from enforcer.mechanisms.ptrace import Ptrace
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky


def _answering(spec: FilterSpec, call: str, answer: int, why: str) -> FilterSpec:
    tables = []
    for table in spec.tables:
        nr = number(table.abi.name, call)
        is_there = nr is not None and nr in table.calls
        calls = {**table.calls, nr: always(answer, why)} if nr is not None and is_there else None
        tables.append(replace(table, calls=calls) if calls else table)
    return replace(spec, tables=tuple(tables))


class _SealsNothing(Ptrace):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """As before Linux 6.10."""
        return _answering(super().spec(policies, abis), "mseal", ERRNO(ENOSYS), "no such call")


class _TrustsTheHeap(_SealsNothing):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Nobody is asked about prctl(2)."""
        return _answering(super().spec(policies, abis), "prctl", ALLOW, "it maps nothing")


BACKEND = Leaky(
    name="leaky-ptrace-heap-end",
    weakness="lets the target say that its heap ends behind the copies of its arguments",
    enforcer=_TrustsTheHeap(),
    repaired=_SealsNothing(),
)
