"""Start a detached supervisor, so that the launching process itself becomes the target.

The launcher keeps its pid, parent, process group, session and exit status; the supervisor is
nobody's child but init's, holds none of the launcher's descriptors, and cannot be traced.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NoReturn

from enforcer.events import EventLog
from enforcer.kernel import procfs
from enforcer.kernel.allocator import share_arena
from enforcer.kernel.prctl import forbid_dumping, permit_tracer, set_name
from enforcer.mechanisms.contract import LaunchError
from enforcer.supervision import failure
from enforcer.supervision.ending import Ending, heed_no_other

_ERROR = "error"
_STARTED = "started"
_SERVE = "serve"
_READY = "ready"
_GO = "go"
_MESSAGE_BYTES = 65536
_IGNORED = (
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)


class _Channel:
    """Whole messages `word text` over a sequenced-packet pair."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """For poll: readable at a message or when the other end is gone."""
        return self._end.fileno()

    def send(self, word: str, text: str = "") -> None:
        """Raises ConnectionError when the other end is gone."""
        packet = f"{word} {text}".encode(errors="surrogateescape")[:_MESSAGE_BYTES]
        try:
            self._end.send(packet, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise ConnectionError(f"the other end is gone: {error}") from error

    def receive(self) -> tuple[str, str]:
        """The next message. Raises ConnectionError when the other end is gone."""
        try:
            packet = self._end.recv(_MESSAGE_BYTES)
        except OSError as error:
            raise ConnectionError(f"the other end is gone: {error}") from error
        if not packet:
            raise ConnectionError("the other end is gone")
        word, _, text = packet.decode(errors="surrogateescape").partition(" ")
        return word, text

    def close(self) -> None:
        self._end.close()


class Handshake(_Channel):
    """The supervisor's end. `target` is the pid of the launching process, the target-to-be.

    `ending` waits for the signals that end the supervisor.
    """

    def __init__(self, end: socket.socket, target: int) -> None:
        super().__init__(end)
        self.target = target
        self.ending = Ending()

    def ready(self, text: str = "") -> None:
        """Tell the launcher that it may go on; `text` is handed to it."""
        self.send(_READY, text)

    def fail(self, text: str) -> None:
        """Make the launcher raise LaunchError(text)."""
        self.send(_ERROR, text)

    def wait_go(self) -> str:
        """What the launcher says with its last word. Raises ConnectionError if it is gone."""
        word, text = self.receive()
        if word != _GO:
            raise ConnectionError(f"{_GO!r} was expected, {word!r} came")
        return text


class Launcher(_Channel):
    """The launching process's end. `supervisor` is the supervisor's pid."""

    def __init__(self, end: socket.socket, supervisor: int) -> None:
        super().__init__(end)
        self.supervisor = supervisor

    def wait_ready(self) -> str:
        """The text that came with 'ready'. Raises LaunchError with the supervisor's own text."""
        return _expect(self, _READY)

    def go(self, text: str = "") -> None:
        """The last word before the execve. Raises LaunchError if the supervisor is gone."""
        try:
            self.send(_GO, text)
        except ConnectionError as error:
            raise LaunchError("the supervisor ended before the command was started") from error

    def end_with_supervisor(self) -> None:
        """Until the execve, this process is killed when the supervisor ends or says a word.

        For a launcher that itself keeps alive what its held call waits for.
        """
        end = self.fileno()
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)


def log_descriptors(log: EventLog) -> tuple[int, ...]:
    """The descriptors that a supervisor must keep to write `log`."""
    return log.descriptors()


def start_supervisor(
    serve: Callable[[Handshake], None],
    *,
    keep: Iterable[int] = (),
    name: str = "supervisor",
    own_session: bool = True,
) -> Launcher:
    """Run `serve` in a detached process of its own and return the launcher's end.

    In the supervisor only the handshake and the descriptors in `keep` stay open, 0 to 2 lead to
    /dev/null unless kept, signals of the terminal are ignored but for ENDING, which always end it
    (ending.py), the working directory is `/`, the process is not dumpable and is a member, not the
    leader, of a session of its own. Without `own_session` it stays in the launcher's, in a group of
    its own: in one scheduler autogroup the two take turns in half the time (measured on a busy
    machine). What `serve` raises before the launcher goes on becomes the text of LaunchError. Under
    Yama the caller permits the supervisor to trace it. All descriptors made here are close-on-exec;
    those in `keep` become so in the caller. Raises LaunchError.
    """
    kept = frozenset(keep)
    for descriptor in kept:
        if descriptor > 2:
            os.set_inheritable(descriptor, False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    target = os.getpid()
    middle = os.fork()
    if middle == 0:
        _become_supervisor(serve, theirs, target, kept, name, own_session)
    theirs.close()
    _, status = os.waitpid(middle, 0)
    if status != 0:
        ours.close()
        raise LaunchError(f"the supervisor could not be started (wait status {status})")
    pid = int(_expect(_Channel(ours), _STARTED))
    permit_tracer(pid)
    launcher = Launcher(ours, pid)
    # Not before: a launcher that is being traced stops for its middle child's SIGCHLD.
    try:
        launcher.send(_SERVE)
    except ConnectionError as error:
        raise LaunchError("the supervisor ended before it was ready") from error
    return launcher


def restore_signals() -> None:
    """Give the signals that Python ignores their default back, for a command to inherit."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def execute(command: Sequence[str]) -> NoReturn:
    """Execute `command`, searched in PATH, with restored signals.

    Raises the OSError of an execve that fails.
    """
    restore_signals()
    os.execvp(command[0], list(command))


def _expect(channel: _Channel, wanted: str) -> str:
    try:
        word, text = channel.receive()
    except ConnectionError as error:
        raise LaunchError("the supervisor ended before it was ready") from error
    if word == _ERROR:
        raise LaunchError(text)
    if word != wanted:
        raise LaunchError(f"the supervisor said {word!r} where {wanted!r} was expected")
    return text


def _become_supervisor(
    serve: Callable[[Handshake], None],
    end: socket.socket,
    target: int,
    kept: frozenset[int],
    name: str,
    own_session: bool,
) -> NoReturn:
    """The child's side: fork once more, detach, serve, and never return into the caller's code."""
    status = 70
    try:
        if own_session:
            os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.setpgid(0, 0)
        _detach(kept | {end.fileno()})
        set_name(name)
        forbid_dumping()
        gc.freeze()  # the launcher's objects stay; to look through them takes 10 ms each time
        share_arena()  # under the limits of its target, whose calls it has a thread for each
        handshake = Handshake(end, target)
        handshake.send(_STARTED, str(os.getpid()))
        _expect(handshake, _SERVE)
        try:
            handshake.ending.start()
            serve(handshake)
        except Exception as error:
            handshake.fail(_told(error))
            raise
        status = 0
    finally:
        os._exit(status)


def _told(error: Exception) -> str:
    """With the line where it is somebody's mistake, not an answer of the kernel's."""
    if isinstance(error, (OSError, LaunchError)):
        return failure.told(error)
    return f"{failure.place(error)}: {failure.told(error)}"


def _detach(kept: frozenset[int]) -> None:
    """Let go of everything that belongs to the launcher."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    heed_no_other()
    _, hardest = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (resource.RLIM_INFINITY, hardest):  # which was meant for what the command writes
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            break
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in {0, 1, 2} - kept:
        os.dup2(nowhere, standard, inheritable=False)
    low = 3
    for descriptor in sorted(number for number in kept if number > 2):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 0x7FFF_FFFF)
    procfs.forget()
    os.chdir("/")
