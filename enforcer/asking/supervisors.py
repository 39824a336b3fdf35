"""The supervisors that run for this user, and the messages exchanged with them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from enforcer.supervision.peers import Stranger, check_server

Message = Mapping[str, object]
_TIMEOUT_S = 5.0
_LONGEST_LINE = 1 << 22


class Unreachable(Exception):
    """A supervisor does not talk to us; says why."""


class Gone(Unreachable):
    """It was killed; its socket, which it left behind, is swept."""


class Supervisor:
    """A connection to one; `pid` is its process. Raises Unreachable."""

    def __init__(self, path: Path) -> None:
        self.pid = int(path.stem)
        self._read = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
            check_server(self._socket, self.pid)
        except ConnectionRefusedError:
            self._socket.close()
            with suppress(OSError):
                path.unlink()
            raise Gone(f"supervisor {self.pid} is gone") from None
        except OSError as error:
            self._socket.close()
            raise Unreachable(f"supervisor {self.pid}: {error.strerror}") from None
        except Stranger as error:
            self._socket.close()
            raise Unreachable(f"{path}: {error}") from None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def say(self, **fields: object) -> None:
        """Raises Unreachable."""
        try:
            self._socket.sendall(json.dumps(fields).encode() + b"\n")
        except OSError as error:
            raise Unreachable(f"supervisor {self.pid} is gone") from error

    def hear(self) -> list[Message]:
        """What has come, at least one message unless it was a part of one. Raises Unreachable."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            raise Unreachable(f"supervisor {self.pid} does not answer") from error
        if not data or len(self._read) > _LONGEST_LINE:
            raise Unreachable(f"supervisor {self.pid} has ended")
        self._read += data
        *lines, rest = bytes(self._read).split(b"\n")
        self._read = bytearray(rest)
        messages = [json.loads(line) for line in lines]
        for each in messages:
            if "refused" in each:
                raise Unreachable(f"supervisor {self.pid} refuses: {each['refused']}")
        return messages

    def ask_for(self, key: str, aside: Callable[[Message], None] | None = None) -> object:
        """Say `key`, and give what comes under that key; `aside` takes what else comes.

        Raises Unreachable.
        """
        self.say(say=key)
        found: list[object] = []
        while not found:
            for message in self.hear():
                if key in message:
                    found.append(message[key])
                elif aside is not None:
                    aside(message)
        return found[0]


def sockets(directory: Path) -> list[Path]:
    """The sockets of supervisors there, by number."""
    found = [path for path in directory.glob("*.sock") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem))
