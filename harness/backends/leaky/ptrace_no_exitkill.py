"""A tracer whose death sets its tracees free."""

from __future__ import annotations

from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Options
from harness.backends.plain import PlainPtrace, PlainTracer
from harness.backends.weak import Leaky


class _DiesAlone(PlainTracer):
    options = PlainTracer.options & ~ptrace.EXITKILL


class _Ptrace(PlainPtrace):
    make_tracer = _DiesAlone


BACKEND = Leaky(
    name="leaky-ptrace-no-exitkill",
    weakness="does not set PTRACE_O_EXITKILL",
    enforcer=_Ptrace(),
    repaired=PlainPtrace(),
    options=Options(defences=frozenset()),
)
