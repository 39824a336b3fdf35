"""One event for several logs, and what a distant one lost for the near ones."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.events import EventKind, EventLog, NullLog
from enforcer.logs.syslog import RemoteSyslog


class Several:
    """Each event goes to every log."""

    def __init__(self, logs: Sequence[EventLog]) -> None:
        self._near = [log for log in logs if not isinstance(log, RemoteSyslog)]
        self._far = [log for log in logs if isinstance(log, RemoteSyslog)]

    def emit(self, kind: EventKind, **fields: object) -> None:
        for far in self._far:
            far.emit(kind, **fields)
            if kind is EventKind.END and far.lost:
                reason = f"{far.host} did not take all events"
                for near in self._near:
                    near.emit(EventKind.DETECTION, reason=reason, events=far.lost)
        for near in self._near:
            near.emit(kind, **fields)

    def descriptors(self) -> tuple[int, ...]:
        return tuple(fd for log in (*self._near, *self._far) for fd in log.descriptors())

    def never_wait(self) -> None:
        for log in (*self._near, *self._far):
            log.never_wait()


def several(logs: Sequence[EventLog]) -> EventLog:
    """All of them as one log."""
    if not logs:
        return NullLog()
    return logs[0] if len(logs) == 1 else Several(logs)
