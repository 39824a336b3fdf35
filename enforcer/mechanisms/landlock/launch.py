"""Put the calling process under Landlock domains, prove that they hold, and execute the command.

The proof has two halves, each tried before and after. A process that stays outside: its memory can
be read before and not after, under whatever domain. And, where the domains deny opening or
connecting somewhere that is known to exist, that very act.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from enforcer.events import EventKind, EventLog
from enforcer.kernel.execve import find_command
from enforcer.kernel.landlock import FileRight, NetRight, errno_of_reading, restrict_self, version
from enforcer.kernel.seccomp import no_new_privs
from enforcer.mechanisms.contract import LaunchError, Unavailable
from enforcer.mechanisms.landlock.layer import Layer, build_ruleset, denied_ports

_DIRECTORIES = ("/", "/etc", "/usr", "/proc", "/dev", "/tmp")
_SINKS = ("/dev/null", "/dev/full", "/dev/zero")


@dataclass(frozen=True, kw_only=True)
class Act:
    """A harmless act that the domains deny: `attempt` gives 0 or the errno."""

    title: str
    attempt: Callable[[], int]


def launch_restricted(
    layers: Sequence[Layer],
    *,
    needed: int,
    inexpressible: object,
    command: Sequence[str],
    log: EventLog,
) -> NoReturn:
    """Restrict and execute; see Mechanism.launch."""
    path = find_command(command[0])
    try:
        present = version()
    except OSError as error:
        raise Unavailable(f"Landlock is not there: {error}") from error
    if present < needed:
        raise Unavailable(f"the plan needs Landlock ABI {needed}, the kernel has {present}")
    log.emit(
        EventKind.START,
        mechanism="landlock",
        command=list(command),
        abi=present,
        needed=needed,
        inexpressible=inexpressible,
    )
    if layers:
        Path(path).stat()
        _restrict(layers, path, log)
    os.execv(path, list(command))


def _restrict(layers: Sequence[Layer], path: str, log: EventLog) -> None:
    with _outsider() as outsider:
        acts = [act for act in _acts(layers, outsider) if act.attempt() in (0, errno.ECONNREFUSED)]
        if not acts:
            raise LaunchError("no witness: every act that the domains deny fails before as well")
        left_out: list[str] = []
        try:
            rulesets = []
            for layer in layers:
                ruleset, omitted = build_ruleset(layer, path)
                rulesets.append(ruleset)
                left_out += omitted
            no_new_privs()
            for ruleset in rulesets:
                restrict_self(ruleset)
                os.close(ruleset)
        except OSError as error:
            raise LaunchError(f"the kernel refuses the domain: {error}") from error
        answers = {act.title: act.attempt() for act in acts}
    evidence = {
        "mechanism": "landlock",
        "target": os.getpid(),
        "layers": len(layers),
        "denied": {title: errno.errorcode.get(answer, "0") for title, answer in answers.items()},
        "left_out": left_out,
    }
    if any(answer not in (errno.EACCES, errno.EPERM) for answer in answers.values()):
        log.emit(EventKind.DETECTION, reason="the domain is not at work", **evidence)
        raise LaunchError(f"the domain is not at work: {evidence['denied']}")
    log.emit(EventKind.ENFORCING, **evidence)


_OUTSIDER = "read the memory of a process outside"


def _acts(layers: Sequence[Layer], outsider: int) -> Iterator[Act]:
    yield Act(title=_OUTSIDER, attempt=lambda: errno_of_reading(outsider))
    for directory in _DIRECTORIES:
        if _denied(layers, directory, FileRight.READ_DIR):
            yield _opening(directory, os.O_RDONLY | os.O_DIRECTORY)
            break
    for sink in _SINKS:
        if _denied(layers, sink, FileRight.WRITE_FILE):
            yield _opening(sink, os.O_WRONLY)
            break
    for port in denied_ports(layers, NetRight.CONNECT_TCP):
        yield _connecting(port)
        break


def _denied(layers: Sequence[Layer], path: str, right: FileRight) -> bool:
    return any(layer.files & right and not layer.permits(path, right) for layer in layers)


def _opening(path: str, flags: int) -> Act:
    def attempt() -> int:
        try:
            os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY))
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    mode = "writing" if flags & os.O_WRONLY else "reading"
    return Act(title=f"open {path} for {mode}", attempt=attempt)


def _connecting(port: int) -> Act:
    def attempt() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as end:
            return end.connect_ex(("127.0.0.1", port))

    return Act(title=f"connect to port {port}", attempt=attempt)


@contextlib.contextmanager
def _outsider() -> Iterator[int]:
    """The pid of a child that does nothing; it stays outside of what its parent enters later."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        yield child
    finally:
        os.close(writing)
        os.waitpid(child, 0)
