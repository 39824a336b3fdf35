"""A supervisor that each program begins for itself, and does without where it cannot (EBUSY)."""

from __future__ import annotations

from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.preloaded import Preloaded
from harness.backends.weak import Leaky


class _Listener(Preloaded):
    source = Path(__file__).with_suffix(".c")


BACKEND = Leaky(
    name="leaky-listener",
    weakness="carries on where it cannot install its listener",
    enforcer=_Listener(),
    repaired=MECHANISM,
)
