"""Watching one target from outside: its output, the enforcer's log, its sentinel, its end.

Everything is bounded: time by a deadline, output and log by size. Standard library only.
"""

from __future__ import annotations

import itertools
import json
import operator
import os
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from enforcer.events import EventKind
from harness.model import Limits
from harness.places.sentinels import Sentinel
from harness.places.usage import EVERY_S, Meter, until_next

CHUNK = 1 << 16
LAST_BYTES = 4096
FLOOD_FACTOR = 64  # so many times the limit of output is a flood: the run is ended
FIRST_EVENTS = 50  # of each kind
LAST_EVENTS = 50
KEPT_EVENTS = FIRST_EVENTS + LAST_EVENTS
LINE_BYTES = 1 << 20
CORE = 0x80  # of a wait status: the kernel dumped its core
GRACE_S = 1.0  # for a supervisor to write its last event after the target has ended

Event = dict[str, object]


class Stream:
    """One pipe from the target: the first `limit` bytes and the last few thousand are kept.

    Of `words` it is remembered which came, also in what is not kept: no flood hides an effect.
    """

    def __init__(self, limit: int, words: Sequence[bytes] = ()) -> None:
        self._limit = limit
        self._words = tuple(words)
        self._came: set[bytes] = set()
        self._end = b""  # as much as a word can have in the chunk before
        self._first = bytearray()
        self._last = b""
        self.total = 0

    def add(self, chunk: bytes) -> None:
        joined = self._end + chunk
        self._came.update(word for word in self._words if word in joined)
        longest = max(map(len, self._words), default=1)
        self._end = joined[max(0, len(joined) - longest + 1) :]
        self.total += len(chunk)
        room = self._limit - len(self._first)
        self._first += chunk[:room]
        if len(chunk) > room:
            self._last = (self._last + chunk[max(room, 0) :])[-LAST_BYTES:]

    @property
    def flooded(self) -> bool:
        return self.total > self._limit * FLOOD_FACTOR

    @property
    def came(self) -> bytes:
        """Those of the words that came, a line each."""
        return b"\n".join(sorted(self._came))

    def content(self) -> bytes:
        """What is kept, with a word on what is left out between."""
        cut = self.total - len(self._first) - len(self._last)
        gap = f"\n[... {cut} bytes left out ...]\n".encode() if cut else b""
        return bytes(self._first) + gap + self._last


class Log:
    """The enforcer's events, as they arrive: one JSON object a line.

    Of many the first and the last are kept, by kind, so that no flood of others hides an end.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lines = 0
        self._first: dict[str, list[tuple[int, Event]]] = {}
        self._last: dict[str, deque[tuple[int, Event]]] = {}
        self._wrong = ""

    def add(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._rest) > LINE_BYTES:
            self._reject("a line without end", self._rest)
            self._rest = b""

    def _take(self, line: bytes) -> None:
        self._lines += 1
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            self._reject("no JSON", line)
            return
        kind = event.get("event") if isinstance(event, dict) else None
        if kind not in list(EventKind):
            self._reject("no event", line)
            return
        first = self._first.setdefault(kind, [])
        if len(first) < FIRST_EVENTS:
            first.append((self._lines, event))
        else:
            last = self._last.setdefault(kind, deque(maxlen=LAST_EVENTS))
            last.append((self._lines, event))

    def _reject(self, what: str, line: bytes) -> None:
        self._wrong = self._wrong or f"{what}: {line[:200]!r}"

    def events(self) -> list[Event]:
        """In the order in which they were written. Raises ValueError if anything was no event."""
        if self._wrong:
            raise ValueError(self._wrong)
        if self._rest:
            raise ValueError(f"it ends within a line: {self._rest[:200]!r}")
        kept = [*self._first.values(), *self._last.values()]
        return [event for _, event in sorted(itertools.chain(*kept), key=operator.itemgetter(0))]


@dataclass
class Seen:
    """What came of one target."""

    stdout: Stream
    stderr: Stream
    log: Log = field(default_factory=Log)
    failure: bytes = b""
    ended: bool = False
    status: int | None = None  # the target's wait status, where it was reaped as soon as it ended
    stopped: str = ""  # why it had to be ended before its time was up
    seconds: float = 0.0
    open: set[int] = field(default_factory=set)  # pipes that somebody may still write to

    def take(self, descriptor: int, pipes: Pipes) -> bool:
        """Read once from a pipe that has something; False at its end."""
        chunk = os.read(descriptor, CHUNK)
        if descriptor == pipes.log:
            self.log.add(chunk)
        elif descriptor == pipes.failure:
            self.failure += chunk
        else:
            (self.stdout if descriptor == pipes.stdout else self.stderr).add(chunk)
        if not chunk:
            self.open.discard(descriptor)
        return bool(chunk)


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

    `target` is a pidfd. Neither the target nor anything else is killed here; an init reaps it.
    """
    words = sentinel.words() if sentinel else ()
    seen = Seen(
        stdout=Stream(limits.output_bytes, words), stderr=Stream(limits.output_bytes, words)
    )
    seen.open = {pipes.stdout, pipes.stderr, pipes.log, pipes.failure}
    poll = select.poll()
    sources = sentinel.sources() if sentinel else ()
    for descriptor in (*seen.open, *sources, target):
        poll.register(descriptor, select.POLLIN)
    started = time.monotonic()
    deadline = started + limits.timeout_s
    next_look = started + EVERY_S
    while seen.open or not seen.ended:
        now = time.monotonic()
        if now >= deadline:
            break
        if now >= next_look and not seen.ended:
            seen.stopped = meter.excess()
            looked = time.monotonic()
            next_look = looked + until_next(looked - now)
        if seen.stdout.flooded or seen.stderr.flooded:
            seen.stopped = "it printed far more than its limit of output"
        if seen.stopped:
            break
        until = deadline if seen.ended else min(deadline, next_look)
        for descriptor, _ in poll.poll(max(0.0, until - now) * 1000):
            if descriptor == target:
                seen.ended = True
                seen.status = _reaped(target) if os.getpid() == 1 else None
                seen.seconds = time.monotonic() - started
                deadline = time.monotonic() + GRACE_S
                poll.unregister(target)
            elif descriptor in sources:
                assert sentinel is not None
                sentinel.receive(descriptor)
            elif not seen.take(descriptor, pipes):
                poll.unregister(descriptor)
    if not seen.ended:
        seen.seconds = time.monotonic() - started
    return seen


def _reaped(target: int) -> int | None:
    """The wait status of a child that ended; None for one whose tracer has not let it go.

    Before Linux 6.11 a zombie keeps its filters (seccomp_filter_release in release_task), so that
    a listener's supervisor waits until somebody reaps it. Elsewhere than in a pid namespace of the
    run its number could be another's by the time that its group is killed.
    """
    told = os.waitid(os.P_PIDFD, target, os.WEXITED | os.WNOHANG)
    if told is None:
        return None
    if told.si_code == os.CLD_EXITED:
        return told.si_status << 8
    return told.si_status | (CORE if told.si_code == os.CLD_DUMPED else 0)


def drain(seen: Seen, pipes: Pipes, patience_s: float) -> None:
    """Read what is there already, unread, and what an enforcer that has its log open still writes
    within `patience_s`: its last word above all.
    """
    deadline = time.monotonic() + patience_s
    while seen.open and not (seen.stdout.flooded or seen.stderr.flooded):
        left = max(0.0, deadline - time.monotonic()) if pipes.log in seen.open else 0.0
        readable = select.select(sorted(seen.open), [], [], left)[0]
        if not readable:
            return
        for descriptor in readable:
            seen.take(descriptor, pipes)
