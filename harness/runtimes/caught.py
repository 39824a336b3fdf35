"""The filters of a program at its very start: its launcher and all its children are traced.

A filter of ours, the oldest, stops every task at prctl and seccomp, so that what they load is read
at once (PTRACE_SECCOMP_GET_FILTER): a task that its filter kills cannot be asked any more.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import assemble
from enforcer.cbpf.spec import ALLOW, TRACE, AbiTable, FilterSpec, always
from enforcer.kernel import ptrace, seccomp
from enforcer.kernel.seccomp_filter import filters_of_stopped
from enforcer.syscalls import number
from harness import process

_OPTIONS = (
    ptrace.TRACEFORK
    | ptrace.TRACEVFORK
    | ptrace.TRACECLONE
    | ptrace.TRACEEXEC
    | ptrace.TRACESECCOMP
    | ptrace.TRACESYSGOOD
    | ptrace.EXITKILL
)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_CALL_STOP = signal.SIGTRAP | 0x80
_LOADING = ("prctl", "seccomp")
PATIENCE_S = 60.0


class NotCaught(Exception):
    """The program was never started under a filter; the message says what the launcher said."""


@dataclass(frozen=True, kw_only=True)
class Caught:
    """The filters, newest first; `started`: the program itself was under them, not a task that a
    filter ended on the way to it.
    """

    filters: tuple[bytes, ...]
    started: bool


def caught(command: Sequence[str], program: Path, *, log: Path) -> Caught:
    """Run `command`, which starts `program` (told by its name), until that is under its filters.

    A process of its own traces, with whose end all tracees are killed. The command's output goes to
    `log`. Raises NotCaught.
    """
    out, answer = os.pipe()
    tracer = process.fork(lambda: _traced(command, program.name, log, answer))
    os.close(answer)
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read()
    process.wait(tracer)
    found = json.loads(said) if said else {"error": "the tracer died"}
    if "error" in found:
        words = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
        raise NotCaught(f"{found['error']}: {words[-400:] or 'it said nothing'}")
    filters = tuple(bytes.fromhex(each) for each in found["filters"])
    return Caught(filters=filters, started=bool(found["started"]))


def _traced(command: Sequence[str], name: str, log: Path, answer: int) -> int:
    pid = process.fork(lambda: _begin(command, log))
    os.waitpid(pid, os.WUNTRACED)
    try:
        ptrace.seize(pid, _OPTIONS)
        os.kill(pid, signal.SIGCONT)
        found = _followed(name, time.monotonic() + PATIENCE_S)
        said: dict[str, object] = {
            "filters": [each.hex() for each in found.filters],
            "started": found.started,
        }
    except (NotCaught, OSError, ptrace.TaskGone) as error:
        process.kill(pid)
        said = {"error": str(error) or type(error).__name__}
    os.write(answer, json.dumps(said).encode())
    return 0


def _begin(command: Sequence[str], log: Path) -> int:
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, descriptor in ((0, null), (1, out), (2, out)):
        os.dup2(descriptor, target)
    os.kill(os.getpid(), signal.SIGSTOP)
    seccomp.load_filter(_stopping())
    os.execvp(command[0], [*command])


def _stopping() -> bytes:
    """The filter that has its tracer told of the calls that load others."""
    abi = native().native
    table = AbiTable(abi, {each: always(TRACE(0)) for each in _numbers(abi.name)}, ALLOW)
    program = compile_filter(FilterSpec((table,), ALLOW))
    return assemble(program, big_endian=abi.big_endian)


def _numbers(abi: str) -> frozenset[int]:
    found = (number(abi, each) for each in _LOADING)
    return frozenset(each for each in found if each is not None)


def _followed(name: str, until: float) -> Caught:
    """Let all tasks run on until the program starts, or all have ended. Raises NotCaught."""
    last: tuple[bytes, ...] = ()
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, until - time.monotonic()))
    while True:
        try:
            tid, status = os.waitpid(-1, ptrace.WALL)
        except (ChildProcessError, _TooLate):
            break
        if not os.WIFSTOPPED(status):
            continue
        event, stop = status >> 16, os.WSTOPSIG(status)
        if event == ptrace.EVENT_EXEC and _executable(tid) == name and (found := _filters(tid)):
            return Caught(filters=found, started=True)
        if stop == _CALL_STOP:
            last = _filters(tid) or last
        _resume(tid, event, stop)
    if not last:
        raise NotCaught("it was never under a filter")
    return Caught(filters=last, started=False)


class _TooLate(Exception):
    """The patience is over."""


def _too_late(number: int, frame: object) -> None:
    raise _TooLate


def _executable(tid: int) -> str:
    return Path(f"/proc/{tid}/exe").readlink().name


def _filters(tid: int) -> tuple[bytes, ...]:
    """All but the oldest, which is ours."""
    try:
        return filters_of_stopped(tid)[:-1]
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ESRCH):
            return ()  # it was killed meanwhile
        raise
    except ptrace.TaskGone:
        return ()


def _resume(tid: int, event: int, stop: int) -> None:
    try:
        if event == ptrace.EVENT_STOP and stop in _STOPS:
            ptrace.listen(tid)
        elif event == ptrace.EVENT_SECCOMP:
            ptrace.resume_to_syscall(tid)  # to the call's end, when the filter is there
        else:
            ptrace.resume(tid, 0 if event or stop == _CALL_STOP else stop)
    except ptrace.TaskGone:
        return
