"""An enforcer by syscall user dispatch, which the kernel switches off in every child (K23)."""

from __future__ import annotations

from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.preloaded import Preloaded
from harness.backends.weak import Leaky


class _Dispatch(Preloaded):
    source = Path(__file__).with_suffix(".c")
    machine = "x86_64"


BACKEND = Leaky(
    name="leaky-dispatch",
    weakness="enforces by syscall user dispatch, which no child inherits",
    enforcer=_Dispatch(),
    repaired=MECHANISM,
)
