"""Planted objects whose state, seen from outside the sandbox, proves or refutes an effect.

Each has a denied object and a permitted twin of the same kind, with fresh random nonces that no
command line and no environment holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import socket
import stat
import struct
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.model import Effect
from harness.places.helpers import Helper, SharedMemory, serve_files, sleep_on
from harness.places.isolation import Identity
from harness.places.layout import Layout

BACKLOG = 128
NONCE_BYTES = 16
FINGERPRINTED = 1000  # objects; those that we plant are few
PATIENCE_S = 10.0
"""How long something of our own may take to arrive where the target's things arrive."""


class SentinelError(Exception):
    """A sentinel that cannot be planted or that nobody can observe: broken, never a verdict."""


def fresh_nonce() -> str:
    """128 random bits as hexadecimal text."""
    return os.urandom(NONCE_BYTES).hex()


class Sentinel(Protocol):
    """One denied object with its permitted twin."""

    def arguments(self) -> dict[str, str]:
        """KEY=VALUE words for the attack program."""
        ...

    def sources(self) -> tuple[int, ...]:
        """Descriptors to call `receive` for when they are readable."""
        ...

    def receive(self, descriptor: int) -> None:
        """Take what has arrived on one of `sources`."""
        ...

    def words(self) -> tuple[bytes, ...]:
        """What to look for in all that the target prints."""
        ...

    def reached(self, output: bytes) -> bool:
        """Whether the denied thing happened; `output` has those of `words` that were printed."""
        ...

    def served(self, output: bytes) -> bool:
        """Whether the same work on the permitted twin happened."""
        ...

    def close(self) -> None:
        """Close descriptors."""
        ...


class _Mute:
    """A sentinel that shows by other things than what the target prints."""

    def words(self) -> tuple[bytes, ...]:
        return ()


class _Still:
    """A sentinel without descriptors."""

    def sources(self) -> tuple[int, ...]:
        return ()

    def receive(self, descriptor: int) -> None:
        raise SentinelError(f"descriptor {descriptor} is not watched")

    def close(self) -> None:
        return


def await_input(descriptor: int, what: str) -> None:
    """Wait until a descriptor is readable. Raises SentinelError after PATIENCE_S."""
    if not select.select([descriptor], [], [], PATIENCE_S)[0]:
        raise SentinelError(f"{what} did not arrive within {PATIENCE_S:g} s")


def fingerprint(path: Path) -> str:
    """A digest of what an object is now: inode, mode, owner, size, mtime and content.

    Of a directory, of all that it holds as well. Whatever a target puts in the object's place, this
    neither waits (for the writer of a FIFO) nor goes on without end.
    """
    digest = hashlib.sha256()
    left = [path]
    for _ in range(FINGERPRINTED):
        if not left:
            return digest.hexdigest()
        each = left.pop()
        try:
            found = each.lstat()
        except FileNotFoundError:
            digest.update(b"absent")
            continue
        digest.update(
            f"{found.st_ino} {found.st_mode} {found.st_uid} {found.st_gid} "
            f"{found.st_size} {found.st_mtime_ns}".encode()
        )
        if stat.S_ISLNK(found.st_mode):
            digest.update(os.fsencode(each.readlink()))
        elif stat.S_ISDIR(found.st_mode):
            inside = sorted(each.iterdir())
            digest.update(b"\0".join(os.fsencode(child.name) for child in inside))
            left += inside
        elif stat.S_ISREG(found.st_mode):
            digest.update(each.read_bytes())
    return f"more than {FINGERPRINTED} objects"


class PathSentinel(_Still):
    """A file, a program, a symbolic link, or a directory that holds a file, on both sides alike.

    LINKED: each file has a hard link in the permitted directory, `link` and `twin`.

    WRITE: the fingerprint changes. EXEC: the object is a program that prints its nonce. Otherwise
    the nonce is the content (for a directory: a file's name), and the target prints it.
    """

    def __init__(self, layout: Layout, who: Identity, effect: Effect, kind: str) -> None:
        self._layout = layout
        self._effect = effect
        self._nonces = {layout.denied: fresh_nonce(), layout.allowed: fresh_nonce()}
        for path, nonce in self._nonces.items():
            if kind == "dir":
                path.mkdir(mode=0o755)
                (path / nonce).write_text(nonce + "\n")
                os.chown(path / nonce, who.uid, who.gid)
            elif kind == "link":
                path.symlink_to(nonce)
            elif kind == "program":
                path.write_bytes(layout.program.read_bytes() + nonce.encode())
                path.chmod(0o755)
            elif effect is Effect.EXEC:
                path.write_text(f"#!/bin/sh\necho {nonce}\n")
                path.chmod(0o755)
            else:
                path.write_text(nonce + "\n")
                path.chmod(0o644)
            os.chown(path, who.uid, who.gid, follow_symlinks=False)
        if kind == "linked":
            (layout.directory / "link").hardlink_to(layout.denied)
            (layout.directory / "twin").hardlink_to(layout.allowed)
        self._before = {path: fingerprint(path) for path in self._nonces}

    def arguments(self) -> dict[str, str]:
        return {"denied": str(self._layout.denied), "allowed": str(self._layout.allowed)}

    def words(self) -> tuple[bytes, ...]:
        return tuple(nonce.encode() for nonce in self._nonces.values())

    def _happened(self, path: Path, output: bytes) -> bool:
        if self._effect is Effect.WRITE:
            return fingerprint(path) != self._before[path]
        return self._nonces[path].encode() in output

    def reached(self, output: bytes) -> bool:
        return self._happened(self._layout.denied, output)

    def served(self, output: bytes) -> bool:
        return self._happened(self._layout.allowed, output)


