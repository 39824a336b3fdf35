"""The harness's one place for starting, waiting for and killing processes.

Every child dies with its parent, has a time limit, and is reaped on every way out.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import multiprocessing
import multiprocessing.connection
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BODY_FAILED = 70  # EX_SOFTWARE: what a forked child ends with when its body raised
ANSWER_BYTES = 1 << 27  # more than the observations of a case, each with its limit of output


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that ended. `status` is the exit status, or minus the signal's number."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def describe(self) -> str:
        """The command, its status and the end of what it said, for an error message."""
        said = (self.stderr or self.stdout).strip()[-2000:]
        return f"`{shlex.join(self.command)}` ended with status {self.status}\n{said}".rstrip()


class ProcessTimeout(Exception):
    """A command ran longer than it may; it and its process group were killed."""


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float = 60.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Completed:
    """Run `command` to its end in a session of its own and capture what it prints.

    It dies with the calling thread. Raises FileNotFoundError (no such program), ProcessTimeout.
    """
    words = tuple(str(word) for word in command)
    _find(words[0], cwd, os.environ if env is None else env)
    process = subprocess.Popen(
        (*_bound(), *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=None if env is None else dict(env),
        start_new_session=True,
        text=True,
        errors="backslashreplace",
    )
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or error.stdout or b"").decode("utf-8", "backslashreplace").strip()
        what = f"`{shlex.join(words)}` took more than {timeout_s:g} s"
        raise ProcessTimeout(f"{what}\n{said[-2000:]}".rstrip()) from None
    finally:
        if process.poll() is None:
            kill_group(process.pid)
            process.communicate()
    return Completed(command=words, status=process.returncode, stdout=stdout, stderr=stderr)


@functools.cache
def _bound() -> tuple[str, ...]:
    """Begins a command that is to be killed when the thread that starts it ends."""
    program = shutil.which("setpriv")
    return () if program is None else (program, "--pdeathsig", "KILL", "--")


def _find(program: str, cwd: Path | None, env: Mapping[str, str]) -> None:
    """Raises FileNotFoundError when there is no such program."""
    if "/" in program:
        found = Path(cwd or ".", program).exists()
    else:
        found = shutil.which(program, path=env.get("PATH", os.defpath)) is not None
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def alone(command: Sequence[str]) -> tuple[str, ...]:
    """`command` with everything that it starts in a process id namespace that ends with us.

    Without the right to make one, only the command itself dies with us.
    """
    own = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    namespace = ("unshare", *own, "--pid", "--fork", "--kill-child=KILL")
    if run((*namespace, "true")).status:
        return tuple(command)
    return (*namespace, "--", *command)


def run_on(
    command: Sequence[str | Path], stdin: int, *, timeout_s: float, cwd: Path | None = None
) -> int:
    """Run `command` with an open descriptor as its input; its status as in Completed.

    What it prints is thrown away. Raises ProcessTimeout.
    """
    child = subprocess.Popen(
        [str(word) for word in command],
        stdin=stdin,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise ProcessTimeout(f"`{command[0]}` took more than {timeout_s:g} s") from None
    finally:
        if child.poll() is None:
            kill_group(child.pid)
            child.wait()


def kill_group(pid: int) -> None:
    """SIGKILL to a process group, gone or not."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def kill(pid: int) -> None:
    """SIGKILL to a process, gone or not."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_as_interrupted() -> None:
    """From here on SIGTERM and SIGHUP end this process as Ctrl-C does: KeyboardInterrupt.

    One that whoever started us has set aside (nohup) stays so.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def fork(body: Callable[[], int]) -> int:
    """Run `body` in a forked child, whose exit status it returns; the caller gets the pid.

    Only for processes with one thread. What `body` raises is printed to the child's stderr.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is where the descriptor came closed
            stream.flush()
    pid = os.fork()
    if pid:
        return pid
    status = BODY_FAILED
    try:
        status = body()
    except BaseException:
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """Reap a child; its wait status."""
    return os.waitpid(pid, 0)[1]


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor above 2 but `kept`: to be close-on-exec is not enough for what is
    forked before the execve.
    """
    low = 3
    for descriptor in sorted(number for number in kept if number > 2):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def end_with_parent() -> None:
    """In a worker of multiprocessing: end at once when the process that started the pool ends.

    A death signal would be that of the fork server between them, which outlives the other.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(BODY_FAILED)

    threading.Thread(target=follow, daemon=True).start()


class Server:
    """A child that answers one line with one line (JSON), kept warm between questions.

    The answers are bytes that whoever reaches the child's pipes may have written.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            tuple(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions = self._process.stdin
        self._answers = self._process.stdout
        # A child that is stopped reads nothing, and a question may be larger than a pipe.
        os.set_blocking(self._questions.fileno(), False)
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, line: str, timeout_s: float) -> bytes:
        """Send one line, return the answer's line.

        Raises ProcessTimeout, or EOFError when the child has died or says too much; it is killed
        then.
        """
        question = memoryview(line.encode() + b"\n")
        deadline = time.monotonic() + timeout_s
        ended = b"\n" in self._buffer
        while not ended:
            left = max(0.0, deadline - time.monotonic())
            asking = [self._questions] if question else []
            readable, writable, _ = select.select([self._answers], asking, [], left)
            if not readable and not writable:
                self.close()
                raise ProcessTimeout(f"no answer within {timeout_s:g} s")
            if readable:
                chunk = os.read(self._answers.fileno(), 1 << 20)
                self._buffer += chunk
                ended = b"\n" in chunk
                if not chunk or len(self._buffer) > ANSWER_BYTES:
                    self.close()
                    raise EOFError("the agent says too much" if chunk else "the agent has ended")
            elif writable:
                try:
                    question = question[os.write(self._questions.fileno(), question) :]
                except BrokenPipeError:
                    self.close()
                    raise EOFError("the agent has ended") from None
        answer, _, self._buffer = self._buffer.partition(b"\n")
        return answer

    def close(self) -> None:
        """End the child: its input is closed, then it is killed with its group."""
        self._questions.close()
        self._answers.close()
        kill_group(self._process.pid)
        self._process.wait()


def start(command: Sequence[str], stdout: Path, stderr: Path) -> subprocess.Popen[bytes]:
    """Start a program that runs beside the harness and dies with it (PR_SET_PDEATHSIG).

    Raises FileNotFoundError when there is no such program.
    """
    with stdout.open("wb") as out, stderr.open("wb") as err:
        return subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", "--", *command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what `start` started, with its group, and reap it."""
    if process.poll() is None:
        kill_group(process.pid)
    process.wait()


def pause(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until what `start` started has ended, but no longer than this."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
