"""From what was seen to an observation: each word that a target says of itself, and its end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.model import Observation, Outcome, RunKind
from harness.places import outcome
from harness.places.outcome import UNAVAILABLE, observe, tree_digest
from harness.places.sentinels import SentinelError
from harness.places.watch import Seen, Stream

NONCE = "5eed"
TOKEN = "TOKEN 5eed attempts=7 wins=3 errno=0"
EXIT_0, EXIT_1 = 0 << 8, 1 << 8


class Told:
    """A sentinel that answers as it is told."""

    def __init__(self, *, reached: bool = False, served: bool = False) -> None:
        self._reached = reached
        self._served = served

    def arguments(self) -> dict[str, str]:
        return {}

    def sources(self) -> tuple[int, ...]:
        return ()

    def receive(self, descriptor: int) -> None:
        raise SentinelError(str(descriptor))

    def words(self) -> tuple[bytes, ...]:
        return ()

    def reached(self, output: bytes) -> bool:
        return self._reached

    def served(self, output: bytes) -> bool:
        return self._served

    def close(self) -> None:
        return


def look(
    said: str | bytes,
    wait_status: int | None = EXIT_0,
    *,
    kind: RunKind = RunKind.ATTACK,
    nonce: str | None = NONCE,
    sentinel: Told | None = None,
    log: bytes = b"",
    failure: bytes = b"",
    stopped: str = "",
) -> Observation:
    seen = Seen(stdout=Stream(1 << 20), stderr=Stream(1 << 20), failure=failure, stopped=stopped)
    seen.stdout.add(said.encode() if isinstance(said, str) else said)
    seen.stderr.add(b"on the side")
    seen.seconds = 1.25
    seen.log.add(log)
    return observe(
        kind,
        seen=seen,
        wait_status=wait_status,
        nonce=nonce,
        sentinel=sentinel,
        scratch=None,
        planted=Path("/nowhere"),
    )


TOKENS = {
    "its own": (TOKEN, EXIT_0, (True, 7, 3, 0)),
    "after output": (f"DATA\n{TOKEN}\n\n", EXIT_0, (True, 7, 3, 0)),
    "with an errno": (f"{TOKEN[:-1]}13\n", EXIT_0, (True, 7, 3, 13)),
    "and exit status 1": (TOKEN, EXIT_1, (False, 0, 0, 0)),
    "and a signal": (TOKEN, signal.SIGTERM, (False, 0, 0, 0)),
    "and no end": (TOKEN, None, (False, 0, 0, 0)),
    "of another run": (TOKEN.replace("5eed", "5eef"), EXIT_0, (False, 0, 0, 0)),
    "of a longer nonce": (TOKEN.replace("5eed", "5eed5"), EXIT_0, (False, 0, 0, 0)),
    "not last": (f"{TOKEN}\nmore\n", EXIT_0, (False, 0, 0, 0)),
    "within a line": (f"x {TOKEN}", EXIT_0, (False, 0, 0, 0)),
    "with a tail": (f"{TOKEN} x", EXIT_0, (False, 0, 0, 0)),
    "without wins": ("TOKEN 5eed attempts=7 errno=0", EXIT_0, (False, 0, 0, 0)),
    "with a number beyond all": (TOKEN.replace("7", "9" * 5000), EXIT_0, (False, 0, 0, 0)),
    "with foreign digits": (TOKEN.replace("7", chr(0x667)), EXIT_0, (False, 0, 0, 0)),
    "absent": ("", EXIT_0, (False, 0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_a_token(name: str) -> None:
    """Only this run's, as the last line of a program that ended with status 0, counts."""
    said, status, wanted = TOKENS[name]
    seen = look(said, status)
    assert (seen.finished, seen.attempts, seen.wins, seen.errno) == wanted


@pytest.mark.parametrize(
    ("said", "rung"),
    [(f"RUNG 6\n{TOKEN}", 6), (TOKEN, None), ("RUNG 6\n", None), (f"RUNG 666\n{TOKEN}", None)],
    ids=["told", "not told", "without its token", "too long"],
)
def test_the_delay_that_won_most(said: str, rung: int | None) -> None:
    """As the program tells it that has come to its end."""
    assert look(said).rung == rung


def test_a_command_needs_no_token() -> None:
    """It has finished when its exit status is 0."""
    assert look("", EXIT_0, nonce=None).finished
    assert not look("", EXIT_1, nonce=None).finished


