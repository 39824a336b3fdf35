"""A filter that knows ptrace, and not the calls that reach another's memory since Linux 3.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, always
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

FORGOTTEN = ("process_vm_readv", "process_vm_writev")


class _PtraceOnly(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Whoever traces nobody harms nobody."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            numbers = {number(table.abi.name, name) for name in FORGOTTEN} & set(table.calls)
            forgotten = {nr: always(ALLOW, "not on the list") for nr in numbers if nr is not None}
            tables.append(replace(table, calls={**table.calls, **forgotten}))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-ptrace-only",
    weakness="denies tracing another process, forgets process_vm_readv and process_vm_writev",
    enforcer=_PtraceOnly(),
    repaired=MECHANISM,
)
