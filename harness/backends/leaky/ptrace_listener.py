"""A tracer with a filter that lets the target have a listener, whose answers come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, always
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace import Ptrace
from enforcer.mechanisms.ptrace.private import HELLO
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky


class _WithoutListener(Tracer):
    def at_launch(self, task: Task, info: SyscallInfo) -> None:
        """The tracer's own listener is left to close, and its place becomes free."""
        if info[4] == HELLO:
            self.greet(task, info)
        else:
            super().at_launch(task, info)


class _RefusesListeners(Ptrace):
    make_tracer = _WithoutListener


class _PermitsListeners(_RefusesListeners):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Nobody is asked about seccomp(2)."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            nr = number(table.abi.name, "seccomp")
            calls = dict(table.calls)
            if nr is not None and nr in calls:
                calls[nr] = always(ALLOW, "a filter of one's own can do no harm")
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-ptrace-listener",
    weakness="lets the target install a listener",
    enforcer=_PermitsListeners(),
    repaired=_RefusesListeners(),
    options=Options(defences=frozenset()),
)
