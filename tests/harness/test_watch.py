"""Watching: what counts is not lost, all has its bounds, and garbage is taken for no event."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.model import Limits
from harness.places import watch as watching
from harness.places.usage import Meter
from harness.places.watch import Log, Pipes, Stream, drain, watch
from harness.process import fork, kill, wait
from tests.harness.test_outcome import Told


def line(kind: str, **fields: object) -> bytes:
    return json.dumps({"event": kind, **fields}).encode() + b"\n"


def numbers(log: Log, kind: str) -> list[object]:
    return [event["n"] for event in log.events() if event["event"] == kind]


def test_a_word_is_noticed_wherever_it_comes() -> None:
    """Cut in two by chunks, in what is not kept, alone or among others; a part of it is none."""
    stream = Stream(4, (b"secret", b"nonce"))
    stream.add(b"x" * 5000 + b"sec")
    assert stream.came == b""
    stream.add(b"ret" + b"y" * 10_000)
    assert stream.came == b"secret"
    assert b"secret" not in stream.content()
    stream.add(b"non")
    stream.add(b"ce")
    assert stream.came == b"nonce\nsecret"
    assert Stream(4).came == b""


def test_an_end_survives_any_flood() -> None:
    """Whatever came before and after it, and whatever of its own kind."""
    log = Log()
    log.add(line("start", n=0))
    for number in range(5000):
        log.add(line("detection", n=number) + line("decision", n=number))
    log.add(line("end", n=1, judged={"openat": 5000}))
    for number in range(5000):
        log.add(line("detection", n=number) + line("decision", n=number))
    (end,) = [event for event in log.events() if event["event"] == "end"]
    assert end["judged"] == {"openat": 5000}
    assert numbers(log, "start") == [0]


@pytest.mark.parametrize("kind", ["decision", "detection"])
def test_of_many_events_the_first_and_the_last_are_kept(kind: str) -> None:
    """Fifty of each, in the order in which they were written."""
    log = Log()
    other = "end" if kind == "decision" else "decision"
    for flood in (other, kind, other):
        for number in range(1000):
            log.add(line(flood, n=number))
    assert numbers(log, kind) == [*range(50), *range(950, 1000)]


def test_events_keep_their_order() -> None:
    """Across kinds too."""
    log = Log()
    kinds = ["start", "decision", "enforcing", "decision", "detection", "end", "decision"]
    for kind in kinds:
        log.add(line(kind))
    assert [event["event"] for event in log.events()] == kinds


def test_lines_come_in_any_pieces() -> None:
    """A byte at a time, too."""
    log = Log()
    whole = line("start", n=1) + line("end", n=2)
    for at in range(len(whole)):
        log.add(whole[at : at + 1])
    assert [event["event"] for event in log.events()] == ["start", "end"]


GARBAGE = {
    "no JSON": b"garbage\n",
    "no text": b"\xff\xfe\n",
    "an empty line": b"\n",
    "a list": b"[]\n",
    "a number": b"5\n",
    "no kind": b'{"time": 1}\n',
    "an unknown kind": line("decided"),
    "a kind that is a list": b'{"event": ["end"]}\n',
    "nested without end": b"[" * 100_000 + b"\n",
    "half a line": b'{"event": "end"',
    "a line without end": b" " * (watching.LINE_BYTES + 1),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("before", [0, 1000])
def test_garbage_is_told(name: str, before: int) -> None:
    """As ValueError, wherever it stands, though nobody would keep that line."""
    log = Log()
    for number in range(before):
        log.add(line("decision", n=number))
    log.add(GARBAGE[name])
    if not name.startswith(("half", "a line")):
        for number in range(before):
            log.add(line("decision", n=number))
    endless = r"a line without end"
    told = endless if name == endless else r"no JSON|no event|within a line"
    with pytest.raises(ValueError, match=told):
        log.events()


def test_a_stream_keeps_both_ends() -> None:
    """The first bytes up to the limit, the last few thousand, and a word on the gap."""
    stream = Stream(10)
    stream.add(b"0123")
    stream.add(b"456789abc")
    assert stream.content() == b"0123456789abc"
    stream.add(b"-" * 5000 + b"end")
    content = stream.content()
    assert content.startswith(b"0123456789\n[... 910 bytes left out ...]\n")
    assert content.endswith(b"-end")
    assert len(content) < 10 + 4096 + 50


def test_a_stream_is_flooded_far_beyond_its_limit() -> None:
    """Not before 64 times as much."""
    stream = Stream(10)
    stream.add(b"x" * 640)
    assert not stream.flooded
    stream.add(b"x")
    assert stream.flooded


NAMES = ("stdout", "stderr", "log", "failure")


@contextlib.contextmanager
def watched(body: Callable[[Pipes], int]) -> Iterator[tuple[int, Pipes, Pipes]]:
    """A child that runs `body` with the write ends, as a pidfd; the read ends, the write ends."""
    ends = [os.pipe() for _ in range(4)]
    ours, theirs = (
        Pipes(**dict(zip(NAMES, side, strict=True))) for side in zip(*ends, strict=True)
    )
    pid = fork(lambda: body(theirs))
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd, ours, theirs
    finally:
        kill(pid)
        wait(pid)
        os.close(pidfd)
        for end in ends:
            for descriptor in end:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def shut(pipes: Pipes) -> None:
    for name in NAMES:
        os.close(getattr(pipes, name))


METER = Meter(limits=Limits())


def test_everything_arrives() -> None:
    """Each pipe in its own place, to its end."""

    def body(pipes: Pipes) -> int:
        os.write(pipes.stdout, b"out")
        os.write(pipes.stderr, b"err")
        os.write(pipes.log, line("start"))
        os.write(pipes.failure, b"failed")
        return 0

    with watched(body) as (pidfd, ours, theirs):
        shut(theirs)
        seen = watch(pidfd, ours, None, Limits(), METER)
    assert (seen.stdout.content(), seen.stderr.content()) == (b"out", b"err")
    assert (seen.failure, seen.log.events()) == (b"failed", [{"event": "start"}])
    assert (seen.ended, seen.stopped, seen.open) == (True, "", set())


@pytest.mark.parametrize("how", [0, 3, -signal.SIGKILL])
def test_an_init_reaps_its_target(how: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: a zombie keeps its filters, and their supervisor waits for their end. Nobody else
    does, whose child's number is kept as long as it is a zombie.
    """

    def body(pipes: Pipes) -> int:
        if how < 0:
            os.kill(os.getpid(), -how)
        return how

    for pid in (1, os.getpid()):
        child = fork(lambda: body(Pipes(stdout=-1, stderr=-1, log=-1, failure=-1)))
        pidfd, ends = os.pidfd_open(child), [os.pipe() for _ in NAMES]
        for _, write_end in ends:
            os.close(write_end)
        pipes = Pipes(**dict(zip(NAMES, (read_end for read_end, _ in ends), strict=True)))
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda now=pid: now)
            seen = watch(pidfd, pipes, None, Limits(), METER)
        status = wait(child) if seen.status is None else seen.status
        assert (os.waitstatus_to_exitcode(status), seen.status is None) == (how, pid != 1)
        with pytest.raises(ChildProcessError):
            wait(child)
        for descriptor in (pidfd, *vars(pipes).values()):
            os.close(descriptor)


