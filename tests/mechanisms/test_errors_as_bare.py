"""Wrong arguments fail under a mechanism with the number, and in the order, that the kernel has."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.syscalls import table
from harness import process
from tests.mechanisms.questions import Question, asked_calls, questions
from tests.mechanisms.sandbox import Ran, run

ABI = native().abis[0].name
POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite, chdir]
    when: filename match "/*" or filename sub ":["
  - permit: [connect, bind, sendto, sendmsg, sendmmsg]
    when: sockaddr match "*"
  - deny[exdev]: [fsread, fswrite, chdir]
  - deny[exdev]: [connect, bind, sendto, sendmsg, sendmmsg]
"""
_PATH_ONLY = {"open": 1, "openat": 2}


def _has_o_path(call: str, question: Question) -> bool:
    place = _PATH_ONLY.get(call)
    flags = question[place] if place is not None else 0
    if call == "openat2":
        flags = int(str(question[2]).split()[1]) if str(question[2]).startswith("HOW") else 0
    return isinstance(flags, int) and bool(flags & os.O_PATH)


IS_OTHERWISE: Mapping[str, Callable[[str, Question], bool]] = {
    "ptrace": lambda call, question: False,
    # O_PATH is answered with a descriptor for reading. chdir is the kernel's own; whoever judges it
    # before takes a text without an end for one that cannot be read.
    "notify": lambda call, question: (
        call == "chdir" or "PATHFILE" in question or _has_o_path(call, question)
    ),
}
"""Questions that are answered otherwise, as docs/limits.md says."""

Asked = list[tuple[str, Question]]
Start = Callable[[list[str | Path], Path], process.Completed | Ran]


def _answers(asked: Asked, place: Path, start: Start) -> list[object]:
    where = place / "where"
    where.mkdir(parents=True)
    (place / "asked").write_text(json.dumps(asked))
    program = Path(__file__).with_name("asking.py")
    words = [json.dumps(dict(table(ABI))), str(place / "asked"), str(place / "answers")]
    done = start([sys.executable, "-I", "-S", program, *words], where)
    assert done.status == 0, done.stderr
    found: list[object] = json.loads((place / "answers").read_text())
    return found


def _bare(command: list[str | Path], where: Path) -> process.Completed:
    return process.run(command, cwd=where, timeout_s=120.0)


@pytest.fixture(scope="module")
def asked() -> Asked:
    """Every question about every call."""
    return [(call, each) for call in asked_calls(ABI) for each in questions(call, ABI)]


@pytest.fixture(scope="module")
def bare(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What the kernel says to each."""
    return _answers(asked, tmp_path_factory.mktemp("bare"), _bare)


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_errors_are_the_kernels(
    asked: Asked, bare: list[object], mechanism: str, tmp_path: Path
) -> None:
    """Flags that a call does not know or ignores, null and unreadable names and results, odd sizes.

    With rules that permit everything by name every answer is the one without an enforcer, and so is
    what the call left behind.
    """

    def start(command: list[str | Path], where: Path) -> Ran:
        directory = tmp_path / "run"
        directory.mkdir()
        there = ["env", "-C", where, *command]
        return run(mechanism, POLICY, there, directory, timeout_s=180.0)

    confined = _answers(asked, tmp_path, start)
    different = [
        (call, question, alone, here)
        for (call, question), alone, here in zip(asked, bare, confined, strict=True)
        if alone != here and not IS_OTHERWISE[mechanism](call, question)
    ]
    assert sum(len(answer) == 1 for answer in bare if isinstance(answer, list)) > 1000
    assert not different, "\n".join(map(str, different))
