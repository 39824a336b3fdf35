"""Watching one target from outside: its output, the enforcer's log, its sentinel, its end.

Everything is bounded: time by a deadline, output and log by size. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from dataclasses import dataclass, field

from enforcer.events import EventKind
from harness.model import Limits
from harness.places.sentinels import Sentinel
from harness.places.usage import EVERY_S, Meter

CHUNK = 1 << 16
LAST_BYTES = 4096
FLOOD_FACTOR = 64  # so many times the limit of output is a flood: the run is ended
FIRST_DECISIONS = 50
LAST_DECISIONS = 50
OTHER_EVENTS = 200
GRACE_S = 1.0  # for a supervisor to write its last event after the target has ended


class Stream:
    """One pipe from the target: the first `limit` bytes and the last few thousand are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first = bytearray()
        self._last = b""
        self.total = 0

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self._limit - len(self._first)
        self._first += chunk[:room]
        if len(chunk) > room:
            self._last = (self._last + chunk[max(room, 0) :])[-LAST_BYTES:]

    @property
    def flooded(self) -> bool:
        return self.total > self._limit * FLOOD_FACTOR

    def content(self) -> bytes:
        cut = self.total - len(self._first) - len(self._last)
        gap = f"\n[... {cut} bytes left out ...]\n".encode() if cut else b""
        return bytes(self._first) + gap + self._last


class Log:
    """The enforcer's events, as they arrive: one JSON object a line."""

    def __init__(self) -> None:
        self._rest = b""
        self._first: list[bytes] = []
        self._last: deque[bytes] = deque(maxlen=LAST_DECISIONS)
        self._others: list[bytes] = []
        self._decisions = 0
        self._decision_mark = f'"event": "{EventKind.DECISION.value}"'.encode()

    def add(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if self._decision_mark in line:
                self._decisions += 1
                if len(self._first) < FIRST_DECISIONS:
                    self._first.append(line)
                else:
                    self._last.append(line)
            elif len(self._others) < OTHER_EVENTS:
                self._others.append(line)

    def events(self) -> list[dict[str, object]]:
        """Raises ValueError for a line that is no JSON object."""
        found: list[dict[str, object]] = []
        for line in [*self._others, *self._first, *self._last]:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError(f"not an event: {line[:200]!r}")
            found.append(event)
        return found

    @property
    def decisions(self) -> int:
        return self._decisions


@dataclass
class Seen:
    """What came of one target."""

    stdout: Stream
    stderr: Stream
    log: Log = field(default_factory=Log)
    failure: bytes = b""
    ended: bool = False
    stopped: str = ""  # why it had to be ended before its time was up
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Pipes:
    """The agent's ends: `failure` is what launching itself reported, closed by the execve."""

    stdout: int
    stderr: int
    log: int
    failure: int


def watch(
    target: int, pipes: Pipes, sentinel: Sentinel | None, limits: Limits, meter: Meter
) -> Seen:
    """Serve every descriptor until the target has ended and its enforcer is done, or time is up.

    `target` is a pidfd. Neither the target nor anything else is killed here.
    """
    seen = Seen(stdout=Stream(limits.output_bytes), stderr=Stream(limits.output_bytes))
    poll = select.poll()
    streams = {pipes.stdout: seen.stdout, pipes.stderr: seen.stderr}
    waiting = {pipes.stdout, pipes.stderr, pipes.log, pipes.failure}
    sources = sentinel.sources() if sentinel else ()
    for descriptor in (*waiting, *sources, target):
        poll.register(descriptor, select.POLLIN)
    started = time.monotonic()
    deadline = started + limits.timeout_s
    next_look = started + EVERY_S
    while waiting or not seen.ended:
        now = time.monotonic()
        if now >= deadline:
            break
        if now >= next_look and not seen.ended:
            seen.stopped = meter.excess()
            next_look = time.monotonic() + EVERY_S
        if any(stream.flooded for stream in streams.values()):
            seen.stopped = "it printed far more than its limit of output"
        if seen.stopped:
            break
        until = deadline if seen.ended else min(deadline, next_look)
        for descriptor, _ in poll.poll(max(0.0, until - now) * 1000):
            if descriptor == target:
                seen.ended = True
                seen.seconds = time.monotonic() - started
                deadline = time.monotonic() + GRACE_S
                poll.unregister(target)
            elif descriptor in sources:
                assert sentinel is not None
                sentinel.receive(descriptor)
            else:
                chunk = os.read(descriptor, CHUNK)
                if not chunk:
                    waiting.discard(descriptor)
                    poll.unregister(descriptor)
                elif descriptor == pipes.log:
                    seen.log.add(chunk)
                elif descriptor == pipes.failure:
                    seen.failure += chunk
                else:
                    streams[descriptor].add(chunk)
    if not seen.ended:
        seen.seconds = time.monotonic() - started
    return seen
