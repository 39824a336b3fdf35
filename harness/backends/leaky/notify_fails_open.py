"""A supervisor with a watchdog that answers yes in its place when it does not answer."""

from __future__ import annotations

from harness.backends.unprotected import UnprotectedNotify
from harness.backends.watched import Watched, WatchedWell
from harness.backends.weak import Leaky


class _FailsOpen(UnprotectedNotify):
    """Without its supervisor every call would fail or wait."""

    make_session = Watched


class _FailsClosed(UnprotectedNotify):
    make_session = WatchedWell


BACKEND = Leaky(
    name="leaky-notify-fails-open",
    weakness="a watchdog lets every call continue that the supervisor, dead or stopped, leaves",
    enforcer=_FailsOpen(),
    repaired=_FailsClosed(),
)