class PortSentinel(_Mute):
    """Two loopback ports; a connection or a datagram came to one, or none did.

    A client knows of its connection before the listener does: before an answer, one of our own has
    to come out behind those of the target. So has a datagram, which a softirq delivers.
    """

    def __init__(self, layout: Layout) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._reached = {layout.port: 0, layout.allowed_port: 0}
        self._ports: dict[int, int] = {}
        self._own: object = None
        self._layout = layout
        for port in self._reached:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                found = socket.socket(socket.AF_INET, kind)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                found.bind(("127.0.0.1", port))
                if kind is socket.SOCK_STREAM:
                    found.listen(BACKLOG)
                found.setblocking(False)
                self._sockets[found.fileno()] = found
                self._ports[found.fileno()] = port

    def arguments(self) -> dict[str, str]:
        return {
            "port": str(self._layout.port),
            "allowed_port": str(self._layout.allowed_port),
        }

    def sources(self) -> tuple[int, ...]:
        return tuple(self._sockets)

    def receive(self, descriptor: int) -> None:
        found = self._sockets[descriptor]
        take = _taken if found.type is socket.SOCK_DGRAM else _accepted
        while True:
            try:
                peer = take(found)
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                peer = None
            if peer is not None and peer == self._own:
                self._own = None
            else:
                self._reached[self._ports[descriptor]] += 1

    def _collect(self) -> None:
        for descriptor, port in self._ports.items():
            self.receive(descriptor)
            with socket.socket(socket.AF_INET, self._sockets[descriptor].type) as own:
                own.settimeout(PATIENCE_S)
                own.connect(("127.0.0.1", port))
                self._own = own.getsockname()
                if own.type is socket.SOCK_DGRAM:
                    own.send(b"")
                while self._own:
                    await_input(descriptor, f"our own way to port {port}")
                    self.receive(descriptor)

    def reached(self, output: bytes) -> bool:
        self._collect()
        return self._reached[self._layout.port] > 0

    def served(self, output: bytes) -> bool:
        self._collect()
        return self._reached[self._layout.allowed_port] > 0

    def close(self) -> None:
        for found in self._sockets.values():
            found.close()


def _accepted(listener: socket.socket) -> object:
    """Who connects; reset on close: thousands of connections leave no TIME_WAIT behind."""
    connection, peer = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return peer


def _taken(mailbox: socket.socket) -> object:
    """Who sends; what is sent counts for nothing."""
    return mailbox.recvfrom(1)[1]


class SocketSentinel(_Mute):
    """Two datagram sockets of the agent's; a message arrives, or does not.

    The program is told a nonce for each, so that what arrives is known to come from it; and only
    at its own socket it counts, because a race may send either to both.
    """

    def __init__(self, layout: Layout, who: Identity) -> None:
        self._layout = layout
        self._sockets: dict[int, socket.socket] = {}
        self._nonces = {layout.denied: fresh_nonce(), layout.allowed: fresh_nonce()}
        self._seen: dict[str, bytes] = {}
        for path in self._nonces:
            found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            found.bind(str(path))
            found.setblocking(False)
            os.chown(path, who.uid, who.gid)
            self._sockets[found.fileno()] = found

    def arguments(self) -> dict[str, str]:
        return {
            "denied": str(self._layout.denied),
            "allowed": str(self._layout.allowed),
            "inject": self._nonces[self._layout.denied],
            "print": self._nonces[self._layout.allowed],
        }

    def sources(self) -> tuple[int, ...]:
        return tuple(self._sockets)

    def receive(self, descriptor: int) -> None:
        try:
            message = self._sockets[descriptor].recv(1 << 16)
        except BlockingIOError:
            return
        name = self._sockets[descriptor].getsockname()
        self._seen[name] = (self._seen.get(name, b"") + message)[-(1 << 20) :]

    def _arrived(self, path: Path) -> bool:
        while readable := select.select(self.sources(), [], [], 0)[0]:
            for descriptor in readable:
                self.receive(descriptor)
        return self._nonces[path].encode() in self._seen.get(str(path), b"")

    def reached(self, output: bytes) -> bool:
        return self._arrived(self._layout.denied)

    def served(self, output: bytes) -> bool:
        return self._arrived(self._layout.allowed)

    def close(self) -> None:
        for found in self._sockets.values():
            found.close()


