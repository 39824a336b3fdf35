"""The supervisor's side of a recording: each thing that is new, once, down a pipe.

Who learns reads it at the other end, makes the rules and writes them; so the supervisor parses and
stores nothing, and a target of ten thousand equal calls costs ten thousand look-ups.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping

from enforcer.events import EventKind, EventLog, FileLog
from enforcer.learning.observation import ABOUT_PROCESSES
from enforcer.logs.voice import Voice

COUNTS = "counts"
"""The kind of the lines that say how often each program made each call since the last."""

UNREAD = "nobody records any more what the command does, and nothing is refused"

_EVERY_S = 1.0
_KEPT = ("program", "call", "abi", "args", "values", "absent")


class Recording(FileLog):
    """Permitted calls for who learns; all the rest for `other`, the log that the user asked for.

    With `only_refused` those that were permitted although the policy refuses them, which the other
    log has as well. Unlike a log it waits for its reader, so that
    nothing is missing. A reader that is gone ends the recording, not the target.
    """

    def __init__(
        self, fd: int, other: EventLog, *, voice: Voice | None = None, only_refused: bool = False
    ) -> None:
        """`voice` says when the reader is gone."""
        super().__init__(fd)
        self.other = other
        self._voice = voice
        self._only_refused = only_refused
        self._seen: set[str] = set()
        self._counts: dict[str, Counter[str]] = {}
        self._told_at = 0.0
        self._lock = threading.Lock()
        self._is_read = True

    def descriptors(self) -> tuple[int, ...]:
        """What a supervisor must keep open to write it."""
        said = () if self._voice is None else self._voice.descriptors()
        return (self.fd, *self.other.descriptors(), *said)

    def never_wait(self) -> None:
        """The other log must not hold up anybody; this one must lose nothing."""
        if self._voice is not None:
            self._voice.begin()
        self.other.never_wait()

    def emit(self, kind: EventKind, **fields: object) -> None:
        if kind is EventKind.DECISION and fields["action"] == "permit":
            if not self._only_refused:
                self._record(fields)
                return
            if fields["would_be"] is not None:
                self._record(fields)
        if kind is EventKind.END:
            self._tell_counts()
        if kind in (EventKind.ENFORCING, EventKind.END):
            self._write({"event": kind.value, **fields})
        self.other.emit(kind, **fields)

    def _record(self, fields: Mapping[str, object]) -> None:
        program = fields["program"]
        if program is None:
            return
        kept = {name: fields[name] for name in _KEPT}
        values = fields["values"]
        assert isinstance(values, Mapping)
        telling = {name: text for name, text in values.items() if name not in ABOUT_PROCESSES}
        key = json.dumps({**kept, "args": None, "values": telling})
        with self._lock:
            self._counts.setdefault(str(program), Counter())[str(fields["call"])] += 1
            is_new = key not in self._seen
            if is_new:
                self._seen.add(key)
        if is_new:
            self._write({"event": EventKind.DECISION.value, **kept})
        if time.monotonic() - self._told_at > _EVERY_S:
            self._tell_counts()

    def _tell_counts(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, {}
            self._told_at = time.monotonic()
        if counts:
            self._write({"event": COUNTS, COUNTS: counts})

    def _write(self, record: Mapping[str, object]) -> None:
        line = json.dumps(record, ensure_ascii=True).encode("ascii") + b"\n"
        with self._lock:
            while line and self._is_read:
                try:
                    line = line[os.write(self.fd, line) :]
                except OSError:
                    self._is_read = False
                    if self._voice is not None:
                        self._voice.say(UNREAD)
