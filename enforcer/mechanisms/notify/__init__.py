"""notify: seccomp user notification, where a supervisor does for the target what it permits."""

from __future__ import annotations

from enforcer.mechanisms.notify.mechanism import MECHANISM, Notify

__all__ = ["MECHANISM", "Notify"]
