"""What a recording says, read as it comes: the other end of enforcer.learning.recording."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from enforcer.events import EventKind
from enforcer.learning.observation import Seen, observations_of
from enforcer.learning.recording import COUNTS


class Transcript:
    """What was seen up to now; `supervisor` is the pid of who wrote it, 0 before it says so."""

    def __init__(self, under: str | None = None) -> None:
        """`under`: the binary whose policy all comes under, whatever program did it."""
        self.seen = Seen()
        self.supervisor = 0
        self.has_ended = False
        self._under = under
        self._rest = b""

    def take(self, data: bytes) -> None:
        """The next bytes of it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            record = json.loads(line)
            match record["event"]:
                case EventKind.DECISION:
                    self._observe(record)
                case EventKind.ENFORCING:
                    self.supervisor = int(record.get("supervisor") or record.get("tracer") or 0)
                case EventKind.END:
                    self.has_ended = True
                case event if event == COUNTS:
                    self._count(record[COUNTS])

    def _observe(self, record: Mapping[str, object]) -> None:
        found = observations_of(record)
        if found is None:
            self.seen.unreadable += 1
            return
        if self._under is not None:
            found = tuple(replace(each, program=self._under) for each in found)
        self.seen.observations.update(dict.fromkeys(found))

    def _count(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        for program, calls in counts.items():
            self.seen.counts.setdefault(program, Counter()).update(calls)
