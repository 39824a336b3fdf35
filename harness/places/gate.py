"""The gate at which a target is held in somebody else's sandbox, from the harness's side.

The gate says what its probes answered and waits; meanwhile the process that waits is looked for,
and everything about it is the kernel's word.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections.abc import Sequence
from pathlib import Path

from enforcer.kernel import procfs
from enforcer.mechanisms.preparing import Met
from harness.places.sentinels import fresh_nonce
from harness.places.usage import below

SAID_BYTES = 1 << 16
CHUNK = 1 << 12
FAILED = b"BROKEN "  # begins what a gate says that cannot wait


class NotMet(Exception):
    """The target never came to the gate; the text says what came instead."""


class Gate:
    """One gate: the command that begins with it, and the end that opens it."""

    def __init__(self, program: Path, probes: Sequence[str]) -> None:
        self._number = fresh_nonce()
        self._words = [str(program), self._number, *probes, "--"]
        self.waiting, self._opening = os.pipe()

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """The command that waits before it becomes `command`."""
        return [*self._words, *command]

    def meet(self, command: Sequence[str], stdout: int, ended: int, patience_s: float) -> Met:
        """Wait for the gate's word on the pipe `stdout`; `ended` is the launcher's pidfd.

        What the sandbox printed before is dropped. Raises NotMet.
        """
        os.close(self.waiting)
        said = b""
        line = re.compile(rb"^GATE " + self._number.encode() + rb"((?: \S+=\d+)*)\n", re.M)
        deadline = time.monotonic() + patience_s
        while True:
            found = line.search(said)
            if found is not None:
                break
            left = deadline - time.monotonic()
            if left <= 0 or len(said) > SAID_BYTES:
                raise NotMet(f"the target did not come to the gate in time{_told(said)}")
            ready = select.select([stdout, ended], [], [], left)[0]
            chunk = os.read(stdout, CHUNK) if stdout in ready else b""
            if not chunk and ready:
                raise NotMet(f"the sandbox ended before its target came to the gate{_told(said)}")
            said += chunk
        if (failed := said[found.end() :]).startswith(FAILED):
            raise NotMet(failed.removeprefix(FAILED).decode("utf-8", "backslashreplace").strip())
        answers = [word.rpartition("=") for word in found[1].decode().split()]
        return Met(
            pid=_process(self.wrapped(command)),
            answers={probe: int(code) for probe, _, code in answers},
        )

    def open(self) -> None:
        """Let the target go on, if it is still there."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._opening, b"\n")
        os.close(self._opening)


def _told(said: bytes) -> str:
    """What the sandbox printed instead, or what may be wrong."""
    text = said.decode("utf-8", "backslashreplace").strip()
    if text:
        return f", and printed {text!r:.300}"
    return " (or its target has another standard output than the sandbox)"


def _process(command: Sequence[str]) -> int | None:
    """The process of this run with exactly this command line."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in command)
    for pid in below(os.getpid()):
        try:
            if procfs.read(pid, "cmdline") == wanted:
                return pid
        except OSError:
            continue
    return None
