"""The tables of the talk, measured here: four calls under each mechanism over bare, and how many
calls programs make.

Łukasz Sowa, "Filtrowanie wywołań systemowych", 10. Sesja Linuksowa, 6 April 2013. Its way was one
loop of 10^8 calls in each row. Beside it: many short loops in turns, with an interval.
"""

from __future__ import annotations

import math
import re
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from harness import process
from harness.bench.measure import SOURCE, BenchError
from harness.build import build_source

TALKS_CALLS = 10**8
CALLS: Mapping[str, str] = {"getuid": "-", "setuid": "-", "chdir": "/", "read": "/dev/zero"}
"""The talk's four, with what each is made on."""
BARE = "bare"
TIMEOUT_S = 3600.0
MISS = 0.05
"""How often an interval may miss the median."""
LONGEST_S = 60.0
"""How long a loop of the talk's way may last: where each call stops the target it makes fewer. 10^8
calls of setuid under ptrace would take two hours.
"""

PROGRAMS: Mapping[tuple[str, ...], int | None] = {
    ("pwd",): 36,
    ("ls", "/"): 91,
    ("ls", "-la", "/"): 720,
    ("find", "/usr/include"): 79_679,
}
"""Programs to be counted, with what the talk counted of its own (there ls was of a home directory,
find of linux-3.8.5).
"""
_TOTAL = re.compile(r"^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)(?:\s+\d+)?\s+total$", re.M)


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """One column: the words before the program."""

    title: str
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One call under one confinement, in nanoseconds a call: `once` by the talk's way, one loop of
    `calls` (None and 0: left out), `turns` by ours, with those of bare in the same turns.
    """

    call: str
    confinement: str
    calls: int
    once: float | None
    once_bare: float | None
    turns: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def overhead_once(self) -> float | None:
        """Of bare, by the talk's way: 0.42 is 42 % more."""
        if self.once is None or not self.once_bare:
            return None
        return self.once / self.once_bare - 1

    @property
    def overhead(self) -> tuple[float, float, float]:
        """The median of the turns' overheads, and its interval."""
        each = [mine / its - 1 for mine, its in zip(self.turns, self.bare, strict=True)]
        low, high = interval(each)
        return statistics.median(each), low, high


def interval(values: Sequence[float], miss: float = MISS) -> tuple[float, float]:
    """The order statistics that have the median of their distribution, whichever, between them but
    for `miss`; the least and the most of fewer than are needed for that.
    """
    ordered = sorted(values)
    count = len(ordered)
    inner, tail = 0, 0.0
    for k in range(count // 2):
        tail += math.comb(count, k) / 2**count
        if 2 * tail > miss:
            break
        inner = k
    return ordered[inner], ordered[count - 1 - inner]


def confinements(directory: Path) -> tuple[Confinement, ...]:
    """Bare first; what is not installed is left out."""
    named, reading = directory / "named.yaml", directory / "reading.yaml"
    named.write_text("default: permit\nrules:\n  - deny[enosys]: mkdir\n", encoding="ascii")
    calls = ", ".join(CALLS)
    reading.write_text(
        f"default: permit\nrules:\n  - deny[enosys]: [{calls}]\n    when: arg[2]:32 == 19088743\n",
        encoding="ascii",
    )
    found = [Confinement(title=BARE)]
    for title, backend, policy in (
        ("seccomp", "seccomp", named),
        ("seccomp, an argument", "seccomp", reading),
        ("ptrace", "ptrace", named),
        ("notify", "notify", named),
    ):
        enforcer = (sys.executable, "-m", "enforcer", "run", "--backend", backend)
        found.append(Confinement(title=title, prefix=(*enforcer, "--policy", str(policy), "--")))
    if shutil.which("strace"):
        # What SUBTERFUGUE and systrace's users had: a tracer that sees every call.
        plain = ("strace", "-f", "-e", "trace=none", "-e", "signal=none", "-o", "/dev/null")
        found.append(Confinement(title="a plain tracer", prefix=plain))
    return tuple(found)


def measured(directory: Path, calls: int, turns: int, a_turn: int) -> Iterator[Cell]:
    """Every call under every confinement: `turns` of `a_turn` calls, and `calls` once (0: not), or
    as many of them as fit into LONGEST_S by what the turns took.

    Raises BenchError, BuildError.
    """
    program = directory / "loop"
    shutil.copy2(build_source(SOURCE, native().abis[0].name, include=SOURCE.parent), program)
    columns = confinements(directory)
    for call in CALLS:
        taken: dict[str, list[float]] = {each.title: [] for each in columns}
        for each in (each for _ in range(turns) for each in columns):
            taken[each.title].append(_loop(program, call, each, a_turn))
        made = {title: fitting(calls, statistics.median(its)) for title, its in taken.items()}
        once = {
            each.title: _loop(program, call, each, made[each.title]) if calls else None
            for each in columns
        }
        for each in columns:
            yield Cell(
                call=call,
                confinement=each.title,
                calls=made[each.title],
                once=once[each.title],
                once_bare=once[BARE],
                turns=tuple(taken[each.title]),
                bare=tuple(taken[BARE]),
            )


def fitting(calls: int, nanoseconds: float, longest_s: float = LONGEST_S) -> int:
    """How many of `calls` a loop makes that is to end in time."""
    return min(calls, max(1, int(longest_s * 1e9 / nanoseconds)))


def _loop(program: Path, call: str, confinement: Confinement, rounds: int) -> float:
    words = [*confinement.prefix, str(program), call, str(rounds), "1", CALLS[call]]
    done = process.run(words, timeout_s=TIMEOUT_S, cwd=program.parent)
    try:
        return float(done.stdout)
    except ValueError:
        raise BenchError(done.describe()) from None


def counted() -> Iterator[tuple[str, int, int | None]]:
    """Programs, the calls that `strace -cf` counts of each here, and what the talk counted."""
    if not shutil.which("strace"):
        return
    for command, then in PROGRAMS.items():
        done = process.run(["strace", "-cf", *command], timeout_s=TIMEOUT_S)
        total = _TOTAL.search(done.stderr)
        if total is None:
            raise BenchError(done.describe())
        yield " ".join(command), int(total[1]), then
