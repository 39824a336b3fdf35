"""Whoever reads the kernel's records while a run goes on, in a process of its own.

Records wait in the kernel, and who makes more than it keeps has to wait as well: read only when the
run is over, they would stop it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from collections.abc import Iterator, Sequence

from enforcer.kernel.audit import Audit, Message, Rule
from enforcer.mechanisms.contract import LaunchError

PATIENCE_S = 60.0
"""How long the last record may be on its way: a reader is slower than who makes records."""
_READY = b"\n"


class Reader:
    """The records of one run: `all` ends the reading."""

    def __init__(self, pid: int, output: int, tag: str) -> None:
        self._pid = pid
        self._output = output
        self._tag = tag

    def all(self) -> tuple[list[tuple[int, str]], int]:
        """Every record until now, and how many of them the kernel has lost. Raises OSError."""
        audit = Audit()
        try:
            audit.say(self._tag)
        finally:
            audit.close()
        said = b""
        while chunk := os.read(self._output, 1 << 20):
            said += chunk
        lines = [json.loads(line) for line in said.splitlines()]
        if not lines or lines[-1][0] != Message.USER:
            raise TimeoutError(f"no end of the records came in {PATIENCE_S:.0f} s")
        return [(kind, text) for kind, text in lines[:-1]], int(lines[-1][1])

    def end(self) -> None:
        """The reader is not there any more."""
        os.close(self._output)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@contextlib.contextmanager
def reading(rules: Sequence[Rule]) -> Iterator[Reader]:
    """Records of what the rules log, from now on; of a ring only where the kernel tells of those.
    Raises LaunchError.
    """
    tag = f"laboratory-{secrets.token_hex(8)}"
    output, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(output)
        _read(rules, tag, write_end)
    os.close(write_end)
    reader = Reader(pid, output, tag)
    try:
        began = os.read(output, 1 << 12)
        if began != _READY:
            raise LaunchError(f"audit: {began.decode('utf-8', 'replace') or 'the reader ended'}")
        yield reader
    finally:
        reader.end()
        _delete(rules)


def _read(rules: Sequence[Rule], tag: str, output: int) -> None:
    """The reader's side, which never returns."""
    kept: list[bytes] = []
    try:
        audit = Audit()
        before = audit.lost()
        audit.listen()
        for rule in rules:
            try:
                audit.add(rule)
            except OSError:
                if rule is not rules[-1]:
                    raise
        os.write(output, _READY)
        while (record := audit.next(PATIENCE_S)) is not None:
            if record[0] == Message.USER and tag in record[1]:
                record = int(Message.USER), str(audit.lost() - before)
                kept.append(json.dumps(record).encode("ascii") + b"\n")
                break
            kept.append(json.dumps(record).encode("ascii") + b"\n")
        text = b"".join(kept)
        while text:
            text = text[os.write(output, text) :]
    except OSError as error:
        os.write(output, str(error).encode())
    finally:
        os._exit(0)


def _delete(rules: Sequence[Rule]) -> None:
    with contextlib.suppress(OSError):
        audit = Audit()
        try:
            for rule in rules:
                with contextlib.suppress(OSError):
                    audit.delete(rule)
        finally:
            audit.close()
