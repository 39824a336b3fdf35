"""Chromium's own sandbox: what its processes are under, against what its documents say of them.

It takes no profile, so that nothing can be exported to it. Document: docs/linux/sandboxing.md of
Chromium, "Sandbox types summary".
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from enforcer.arch import ABIS
from enforcer.cbpf.instruction import Program
from enforcer.cbpf.spec import SeccompData
from enforcer.filters.audit import is_permitted
from enforcer.filters.meaning import answer_of
from enforcer.filters.model import Filter
from enforcer.filters.process import read_process
from enforcer.kernel import procfs
from enforcer.kernel.ptrace import TaskGone
from enforcer.policy.problem import PolicyError
from enforcer.syscalls import number
from harness import process
from harness.runtimes.caught import NotCaught
from harness.runtimes.installed import Report, judged
from harness.scratch import Scratch

NAME = "chromium"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_NOBODY = "65534"
_PAUSE_S = 0.5
_PAUSES = 90
_SETTLED = 6
"""Pauses without a new process, after which all are there."""

FILTERED = frozenset({"renderer", "gpu-process"})
"""The types of process that are documented to be under seccomp-bpf; of others nothing is said."""
WITHHELD = ("openat", "open", "socket", "connect", "execve", "ptrace", "io_uring_setup", "mount")
"""What a renderer asks the browser for by IPC: no file by name, no network, no other program."""
_BARE = "it is under no filter, and is documented to have one"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One process: `report` is what its filters answer, simulator against kernel; None: none.

    `apart` says where it is not as documented.
    """

    pid: int
    kind: str
    report: Report | None
    apart: tuple[str, ...]


def missing() -> str:
    """Why it cannot be started and read here; empty: it can."""
    if os.geteuid():
        return "it needs root, to read the filters of a user's processes"
    if not any(map(shutil.which, _PROGRAMS)):
        return "chromium not found: apt install chromium"
    return ""


def members() -> list[Member]:
    """Start it without a window as nobody, and look at each of its processes; all end with it.

    Raises NotCaught, PolicyError, NotFollowed, BulkError.
    """
    with closing(Scratch()) as scratch:
        scratch.path.chmod(0o777)
        started = process.start(_command(scratch.path), scratch.path / "out", scratch.path / "log")
        try:
            found = _awaited(started.pid, partial(process.pause, started, _PAUSE_S))
            known: dict[tuple[Program, ...], Report] = {}
            return [_member(pid, kind, known) for pid, kind in sorted(found.items())]
        finally:
            process.stop(started)


def _command(home: Path) -> tuple[str, ...]:
    program = next(each for each in _PROGRAMS if shutil.which(each))
    words = ("--headless=new", "--no-first-run", f"--user-data-dir={home}/profile")
    nobody = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    box = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    return (*box, *nobody, "env", f"HOME={home}", program, *words, "--remote-debugging-port=0")


def _awaited(root: int, pause: Callable[[], None]) -> Mapping[int, str]:
    """The processes that have a type, once a renderer is there and no more come."""
    before: Mapping[int, str] = {}
    quiet = 0
    for _ in range(_PAUSES):
        pause()
        found = dict(_typed(root))
        quiet = quiet + 1 if found.keys() == before.keys() else 0
        before = found
        if "renderer" in found.values() and quiet >= _SETTLED:
            return found
    raise NotCaught("no renderer came up")


def _typed(root: int) -> Iterator[tuple[int, str]]:
    parents: dict[int, int] = {}
    for pid in procfs.processes():
        try:
            parents[pid] = int(procfs.stat_fields(procfs.read(pid, "stat"))[1])
        except (OSError, ValueError, IndexError):
            continue
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above != root:
            continue
        try:
            line = procfs.read(pid, "cmdline").decode("utf-8", "replace")
        except OSError:
            continue
        kind = kind_of(line)
        if kind:
            yield pid, kind


def kind_of(line: str) -> str:
    """The type of a process, with the service of a utility; empty for the browser itself.

    What a zygote forks writes its command line anew, with spaces between the words.
    """
    words = line.replace("\0", " ").split()
    said = {key: value for key, _, value in (word.partition("=") for word in words)}
    return " ".join(filter(None, (said.get("--type"), said.get("--utility-sub-type"))))


def _member(pid: int, kind: str, known: dict[tuple[Program, ...], Report]) -> Member:
    """`known` are the filters that were judged already: renderers have the same."""
    try:
        mine = read_process(pid)
    except (PolicyError, TaskGone):
        return Member(pid=pid, kind=kind, report=None, apart=(_BARE,) if kind in FILTERED else ())
    found = known.get(mine.programs) or judged(None, Path(kind), mine, mine)
    known[mine.programs] = found
    apart = tuple(f"it may make {call}" for call in permitted(mine)) if kind == "renderer" else ()
    return Member(pid=pid, kind=kind, report=found, apart=(*apart, *found.mistaken))


def permitted(mine: Filter) -> Iterator[str]:
    """The calls that a renderer is documented not to make, and may, with registers of zero."""
    abi = ABIS["x86_64"]
    for call in WITHHELD:
        nr = number(abi.name, call)
        if nr is not None and is_permitted(answer_of(mine, SeccompData(nr, abi.audit_arch))):
            yield call
