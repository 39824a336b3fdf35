"""A tracer of one thread: its siblings are in the same address space, and free.

As Landlock and seccomp are without thread synchronisation, when threads are there before them.
"""

from __future__ import annotations

from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Options
from harness.backends.plain import PlainPtrace, PlainTracer
from harness.backends.weak import Leaky


class _HearsOfNoThread(PlainTracer):
    options = PlainTracer.options & ~ptrace.TRACECLONE


class _Ptrace(PlainPtrace):
    make_tracer = _HearsOfNoThread


BACKEND = Leaky(
    name="leaky-ptrace-one-thread",
    weakness="does not set PTRACE_O_TRACECLONE: threads begin without the tracer",
    enforcer=_Ptrace(),
    repaired=PlainPtrace(),
    options=Options(defences=frozenset()),
)
