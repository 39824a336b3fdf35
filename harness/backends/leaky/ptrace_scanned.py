"""A tracer that judges the call sites of programs and libraries, which can be scanned beforehand.

Rewriters of system calls (zpoline, syscall_intercept) know no others: what a program writes itself,
or loads later, calls the kernel without them.
"""

from __future__ import annotations

from dataclasses import replace

from enforcer.call import Action, Decision
from enforcer.kernel import procfs
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.supervision.judge import Values
from harness.backends.weak import Leaky

_NOTHING: Values = {}


class _KnowsItsSites(Act):
    def decide(
        self, call: HeldCall, values: Values = _NOTHING, missing: int = 0, name: str = ""
    ) -> Decision:
        """What is called from anywhere else was never rewritten."""
        decision = super().decide(call, values, missing, name)
        if decision.action is Action.DENY and not _is_of_a_file(call.tid, call.info[2]):
            decision = call.decision = replace(decision, action=Action.PERMIT)
        return decision


def _is_of_a_file(tid: int, address: int) -> bool:
    """Whether the code at `address` was mapped from a file (proc_pid_maps(5))."""
    for line in procfs.read(tid, "maps").splitlines():
        place, _, _, _, inode, *_ = line.split()
        first, last = (int(bound, 16) for bound in place.split(b"-"))
        if first <= address < last:
            return inode != b"0"
    return False


class _Tracer(Tracer):
    make_act = _KnowsItsSites


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-scanned",
    weakness="judges calls of code from files only, which it could scan",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)