def test_whose_tracer_holds_it_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reaped with all others, in the end."""
    monkeypatch.setattr(os, "waitid", lambda kind, which, how: None)
    assert watching._reaped(0) is None


class Late(Told):
    """Readable all the time. Once `watch` knows that the target has ended, which it does after two
    looks, each look takes a part of a second, and after three the supervisor says its last word.
    """

    def __init__(self, pidfd: int, log: int, clock: list[float], step_s: float) -> None:
        super().__init__()
        self._pidfd = os.dup(pidfd)
        self._log = log
        self._clock = clock
        self._step_s = step_s
        self._looks = 0
        self._source, write_end = os.pipe()
        os.close(write_end)

    def sources(self) -> tuple[int, ...]:
        return (self._source,)

    def receive(self, descriptor: int) -> None:
        if select.select([self._pidfd], [], [], 0)[0]:
            self._looks += 1
            self._clock[0] += self._step_s if self._looks > 2 else 0.0
            if self._looks == 5:
                os.write(self._log, line("end", judged={"openat": 1}))
                os.close(self._log)


@pytest.mark.parametrize(("step_s", "arrives"), [(0.3, True), (0.9, False)])
def test_a_late_event_is_waited_for(
    step_s: float, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the supervisor writes within a second of the target's end is there; nobody waits for it
    without end.
    """
    clock = [0.0]
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with watched(lambda pipes: 0) as (pidfd, ours, theirs):
        for descriptor in (theirs.stdout, theirs.stderr, theirs.failure):
            os.close(descriptor)
        late = Late(pidfd, theirs.log, clock, step_s)
        seen = watch(pidfd, ours, late, Limits(), METER)
        assert seen.ended
        assert bool(seen.log.events()) is arrives


