"""A tracer that lets the target make children of which nobody tells it."""

from __future__ import annotations

from enforcer.mechanisms.contract import Options
from harness.backends.plain import PlainPtrace, PlainTracer
from harness.backends.weak import Leaky


class _TrustsForkEvents(PlainTracer):
    traces_untraced = False


class _Ptrace(PlainPtrace):
    make_tracer = _TrustsForkEvents


BACKEND = Leaky(
    name="leaky-ptrace-clone-untraced",
    weakness="lets CLONE_UNTRACED through",
    enforcer=_Ptrace(),
    repaired=PlainPtrace(),
    options=Options(defences=frozenset()),
)
