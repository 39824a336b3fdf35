"""Measurements: the loop under one confinement, in a directory made for it.

Each is the least of several tries, because every disturbance only adds time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from enforcer.mechanisms.contract import MechanismName
from harness import process
from harness.build import build_source

SOURCE = Path(__file__).resolve().parent / "loop.c"
STRACE = "strace --seccomp-bpf"
TIMEOUT_S = 300.0
MANY_RULES = 100


class BenchError(Exception):
    """A measurement that failed; the message has the command and what it said."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing to time: `kind` and `name` are the loop's arguments, `policy` what confines it."""

    title: str
    kind: str
    name: str
    policy: Path
    register_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Nanoseconds of one round, None where the backend cannot do this."""

    row: str
    backend: str
    nanoseconds: float | None
    reason: str = ""


def rows(directory: Path) -> tuple[Row, ...]:
    """Prepare files and policies in `directory`."""
    file = directory / "permitted" / "file"
    file.parent.mkdir()
    file.write_text("content\n")
    link = directory / "permitted" / "link"
    link.symlink_to(file.name)
    paths = directory / "paths.yaml"
    paths.write_text(
        "default: permit\n"
        "rules:\n"
        "  - permit: [open, openat, openat2]\n"
        f'    when: filename match "{file.parent}/*"\n'
        "  - deny[eacces]: [open, openat, openat2]\n"
        f'    when: filename match "{directory}/*"\n'
    )
    many = directory / "many.yaml"
    rules = "".join(
        f"  - deny[eperm]: ioctl\n    when: arg[1]:32 == {0x5500 + number}\n"
        for number in range(MANY_RULES)
    )
    many.write_text(f"default: permit\nrules:\n{rules}")
    return (
        Row(title="open+close, absolute name", kind="open", name=str(file), policy=paths),
        Row(title="open+close, relative name", kind="open", name="file", policy=paths),
        Row(title="open+close, symbolic link", kind="open", name=str(link), policy=paths),
        Row(
            title=f"getppid, {MANY_RULES} rules",
            kind="getppid",
            name="-",
            policy=many,
            register_only=True,
        ),
    )


def confinements() -> tuple[str, ...]:
    """What can be measured here: bare, each mechanism, strace."""
    found = [name.value for name in MechanismName]
    return (*found, *([STRACE] if shutil.which("strace") else []))


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


def measure(
    directory: Path, confinement: Sequence[str], count: int, tries: int
) -> Iterator[Measurement]:
    """Every row under every confinement. Raises BenchError, BuildError."""
    program = directory / "loop"
    built = build_source(SOURCE, native().abis[0].name, include=SOURCE.parent)
    shutil.copy2(built, program)
    for row in rows(directory):
        for name in confinement:
            best: float | None = None
            reason = ""
            for _ in range(tries):
                taken, reason = _once(row, name, program, directory, count)
                if taken is None:
                    break
                best = taken if best is None else min(best, taken)
            yield Measurement(row=row.title, backend=name, nanoseconds=best, reason=reason)


def _once(
    row: Row, confinement: str, program: Path, directory: Path, count: int
) -> tuple[float | None, str]:
    rounds = count * 20 if row.register_only or confinement == MechanismName.NONE else count
    loop = [str(program), row.kind, str(rounds), row.name]
    command = [*_prefix(row, confinement), *loop]
    done = process.run(command, timeout_s=TIMEOUT_S, cwd=directory / "permitted")
    if done.status == 2 and confinement in list(MechanismName):
        return None, done.stderr.strip()
    try:
        return float(done.stdout), ""
    except ValueError:
        raise BenchError(done.describe()) from None


def _prefix(row: Row, confinement: str) -> list[str]:
    if confinement == MechanismName.NONE:
        return []
    if confinement == STRACE:
        return ["strace", "-f", "--seccomp-bpf", "-e", "trace=openat", "-o", "/dev/null"]
    enforcer = [sys.executable, "-m", "enforcer", "run", "--backend", confinement]
    partly = ["--partial"] if confinement == MechanismName.LANDLOCK else []
    return [*enforcer, *partly, "--policy", str(row.policy), "--"]
