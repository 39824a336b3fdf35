"""What a stateful run must not reach: objects that the policy denies, watched from outside."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import struct
from pathlib import Path

from enforcer.call import Action
from enforcer.mechanisms.contract import MechanismName
from enforcer.policy.ast import (
    Dialect,
    Expression,
    OrExpression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
)

DENIED = 54
"""EXFULL: no call gives it by itself."""

_FIRST_SIZE = 1 << 33


def hiding(root: Path, mechanism: str) -> Policy:
    """A policy that permits everything but what is in `secret`; what it says a mechanism enforces.

    A tracer also judges what is executed and changed to; a supervisor cannot, and neither lets a
    target have another root, except the tracer: `jail`.
    """
    secret = f"{root}/secret"

    def within(translator: str) -> Expression:
        return OrExpression(
            TextSymbol(translator=translator, operator=TextOperator.EQ, operand=secret),
            TextSymbol(translator=translator, operator=TextOperator.MATCH, operand=secret + "/*"),
        )

    rules = [_deny(("fsread", "fswrite"), within("filename"))]
    rules.append(_deny(("connect", "sendto"), within("sockaddr")))
    if mechanism == MechanismName.PTRACE:
        rules.append(_deny(("execve", "execveat", "chdir"), within("filename")))
        jail = TextSymbol(translator="filename", operator=TextOperator.EQ, operand=f"{root}/jail")
        rules.append(Rule(calls=("chroot",), when=jail, action=Action.PERMIT))
    rules.append(_deny(("chroot",), None))
    return Policy(binary=None, dialect=Dialect.STRICT, rules=tuple(rules), default=Action.PERMIT)


def _deny(calls: tuple[str, ...], when: Expression | None) -> Rule:
    return Rule(calls=calls, when=when, action=Action.DENY, errno=DENIED)


class Sentinel:
    """`secret` with a file, a program and a socket, and beside it what may be touched."""

    def __init__(self, root: Path, program: Path) -> None:
        self.root = root
        self.secret = root / "secret"
        self.secret.mkdir(parents=True)
        for name in ("sub", "jail", "jail/sub"):
            (root / name).mkdir()
        for name in ("file", "sub/file", "jail/file"):
            (root / name).write_text("permitted")
        shutil.copy(program, root / "prog")
        shutil.copy(program, self.secret / "prog")
        self.nonce = secrets.token_hex(16).encode()
        size = _FIRST_SIZE + secrets.randbits(32)
        with (self.secret / "file").open("wb") as stream:
            stream.write(self.nonce)
            stream.truncate(size)
        self._size = struct.pack("=Q", size)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(os.fspath(self.secret / "socket"))
        self._paths = (self.secret, *sorted(self.secret.iterdir()))
        self._state = self._look()
        self.identities = {(each[0], each[1]) for each in self._state}

    def close(self) -> None:
        self._socket.close()

    def _look(self) -> list[tuple[int, ...]]:
        """Identity and attributes of each object; of the file also when it was last read."""
        found: list[tuple[int, ...]] = []
        for path in self._paths:
            status = path.lstat()
            read = status.st_atime_ns if path.name == "file" else 0
            found.append(
                (
                    *(status.st_dev, status.st_ino, status.st_mode, status.st_uid),
                    *(status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
                    read,
                )
            )
        return found

    def reached(self, memory: bytes) -> str:
        """How the objects were reached, as far as they and the target's memory tell; or empty."""
        if self.nonce in memory:
            return "the content of the denied file is in the target's memory"
        if self._size in memory:
            return "the size of the denied file is in the target's memory"
        try:
            state = self._look()
        except FileNotFoundError as error:
            return f"a denied object is gone: {error.filename}"
        for path, before, now in zip(self._paths, self._state, state, strict=True):
            if before != now:
                return f"a denied object is changed or was read: {path.name}: {before} -> {now}"
        try:
            self._socket.recv(64)
        except BlockingIOError:
            return ""
        return "the denied socket got a message"

    def held_by(self, pid: int, *, images: bool) -> str:
        """Which descriptor or root of a process is a denied object; or empty.

        `images`: its image and directory too, which not every mechanism judges.
        """
        places = [Path(f"/proc/{pid}/root")]
        if images:
            places += [Path(f"/proc/{pid}/exe"), Path(f"/proc/{pid}/cwd")]
        try:
            places += list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            return ""
        for place in places:
            try:
                status = place.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in self.identities:
                return f"{place} is {place.readlink()}"
        return ""
