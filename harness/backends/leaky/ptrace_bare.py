"""The tracer of the papers: it looks at memory at the call's entry and lets the call go on."""

from __future__ import annotations

from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace import MECHANISM
from harness.backends.weak import Leaky

BACKEND = Leaky(
    name="leaky-ptrace-bare",
    weakness="all defences off: the kernel reads again what was judged",
    enforcer=MECHANISM,
    repaired=MECHANISM,
    options=Options(defences=frozenset()),
    repaired_options=Options(),
)