ENDS = {
    "silent": (TOKEN, EXIT_0, {}, Outcome.SILENT, ""),
    "blocked": (f"{TOKEN[:-1]}1", EXIT_0, {}, Outcome.BLOCKED, ""),
    "no token": ("", EXIT_0, {}, Outcome.CRASHED, "exit status 0 without its token"),
    "exit status 3": ("", 3 << 8, {}, Outcome.CRASHED, "exit status 3 without its token"),
    "a signal": ("", signal.SIGSEGV, {}, Outcome.CRASHED, "killed by SIGSEGV"),
    "a signal without a name": ("", 40, {}, Outcome.CRASHED, "killed by signal 40"),
    "time": (TOKEN, None, {}, Outcome.HUNG, "time is up"),
    "stopped": ("", None, {"stopped": "too much"}, Outcome.CRASHED, "stopped: too much"),
    "unsupported": ("SKIP no rings\n", 77 << 8, {}, Outcome.UNSUPPORTED, "no rings"),
    "broken": ("BROKEN bad luck\n", 99 << 8, {}, Outcome.BROKEN, "bad luck"),
    "much said": ("SKIP " + "x" * 9000, 77 << 8, {}, Outcome.UNSUPPORTED, "x" * 2000),
    "launch": (TOKEN, EXIT_0, {"failure": b"no file"}, Outcome.BROKEN, "launching: no file"),
    "launch, of what is unavailable": (
        "", 71 << 8, {"failure": f"Error: {UNAVAILABLE}X".encode()}, Outcome.BROKEN,
        "launching: Error: unavailable: X",
    ),
    "unavailable": (
        "", 71 << 8, {"failure": f"{UNAVAILABLE}no X".encode()}, Outcome.UNAVAILABLE, "no X"
    ),
    "effect": (TOKEN, EXIT_0, {"sentinel": Told(reached=True)}, Outcome.EFFECT, ""),
    "effect, then a signal": ("", 9, {"sentinel": Told(reached=True)}, Outcome.EFFECT, ""),
    "effect, then time": ("", None, {"sentinel": Told(reached=True)}, Outcome.EFFECT, ""),
    "effect, then stopped": (
        "", None, {"sentinel": Told(reached=True), "stopped": "x"}, Outcome.EFFECT, ""
    ),
    "the twin is no effect": (TOKEN, EXIT_0, {"sentinel": Told(served=True)}, Outcome.SILENT, ""),
    "service": (
        TOKEN, EXIT_0, {"sentinel": Told(served=True), "kind": RunKind.BENIGN}, Outcome.EFFECT, ""
    ),
    "the denied object is no service": (
        TOKEN, EXIT_0, {"sentinel": Told(reached=True), "kind": RunKind.BENIGN}, Outcome.SILENT, ""
    ),
    "garbage in the log": (
        TOKEN, EXIT_0, {"log": b"\xff\n"}, Outcome.BROKEN, r"the enforcer's log: no JSON: b'\xff'"
    ),
    "half a line in the log": (
        TOKEN, EXIT_0, {"log": b'{"event": "end"'}, Outcome.BROKEN,
        "the enforcer's log: it ends within a line: b'{\"event\": \"end\"'",
    ),
    "garbage after an effect": (
        TOKEN, EXIT_0, {"log": b"[]\n", "sentinel": Told(reached=True)}, Outcome.BROKEN,
        "the enforcer's log: no event: b'[]'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_an_end(name: str) -> None:
    """Each has its outcome and its reason."""
    said, status, more, wanted, detail = ENDS[name]
    seen = look(said, status, **more)  # type: ignore[arg-type]
    assert (seen.outcome, seen.detail) == (wanted, detail)
    assert seen.effect is name.startswith(("effect", "service", "garbage after"))


STATUSES = {
    "exit": (3 << 8, 3, None),
    "signal": (signal.SIGKILL, None, 9),
    "core": (signal.SIGABRT | 0x80, None, 6),
    "killed by us": (None, None, None),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_wait_status(name: str) -> None:
    """Exit status or signal, never both; neither when the target had to be killed."""
    wait_status, exit_status, number = STATUSES[name]
    seen = look("", wait_status)
    assert (seen.exit_status, seen.signal) == (exit_status, number)


def test_everything_else_is_passed_on() -> None:
    """Output that is no text as escapes, events, seconds, the kind of run."""
    events = [{"event": "start", "time": 1}, {"event": "end", "decisions": 3}]
    log = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    seen = look(b"\xff\n" + TOKEN.encode(), log=log)
    assert seen.stdout == f"\\xff\n{TOKEN}"
    assert seen.stderr == "on the side"
    assert seen.events == tuple(events)
    assert seen.seconds == 1.25
    assert seen.kind is RunKind.ATTACK
    assert seen.tree == ""


def touch(top: Path) -> None:
    os.utime(top / "file", (1, 1))


def same_content(top: Path) -> None:
    (top / "file").unlink()
    (top / "file").write_text("content")
    (top / "file").chmod(0o640)


def another_kind(top: Path) -> None:
    (top / "empty").unlink()
    (top / "empty").mkdir()


def another_link(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("fild")


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "time": (touch, False),
    "inode": (same_content, False),
    "our own object": (lambda top: (top / "object").write_text("changed"), False),
    "content": (lambda top: (top / "file").write_text("Content"), True),
    "mode": (lambda top: (top / "file").chmod(0o600), True),
    "name": (lambda top: (top / "file").rename(top / "fild"), True),
    "new": (lambda top: (top / "sub/new").touch(), True),
    "kind": (another_kind, True),
    "link": (another_link, True),
    "deep": (lambda top: (top / "sub/deep").write_text("Deep"), True),
    "place": (lambda top: (top / "sub/deep").rename(top / "suc/deep"), True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_tree(name: str, tmp_path: Path) -> None:
    """Names, kinds, modes and contents count, times and inodes do not."""
    act, differs = CHANGES[name]
    (tmp_path / "sub").mkdir()
    (tmp_path / "suc").mkdir()
    for path, content in (
        ("file", "content"),
        ("sub/deep", "deep"),
        ("object", "x"),
        ("empty", ""),
    ):
        (tmp_path / path).write_text(content)
        (tmp_path / path).chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    before = tree_digest(tmp_path, without=tmp_path / "object")
    act(tmp_path)
    assert (tree_digest(tmp_path, without=tmp_path / "object") != before) is differs


def test_a_huge_file_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so much of it counts as is read."""
    monkeypatch.setattr(outcome, "HASHED_BYTES", 4)
    (tmp_path / "file").write_text("1234")
    before = tree_digest(tmp_path, without=tmp_path)
    (tmp_path / "file").write_text("1234 and more")
    assert tree_digest(tmp_path, without=tmp_path) == before
