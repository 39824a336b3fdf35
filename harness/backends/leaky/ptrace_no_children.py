"""A tracer that means to attach to children later: for those that it missed, and after execve.

As Janus before it had events (Garfinkel 2003), and the fast path for vfork of agentsh (PR 147).
"""

from __future__ import annotations

from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Options
from harness.backends.plain import PlainPtrace, PlainTracer
from harness.backends.weak import Leaky


class _HearsOfNoChild(PlainTracer):
    options = PlainTracer.options & ~(ptrace.TRACEFORK | ptrace.TRACEVFORK)


class _Ptrace(PlainPtrace):
    make_tracer = _HearsOfNoChild


BACKEND = Leaky(
    name="leaky-ptrace-no-children",
    weakness="does not set PTRACE_O_TRACEFORK and _TRACEVFORK: children begin without the tracer",
    enforcer=_Ptrace(),
    repaired=PlainPtrace(),
    options=Options(defences=frozenset()),
)
