"""A tracer that reads the first line of a script as a text, zero bytes and all."""

from __future__ import annotations

from pathlib import Path

from enforcer.events import EventLog
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.calls.execs import Execs
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky


class _ReadsText(Execs):
    def interpreter(self, fd: int) -> tuple[bytes, bytes | None] | None:
        """What a zero byte stands in is no name of a file, so nothing is to be judged."""
        found = super().interpreter(fd)
        if found is None:
            return None
        with Path(f"/proc/thread-self/fd/{fd}").open("rb") as file:
            return None if b"\0" in file.readline() else found


class _Tracer(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        execs = _ReadsText(self.act)
        own = {"execve": execs.execve, "execveat": execs.execveat}
        self.dispatch = exchanged(self.dispatch, own)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-script-line",
    weakness="takes a script for none whose first line has a zero byte",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
    options=Options(defences=frozenset({Defence.COPY, Defence.PIN})),
)
