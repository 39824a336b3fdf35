"""The supervisor that seccomp_unotify(2) warns of: looks at memory, then answers CONTINUE."""

from __future__ import annotations

from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.notify import MECHANISM
from harness.backends.weak import Leaky

BACKEND = Leaky(
    name="leaky-notify-bare",
    weakness="all defences off: the kernel reads again what was judged",
    enforcer=MECHANISM,
    repaired=MECHANISM,
    options=Options(defences=frozenset()),
    repaired_options=Options(),
)
