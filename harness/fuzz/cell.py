"""Where programs of calls run: namespaces of their own, with a world that nobody else sees.

A warm server forks one walled-in process after the other; each answers JSON lines on the server's
pipes. All of them die with the fuzzer, however it ends, and their file systems with them.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.util import Finalize
from pathlib import Path

from harness.build import BuildError, build_source
from harness.fuzz.session import Answer, Work
from harness.fuzz.target import end_all
from harness.model import Limits
from harness.places import isolation as walls
from harness.places.isolation import Isolation
from harness.places.layout import Layout, coverable_root
from harness.places.warming import warm
from harness.process import BODY_FAILED, ProcessTimeout, Server, fork, wait

SOURCE = Path(__file__).resolve().parent / "actor" / "tasks.c"
ANSWER_S = 300.0
WORKS = ("differential", "escapes")
"""Modules whose `answer` does what a question asks for."""

MECHANISMS = ("ptrace", "notify", "seccomp", "landlock")


class CellError(RuntimeError):
    """The walled-in process failed, not what it tried."""


class Cell:
    """The fuzzer's end. Started at the first question and again whenever it was lost."""

    def __init__(self) -> None:
        self._server: Server | None = None
        Finalize(None, self.close, exitpriority=1)

    def ask(self, question: Mapping[str, object]) -> Mapping[str, object]:
        """One question, one answer. Raises CellError."""
        if self._server is None:
            path = os.pathsep.join(entry for entry in sys.path if entry)
            environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
            self._server = Server([sys.executable, "-m", "harness.fuzz.cell"], env=environment)
        try:
            answer = json.loads(self._server.ask(json.dumps(question), ANSWER_S))
        except (EOFError, ProcessTimeout) as error:
            self._server = None
            raise CellError(f"the cell was lost: {error}") from error
        except KeyboardInterrupt:
            self.close()  # its answer is still to come: nobody may take it for that of another
            raise
        if "broken" in answer:
            raise CellError(str(answer["broken"]))
        found: Mapping[str, object] = answer
        return found

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


@functools.cache
def cell() -> Cell:
    """The cell of this process."""
    return Cell()


@functools.cache
def built() -> Path:
    """The actor's program. Raises BuildError."""
    return build_source(SOURCE, "x86_64", include=SOURCE.parent)


@functools.cache
def unavailable() -> str:
    """Why programs cannot run here; empty: they can."""
    if os.uname().machine != "x86_64":
        return "the actor is written for x86_64"
    try:
        built()
    except BuildError as error:
        return str(error)
    if walls.available() is Isolation.PLAIN:
        return "the kernel permits no namespaces"
    if coverable_root() is None:
        return "there is no directory that a private file system can cover"
    return ""


def _serve() -> None:
    """One session after the other, until the fuzzer closes the pipe or dies."""
    walls.die_with_parent()
    os.umask(0o022)
    isolation = walls.available()
    root = coverable_root()
    assert root is not None
    program = built().read_bytes()
    output = os.dup(1)
    os.dup2(2, 1)
    for name in MECHANISMS:
        warm(name)
    for name in WORKS:
        _work(name)
    gc.freeze()

    def answer(value: Answer) -> None:
        data = json.dumps(value).encode() + b"\n"
        while data:
            data = data[os.write(output, data) :]

    def question() -> Mapping[str, object]:
        line = _line()
        if not line:
            raise SystemExit(0)
        found: Mapping[str, object] = json.loads(line)
        return found

    while True:
        first = question()
        _prepare(first, root)
        guard = fork(lambda: _guard(isolation, root, program, first, question, answer))  # noqa: B023
        if wait(guard):
            answer({"broken": "the process of the cell died"})


def _line() -> bytes:
    """One line of standard input, nothing beyond it: what follows may be for another process."""
    found = b""
    while not found.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return b""
        found += chunk
    return found


def _guard(
    isolation: Isolation,
    root: Path,
    program: bytes,
    first: Mapping[str, object],
    question: Callable[[], Mapping[str, object]],
    answer: Callable[[Answer], None],
) -> int:
    """Between the server and the init of the new namespaces."""
    walls.die_with_parent()
    walls.enter(isolation)

    def exchange(value: Answer) -> Mapping[str, object]:
        answer(value)
        return question()

    def init() -> int:
        walls.die_with_parent()
        try:
            walls.furnish(isolation, Layout(root=root), Limits(), cover_tmp=False)
            place = root / "bin" / "tasks"
            place.parent.mkdir()
            place.write_bytes(program)
            place.chmod(0o755)
            answer(_work(str(first["work"]))(first, root, exchange))
        except SystemExit:
            return 0
        except Exception:
            answer({"broken": traceback.format_exc()})
            raise
        finally:
            end_all()
        return 0

    return 0 if os.waitstatus_to_exitcode(wait(fork(init))) in (0, BODY_FAILED) else 1


def _work(name: str) -> Work:
    """What is done for a question of this kind."""
    found: Work = importlib.import_module(f"harness.fuzz.{name}").answer
    return found


def _prepare(question: Mapping[str, object], root: Path) -> None:
    """What later questions of the kind can share."""
    importlib.import_module(f"harness.fuzz.{question['work']}").prepare(question, root)


if __name__ == "__main__":
    _serve()