def test_what_is_in_the_pipes_is_read_when_time_is_up() -> None:
    """Of a run that had to be ended nothing is lost that was written before."""

    def body(pipes: Pipes) -> int:
        signal.pause()
        return 0

    with watched(body) as (pidfd, ours, theirs):
        seen = watch(pidfd, ours, None, Limits(timeout_s=0), METER)
        assert not seen.ended
        os.write(theirs.log, line("end"))
        os.write(theirs.stdout, b"last")
        drain(seen, ours, 0)
        assert (seen.stdout.content(), seen.log.events()) == (b"last", [{"event": "end"}])
        assert ours.log in seen.open


def test_a_drain_ends_with_the_enforcer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a log that nobody can write to, nor for what the target left running."""
    with watched(lambda pipes: 0) as (pidfd, ours, theirs):
        os.write(theirs.log, line("end"))
        os.close(theirs.log)
        select.select([pidfd], [], [])
        seen = watch(pidfd, ours, None, Limits(timeout_s=0), METER)
        os.write(theirs.stdout, b"last")
        waits: list[float] = []

        def at_once(*words: Any) -> Any:
            waits.append(words[3])
            return select.select(words[0], [], [], 0)

        monkeypatch.setattr(watching, "select", SimpleNamespace(select=at_once))
        drain(seen, ours, 3600)
        assert waits[-1] == 0
        assert seen.open == {ours.stdout, ours.stderr, ours.failure}
        assert (seen.stdout.content(), seen.log.events()) == (b"last", [{"event": "end"}])


def test_a_drain_waits_for_the_enforcer() -> None:
    """For what it writes after the target's end, and for its own."""
    with watched(lambda pipes: 0) as (pidfd, ours, theirs):
        seen = watch(pidfd, ours, None, Limits(timeout_s=0), METER)
        late = fork(lambda: os.write(theirs.log, line("end")) * 0)
        shut(theirs)
        drain(seen, ours, 3600)
        wait(late)
    assert seen.log.events() == [{"event": "end"}]
    assert ours.log not in seen.open


@pytest.mark.parametrize("flooded", ["stdout", "stderr"])
def test_a_flood_is_ended(flooded: str) -> None:
    """Long before time is up."""

    def body(pipes: Pipes) -> int:
        while True:
            os.write(getattr(pipes, flooded), bytes(4096))

    with watched(body) as (pidfd, ours, theirs):
        shut(theirs)
        seen = watch(pidfd, ours, None, Limits(timeout_s=20, output_bytes=1000), METER)
    assert "limit of output" in seen.stopped
    assert not seen.ended


class Full:
    """A meter that says that it is full."""

    def excess(self) -> str:
        return "it is full"


def test_the_meter_is_asked() -> None:
    """A target that uses too much is ended long before time is up."""

    def body(pipes: Pipes) -> int:
        signal.pause()
        return 0

    with watched(body) as (pidfd, ours, _):
        seen = watch(pidfd, ours, None, Limits(timeout_s=20), Full())  # type: ignore[arg-type]
    assert (seen.stopped, seen.ended) == ("it is full", False)


def test_a_sentinel_is_served_meanwhile() -> None:
    """What arrives at its sources is received while the target runs."""
    got: list[int] = []

    class Served(Told):
        def sources(self) -> tuple[int, ...]:
            return (source,)

        def receive(self, descriptor: int) -> None:
            got.append(len(os.read(descriptor, 100)))

    source, filled = os.pipe()
    os.write(filled, b"12345")

    def body(pipes: Pipes) -> int:
        return 0

    with watched(body) as (pidfd, ours, theirs):
        shut(theirs)
        watch(pidfd, ours, Served(), Limits(), METER)
    os.close(source)
    os.close(filled)
    assert got == [5]


def test_seconds_are_those_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or until time was up."""
    clock = iter(range(1000))
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def body(pipes: Pipes) -> int:
        signal.pause()
        return 0

    with watched(body) as (pidfd, ours, _):
        assert watch(pidfd, ours, None, Limits(timeout_s=3), METER).seconds >= 3
