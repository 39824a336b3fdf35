"""Measurements: each row under each confinement in turn, several times, in a directory made for it.

The confinements take turns, so that what disturbs the machine meets all of them: ratios are taken
within a turn, and the median of the turns is told, with the least and the most.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from enforcer.mechanisms.contract import MechanismName
from harness import process
from harness.bench.rows import Row, can_build, clear, prepared
from harness.build import build_source

SOURCE = Path(__file__).resolve().parent / "loop.c"
STRACE = "strace --seccomp-bpf"
BWRAP = "bwrap"
WITH = ":"
"""Between a mechanism and the defences that are on: `ptrace:copy,pin`, `ptrace:` for none."""
TIMEOUT_S = 900.0


class BenchError(Exception):
    """A measurement that failed; the message has the command and what it said."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Nanoseconds of one round, one number a turn; none where the backend cannot do this."""

    row: str
    backend: str
    turns: tuple[float, ...] = ()
    reason: str = ""

    @property
    def nanoseconds(self) -> float | None:
        """The median."""
        return statistics.median(self.turns) if self.turns else None

    def ratios(self, to: Measurement) -> tuple[float, ...]:
        """How many times as long as `to` in each turn; the median is what counts."""
        return tuple(mine / its for mine, its in zip(self.turns, to.turns, strict=False))


def confinements() -> tuple[str, ...]:
    """What can be measured here: bare, each mechanism, strace, and a peer without a supervisor."""
    found = [name.value for name in MechanismName]
    found += [STRACE] if shutil.which("strace") else []
    return (*found, *([BWRAP] if _has_bwrap() else []))


def _has_bwrap() -> bool:
    if not shutil.which(BWRAP):
        return False
    return process.run([BWRAP, "--dev-bind", "/", "/", "true"]).status == 0


@contextlib.contextmanager
def bound(wanted: bool) -> Iterator[None]:
    """Meanwhile this process, and what it starts, runs on one of its processors, if `wanted`."""
    before = os.sched_getaffinity(0)
    if wanted:
        os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured: rounds over one name, different names, C files of a build, turns."""

    count: int
    names: int
    files: int
    tries: int


def measure(
    directory: Path, confinement: Sequence[str], size: Size, words: Sequence[str] = ()
) -> Iterator[Measurement]:
    """Every row with one of `words` in its title (all without any) under every confinement.

    A row's measurements come together, as soon as it has had its turns; an interrupted row's have
    those that it had, and then KeyboardInterrupt goes on. Raises BenchError, BuildError.
    """
    program = directory / "loop"
    built = build_source(SOURCE, native().abis[0].name, include=SOURCE.parent)
    shutil.copy2(built, program)
    files = size.files if can_build() else 0
    for row in prepared(directory, program, size.names, files):
        if not words or any(word in row.title for word in words):
            yield from _in_turns(row, confinement, program, size)


def _in_turns(
    row: Row, confinement: Sequence[str], program: Path, size: Size
) -> Iterator[Measurement]:
    turns: Mapping[str, list[float]] = {name: [] for name in confinement}
    reasons: dict[str, str] = {}
    interrupt: KeyboardInterrupt | None = None
    try:
        for name in (name for _ in range(size.tries) for name in confinement):
            if name in reasons:
                continue
            taken, reason = _once(row, name, program, size)
            if taken is None:
                reasons[name] = reason
            else:
                turns[name].append(taken)
    except KeyboardInterrupt as error:
        interrupt = error
    for name in confinement:
        yield Measurement(
            row=row.title, backend=name, turns=tuple(turns[name]), reason=reasons.get(name, "")
        )
    if interrupt is not None:
        raise interrupt


def _once(row: Row, confinement: str, program: Path, size: Size) -> tuple[float | None, str]:
    place = program.parent / "permitted"
    if row.is_build:
        clear(row)
        place = Path(row.name)
        command = ["make", "-s", "-j2"]
    else:
        command = [str(program), row.kind, str(_rounds(row, confinement, size)), str(row.spread)]
        command.append(row.name)
    begin = time.perf_counter_ns()
    done = process.run([*_prefix(row, confinement), *command], timeout_s=TIMEOUT_S, cwd=place)
    taken = time.perf_counter_ns() - begin
    if done.status == 2 and confinement in list(MechanismName):
        return None, done.stderr.strip()
    if row.is_build and done.status == 0:
        return float(taken), ""
    try:
        return float(done.stdout), ""
    except ValueError:
        raise BenchError(done.describe()) from None


def _rounds(row: Row, confinement: str, size: Size) -> int:
    """Each different name is met once; one name the more often the cheaper it is."""
    if row.spread > 1:
        return row.spread
    is_cheap = row.register_only or confinement in (MechanismName.NONE, BWRAP)
    return max(1, size.count * (20 if is_cheap and row.share == 1 else 1) // row.share)


def _prefix(row: Row, confinement: str) -> list[str]:
    if confinement == MechanismName.NONE:
        return []
    if confinement == STRACE:
        return ["strace", "-f", "--seccomp-bpf", "-e", f"trace={row.traced}", "-o", "/dev/null"]
    if confinement == BWRAP:
        permitted = str(row.policy.parent / "permitted")
        hidden = ["--dev-bind", "/", "/", "--remount-ro", "/", "--bind", permitted, permitted]
        return [BWRAP, *hidden, "--"]
    mechanism, is_set, on = confinement.partition(WITH)
    enforcer = [sys.executable, "-m", "enforcer", "run", "--backend", mechanism]
    enforcer += ["--defences", on or "none"] if is_set else []
    partly = ["--partial"] if confinement == MechanismName.LANDLOCK else []
    return [*enforcer, *partly, "--policy", str(row.policy), "--"]
