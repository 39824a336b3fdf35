"""Warm children and the processes that they leave: bounded, whoever stops or kills whom."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.kernel import namespaces
from harness import process
from harness.places.ending import children, end_all
from harness.process import BODY_FAILED, ProcessTimeout, Server, close_all_but, fork, kill, wait


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import os, sys, signal\n{program}")


def test_a_line_is_answered_with_a_line() -> None:
    """Also one that does not fit into a pipe, and what was said of the next one is kept for it."""
    server = Server(python("for line in sys.stdin: print(len(line), flush=True)"))
    assert server.ask("x" * 9, 60) == b"10"
    assert server.ask("x" * 999_999, 60) == b"1000000"
    server.close()


def test_what_is_said_beforehand_is_an_answer() -> None:
    """Lines come out in their order; it is for the asker to tell whose they are."""
    server = Server(python("print('one\\ntwo', flush=True)\nsys.stdin.read()"))
    assert [server.ask("", 60), server.ask("", 60)] == [b"one", b"two"]
    server.close()


LOST = {
    "ends": ("", EOFError, "has ended"),
    "ends amid a line": ("os.write(1, b'half')", EOFError, "has ended"),
    "closes its input": (
        "os.close(0); signal.pause()",
        (EOFError, ProcessTimeout),
        "has ended|no answer",
    ),
    "says nothing": ("signal.pause()", ProcessTimeout, "no answer"),
    "stops": ("os.kill(os.getpid(), signal.SIGSTOP)", ProcessTimeout, "no answer"),
    "says too much": ("while True: os.write(1, bytes(65536))", EOFError, "too much"),
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("question", ["short", "x" * 1_000_000])
def test_a_lost_child(name: str, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told from one that answers, in bounded time and memory, and is killed and reaped."""
    program, error, text = LOST[name]
    monkeypatch.setattr(process, "ANSWER_BYTES", 1 << 20)
    server = Server(python(program))
    with pytest.raises(error, match=text):  # type: ignore[call-overload]
        server.ask(question, 600 if error is EOFError else 0.5)
    assert not Path(f"/proc/{server.pid}").exists()


def in_child(body: Callable[[], bool]) -> bool:
    return wait(fork(lambda: 0 if body() else 1)) == 0


def test_all_descriptors_are_closed_but_some() -> None:
    """The standard ones stay as well."""

    def body() -> bool:
        kept = os.dup2(1, 700)
        ends = {*os.pipe(), os.dup2(1, 500), os.dup2(1, 900)}
        close_all_but({kept, 1})
        open_now = {int(path.name) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
        return {0, 1, 2, kept} <= open_now and not ends & open_now

    assert in_child(body)


def test_a_body_that_raises_ends_its_child(capfd: pytest.CaptureFixture[str]) -> None:
    """With a status of its own, saying why: it never goes on in its parent's code."""

    def body() -> int:
        raise KeyError

    assert os.waitstatus_to_exitcode(wait(fork(body))) == BODY_FAILED
    assert "KeyError" in capfd.readouterr().err


def idle() -> int:
    signal.pause()
    return 0


def idle_elsewhere() -> int:
    os.setsid()
    return idle()


def test_everything_that_a_process_left_is_ended() -> None:
    """Children, orphans in sessions of their own, and those that are stopped; not
    those that were there before.
    """

    def body() -> bool:
        namespaces.adopt_orphans()
        read_end, write_end = os.pipe()
        ask, answer = os.pipe(), os.pipe()

        def echo() -> int:
            while True:
                os.write(answer[1], os.read(ask[0], 1))

        before = fork(echo)
        known = children()

        def parent() -> int:
            orphan = fork(idle_elsewhere)
            os.kill(orphan, signal.SIGSTOP)
            os.write(write_end, b"%d " % orphan)
            return 3

        middle = fork(parent)
        orphan = int(os.read(read_end, 20))
        ended = end_all(known)
        gone = not Path(f"/proc/{orphan}").exists()
        os.close(answer[1])
        os.write(ask[1], b"x")
        # Neither ended, which is the end of its answers, nor stopped, which is none.
        told = bool(select.select([answer[0]], [], [], 10.0)[0])
        kept = told and os.read(answer[0], 1) == b"x"
        kill(before)
        wait(before)
        return (
            known == {before}
            and gone
            and kept
            and set(ended) == {middle, orphan}
            and os.WTERMSIG(ended[orphan]) == signal.SIGKILL
        )

    assert in_child(body)


def test_a_process_that_forks_all_the_time_is_ended() -> None:
    """All are stopped before the first is killed."""

    def body() -> bool:
        namespaces.adopt_orphans()
        read_end, write_end = os.pipe()

        def forking() -> int:
            os.write(write_end, b"x")
            while True:
                if pid := os.fork():
                    os.waitpid(pid, 0)

        for _ in range(3):
            fork(forking)
            os.read(read_end, 1)
        end_all()
        return not children()

    assert in_child(body)
