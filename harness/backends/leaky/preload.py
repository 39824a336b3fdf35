"""An enforcer in the target's own C library, where LD_PRELOAD puts it (sudo's noexec, libnetblock).

CVE-2016-7032; programs without that library, or that are run without the variable, are free.
"""

from __future__ import annotations

from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.preloaded import Preloaded
from harness.backends.weak import Leaky


class _Preload(Preloaded):
    source = Path(__file__).with_suffix(".c")


BACKEND = Leaky(
    name="leaky-preload",
    weakness="enforces in a library that the target may leave out",
    enforcer=_Preload(),
    repaired=MECHANISM,
)