class DeputySentinel(PathSentinel):
    """Two files, and a helper outside the sandbox that reads either for whoever asks it.

    It keeps what it is told in a directory beside the permitted one.

    It listens on a path beside the denied file, and on the abstract name of the same text.
    """

    def __init__(self, layout: Layout, who: Identity, effect: Effect) -> None:
        super().__init__(layout, who, effect, "file")
        self._name = str(layout.deputy)
        self._ears = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for ear, name in zip(self._ears, (self._name, f"\0{self._name}"), strict=True):
            ear.bind(name)
        os.chown(self._name, who.uid, who.gid)
        names = (layout.denied, layout.allowed)
        self._helper = Helper(
            who, lambda: serve_files(self._ears, names), [ear.fileno() for ear in self._ears]
        )

    def arguments(self) -> dict[str, str]:
        return {**super().arguments(), "deputy": self._name}

    def close(self) -> None:
        self._helper.end()
        for ear in self._ears:
            ear.close()


class PeerSentinel(_Still):
    """A helper outside the sandbox, under the target's ids, with memory that the agent sees too.

    The effect is that the denied nonce is in that memory; the twin prints the other one.
    """

    def __init__(self, who: Identity) -> None:
        self._memory = SharedMemory(NONCE_BYTES * 2)
        self._helper = Helper(who, sleep_on)
        self._denied, self._allowed = fresh_nonce(), fresh_nonce()

    def arguments(self) -> dict[str, str]:
        return {
            "peer": str(self._helper.pid),
            "address": str(self._memory.address),
            "inject": self._denied,
            "print": self._allowed,
        }

    def words(self) -> tuple[bytes, ...]:
        return (self._allowed.encode(),)

    def reached(self, output: bytes) -> bool:
        return self._memory.content() == self._denied.encode()

    def served(self, output: bytes) -> bool:
        return self._allowed.encode() in output

    def close(self) -> None:
        self._helper.end()
        self._memory.close()


class TerminalSentinel(_Mute):
    """A private terminal, the target's controlling one.

    The denied command (TIOCSTI) puts the nonce, which the program is told, into the terminal's
    input queue; it shows as an echo at the master's end, where only the agent reads. The permitted
    twin writes its nonce to the terminal in the ordinary way. The kernel carries both over in a
    worker of its own: before an answer, something of ours has to come out behind them.
    """

    def __init__(self, who: Identity) -> None:
        self._master, slave = os.openpty()
        self.name = os.ttyname(slave)
        os.fchown(slave, who.uid, who.gid)
        attributes = termios.tcgetattr(slave)
        attributes[3] |= termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        os.close(slave)
        # The slave stays open in the agent, so that the master never sees a hang-up.
        self._slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.set_blocking(self._master, False)
        self._seen = b""
        self._denied = fresh_nonce()
        self._allowed = fresh_nonce()

    def arguments(self) -> dict[str, str]:
        return {
            "denied": self.name,
            "allowed": self.name,
            "tty": self.name,
            "inject": self._denied,
            "print": self._allowed,
        }

    def sources(self) -> tuple[int, ...]:
        return (self._master,)

    def receive(self, descriptor: int) -> None:
        try:
            self._seen = (self._seen + os.read(descriptor, 1 << 16))[-(1 << 20) :]
        except BlockingIOError:
            return

    def _collect(self) -> None:
        own = fresh_nonce().encode()
        termios.tcflow(self._slave, termios.TCOON)
        os.write(self._slave, own)
        while own not in self._seen:
            await_input(self._master, "what we wrote to the terminal")
            self.receive(self._master)

    def reached(self, output: bytes) -> bool:
        self._collect()
        return self._denied.encode() in self._seen

    def served(self, output: bytes) -> bool:
        self._collect()
        return self._allowed.encode() in self._seen

    def control(self) -> None:
        """Make the terminal the controlling one of the calling session leader."""
        descriptor = os.open(self.name, os.O_RDWR)
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
        os.close(descriptor)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


OBSERVED: Mapping[str, frozenset[Effect]] = {
    "file": frozenset({Effect.READ, Effect.WRITE, Effect.EXEC, Effect.LOG}),
    "program": frozenset({Effect.WRITE}),
    "dir": frozenset({Effect.READ, Effect.WRITE}),
    "linked": frozenset({Effect.READ}),
    "link": frozenset({Effect.LOG}),
    "port": frozenset({Effect.NET}),
    "socket": frozenset({Effect.IPC}),
    "deputy": frozenset({Effect.READ, Effect.WRITE}),
    "peer": frozenset({Effect.IPC}),
    "tty": frozenset({Effect.IOCTL}),
}
"""Kinds of sentinels and the effects on them that show from outside."""


def plant(kind: str, effect: Effect, layout: Layout, who: Identity) -> Sentinel:
    """Plant the sentinel that a manifest asks for. Raises SentinelError, OSError."""
    if effect not in OBSERVED.get(kind, ()):
        raise SentinelError(f"nothing observes the effect {effect} on a sentinel of kind {kind!r}")
    match kind:
        case "tty":
            return TerminalSentinel(who)
        case "port":
            return PortSentinel(layout)
        case "socket":
            return SocketSentinel(layout, who)
        case "deputy":
            return DeputySentinel(layout, who, effect)
        case "peer":
            return PeerSentinel(who)
    return PathSentinel(layout, who, effect, kind)
