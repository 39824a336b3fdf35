"""Processes beside the target, under its ids and outside its sandbox: a user's own services.

Standard library only: they are started in guests too.
"""

from __future__ import annotations

import array
import mmap
import os
import select
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from enforcer.kernel import namespaces
from harness.places.isolation import Identity, die_with_parent
from harness.process import close_all_but, fork, kill, wait

REQUEST_BYTES = 4096
READ = b"read "
OPEN = b"open "
KEEP = b"keep "
WITH = b"with "
STATE = "state"
NAME = "interposition-peer"


class Helper:
    """A process that does `body` until it is ended, keeping the descriptors `keep`.

    Once this is made it is what it is to be: nobody finds it with other ids, or not dumpable yet.
    Raises ChildProcessError when it ends before.
    """

    def __init__(self, who: Identity, body: Callable[[], None], keep: Iterable[int] = ()) -> None:
        is_ready, ready = os.pipe()
        kept = {*keep, ready}

        def helper() -> int:
            close_all_but(kept)
            if os.geteuid() != who.uid:
                os.setgroups([])
                os.setresgid(who.gid, who.gid, who.gid)
                os.setresuid(who.uid, who.uid, who.uid)
            # As an ordinary program is: who may trace it, the kernel tells by its ids.
            namespaces.set_dumpable()
            die_with_parent()  # a change of ids cleared that (PR_SET_PDEATHSIG)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.write(ready, b"!")
            os.close(ready)
            body()
            return 0

        self.pid = fork(helper)
        os.close(ready)
        try:
            if not os.read(is_ready, 1):
                raise ChildProcessError("a helper ended before it was ready")
        finally:
            os.close(is_ready)

    def end(self) -> None:
        """Kill and reap it, unless somebody has."""
        try:
            kill(self.pid)
            wait(self.pid)
        except ChildProcessError:
            return


def serve_files(ears: Sequence[socket.socket], names: Iterable[Path]) -> None:
    """A deputy: who asks a datagram socket of `ears` gets the content of a file of `names`
    (`read NAME`), or a descriptor for reading it (`open NAME`), whether he may read it or not; or
    what a shell prints that is started with a variable of his (`with NAME`, for FILE).

    What it is told (`keep TEXT`) it writes to a file in a directory of its own beside the last of
    `names`, which it makes when it first needs it.
    """
    known = {os.fsencode(name): name for name in names}
    *_, last = known.values()
    while True:
        for ear in ears:
            try:
                request, asker = ear.recvfrom(REQUEST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            verb, name = request[: len(READ)], known.get(request[len(READ) :])
            if verb == KEEP and asker:
                state = last.with_name(STATE)
                state.mkdir(exist_ok=True)
                (state / last.name).write_bytes(request[len(KEEP) :])
                ear.sendto(b"kept", asker)
            if name is None or not asker:
                continue
            if verb == WITH:
                ear.sendto(_started_with({"FILE": str(name)}), asker)
                continue
            with name.open("rb") as stream:
                if verb == OPEN:
                    # Not send_fds, which takes no notice of an address (CPython 3.14 and before).
                    rights = array.array("i", [stream.fileno()])
                    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                    ear.sendmsg([b"descriptor"], control, 0, asker)
                elif verb == READ:
                    ear.sendto(stream.read(), asker)
        select.select(ears, [], [])


def _started_with(variables: Mapping[str, str]) -> bytes:
    """What a program prints that reads the file which a variable names."""
    is_said, said = os.pipe()

    def show() -> int:
        os.dup2(said, 1)
        script = 'read -r line < "$FILE" && echo "$line"'
        os.execve("/bin/sh", ["sh", "-c", script], dict(variables))

    child = fork(show)
    os.close(said)
    try:
        return os.read(is_said, REQUEST_BYTES)
    finally:
        os.close(is_said)
        wait(child)


def sleep_on() -> None:
    """Do nothing: what others do to one is what counts."""
    while True:
        signal.pause()


class SharedMemory:
    """Memory that this process and the helpers that it forks from now on have at one `address`."""

    def __init__(self, size: int) -> None:
        descriptor = os.memfd_create(NAME)
        os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)
        os.close(descriptor)
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        self.address = max(int(line.partition("-")[0], 16) for line in lines if NAME in line)

    def content(self) -> bytes:
        """What is there now."""
        return self._memory[:]

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()
