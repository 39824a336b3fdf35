"""Runs tests in copies of the tree, several at a time, each with one mistake or with none.

The project is installed in place, so a copy must come first on every import path: PYTHONPATH says
so to all processes that tests start, and no byte code is kept that could outlive its source.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process
from tests.mutants.entries import Change

_WHERE = """
import importlib.util, sys
for name in sys.argv[1:]:
    print(importlib.util.find_spec(name).origin)
"""


class CopyError(Exception):
    """A copy cannot be made, or its modules are not the ones that are imported."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Tests to be run within `limit_s` while `change` is made; with None the tree is as it is."""

    tests: tuple[str, ...]
    limit_s: float
    change: Change | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of the task of this index. `status` is pytest's, None when it took too long."""

    index: int
    status: int | None
    seconds: float
    said: str


class Copy:
    """One worker's tree, with a directory for temporary files beside it."""

    def __init__(self, root: Path, files: Iterable[Path], scratch: Path, number: int) -> None:
        self.path = scratch / f"tree{number}"
        self.output = scratch / f"output{number}"
        # Short, because the names of sockets that tests bind in it are bounded (unix(7)).
        self._temporary = scratch / f"t{number}"
        self._temporary.mkdir()
        self._temporary.chmod(0o1777)
        for file in files:
            target = self.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, target, follow_symlinks=False)

    @property
    def environment(self) -> Mapping[str, str]:
        """What processes need to find the copy before the installed project."""
        return {
            "PYTHONPATH": str(self.path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self._temporary),
            "XDG_STATE_HOME": str(self._temporary / "state"),
        }

    def start(self, tests: Sequence[str], *, first_only: bool) -> subprocess.Popen[bytes]:
        """Begin to run tests; with `first_only` the first failure ends it."""
        command = (
            *("env", f"--chdir={self.path}"),
            *(f"{name}={value}" for name, value in self.environment.items()),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"),
            *(("-x",) if first_only else ()),
            *tests,
        )
        return process.start(command, self.output, self.output.with_suffix(".err"))

    def said(self) -> str:
        """The end of what the tests printed."""
        outputs = (self.output, self.output.with_suffix(".err"))
        texts = (each.read_text("utf-8", "backslashreplace") for each in outputs)
        return "\n".join(filter(None, (text.strip() for text in texts)))[-3000:]

    def clean(self) -> None:
        """Remove byte code: of two sources of one size and one second, Python takes them for one
        (PEP 552, time stamps)."""
        for cache in list(self.path.rglob("__pycache__")):
            shutil.rmtree(cache)

    def check_imports(self, modules: Sequence[str]) -> None:
        """Raises CopyError unless a process that stands elsewhere imports them from here."""
        command = (sys.executable, "-c", _WHERE, *modules)
        environment = {**os.environ, **self.environment}
        done = process.run(command, cwd=Path("/"), env=environment)
        if done.status:
            raise CopyError(done.describe())
        for module, origin in zip(modules, done.stdout.splitlines(), strict=True):
            if not Path(origin).is_relative_to(self.path):
                raise CopyError(f"{module} is imported from {origin}, not from the copy")


class _Running:
    """One task in one copy."""

    def __init__(self, index: int, task: Task, copy: Copy) -> None:
        self.index = index
        self.copy = copy
        self._task = task
        self._file = copy.path / task.change.file if task.change else None
        self._original = self._file.read_bytes() if self._file else b""
        if self._file and task.change:
            old, new = task.change.old.encode(), task.change.new.encode()
            self._file.write_bytes(self._original.replace(old, new))
        self._begun = time.monotonic()
        self._process = copy.start(task.tests, first_only=task.change is not None)
        self.descriptor = os.pidfd_open(self._process.pid)

    @property
    def left_s(self) -> float:
        return max(0.0, self._begun + self._task.limit_s - time.monotonic())

    @property
    def over(self) -> bool:
        return self._process.poll() is not None or not self.left_s

    def finish(self) -> Ran:
        """End it if need be, and undo the change."""
        status = self._process.poll()
        process.stop(self._process)
        process.kill_group(self._process.pid)  # a mistake may leave processes that make others
        os.close(self.descriptor)
        if self._file:
            self._file.write_bytes(self._original)
        self.copy.clean()
        return Ran(
            index=self.index,
            status=status,
            seconds=time.monotonic() - self._begun,
            said=self.copy.said(),
        )


class Workers:
    """Copies in a scratch directory, which goes when the block is left, in whatever way."""

    def __init__(self, root: Path, count: int) -> None:
        self._root = root
        self._count = count
        self._running: list[_Running] = []

    def __enter__(self) -> Workers:
        files = _files(self._root)
        self._scratch = tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True)
        scratch = Path(self._scratch.name)
        scratch.chmod(0o755)  # as root, targets run under another user id
        self.copies = [Copy(self._root, files, scratch, number) for number in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._running:
            each.finish()
        self._scratch.cleanup()

    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        """Run every task; each answer as it comes."""
        waiting = list(enumerate(tasks))[::-1]
        free = list(self.copies)
        while waiting or self._running:
            while waiting and free:
                self._running.append(_Running(*waiting.pop(), free.pop()))
            for each in self._ended():
                self._running.remove(each)
                free.append(each.copy)
                yield each.finish()

    def _ended(self) -> list[_Running]:
        """Wait until some have ended or have had their time."""
        poll = select.poll()
        for each in self._running:
            poll.register(each.descriptor, select.POLLIN)
        poll.poll(1000 * min(each.left_s for each in self._running))
        return [each for each in self._running if each.over]


def _files(root: Path) -> list[Path]:
    """What git tracks, or would. Raises CopyError."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    done = process.run(listing, cwd=root)
    if done.status:
        raise CopyError(done.describe())
    names = sorted({Path(name) for name in done.stdout.split("\0") if name})
    return [name for name in names if (root / name).is_file() or (root / name).is_symlink()]
