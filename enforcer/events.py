"""The event log: what an enforcer did, one JSON object a line, or one line for people."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from enforcer.outbox import Outbox

LOST = "events are missing here, for which the log had no room"

_LAST_WORD_S = 1.0
"""How long the end of a sandbox waits for a log that takes nothing."""


class EventKind(StrEnum):
    """What an event says.

    START: the enforcer's description (backend, defences, features). ENFORCING: the witness, with
    the evidence that enforcement is on. DECISION: one decision (denials, kills and rules with
    `log`). DETECTION: an interference was noticed (verify, lost task, unknown ABI).
    POLICY: a policy's file was read again, and taken or not.
    END: the supervisor saw the last task end; `decisions` counts what it decided, `judged` the
    calls that it held and judged, by name. `signal`: by which it was told to end them.

    An enforcer that kills says so first, and names the call: a decision or a detection with the
    action `kill` stands in the log before the signal is sent.
    """

    START = "start"
    ENFORCING = "enforcing"
    DECISION = "decision"
    DETECTION = "detection"
    POLICY = "policy"
    END = "end"


class EventLog(Protocol):
    """Where events go."""

    def emit(self, kind: EventKind, **fields: object) -> None:
        """Append one event; `fields` are JSON values."""
        ...

    def descriptors(self) -> tuple[int, ...]:
        """What a supervisor must keep open to write it."""
        ...

    def never_wait(self) -> None:
        """In the supervisor: from now on emit neither waits nor raises OSError."""
        ...


class Complaint(Protocol):
    """Who is told that a log lacks events; made before, ready in the supervisor."""

    def descriptors(self) -> tuple[int, ...]:
        """What a supervisor must keep open to tell it."""
        ...

    def ready(self) -> None:
        """In the supervisor: from now on there is something to tell."""
        ...

    def begins(self, reason: str) -> None:
        """The log takes nothing now."""
        ...

    def ends(self, reason: str, count: int) -> None:
        """In the end it lacks so many events."""
        ...


class LogUnwritable(OSError):
    """A line could not be written: a full disk, say."""


class FileLog:
    """Events appended to a descriptor, one write each, so that writers never mix within a line."""

    def __init__(self, fd: int, complaint: Complaint | None = None) -> None:
        self.fd = fd
        self._complaint = complaint
        self._outbox: Outbox | None = None

    def descriptors(self) -> tuple[int, ...]:
        """What a supervisor must keep open to write it."""
        return (self.fd, *(() if self._complaint is None else self._complaint.descriptors()))

    def never_wait(self) -> None:
        """From now on emit neither waits for the descriptor nor raises OSError (see Outbox)."""
        self._outbox = Outbox(self.fd, self._lost_line)
        if self._complaint is not None:
            self._complaint.ready()

    def emit(self, kind: EventKind, **fields: object) -> None:
        line = self._line(kind, fields)
        if not line:
            return
        if self._outbox is None:
            try:
                os.write(self.fd, line)
            except OSError as error:
                raise LogUnwritable(error.errno, error.strerror) from error
            return
        self._outbox.put(line)
        if kind is EventKind.END:
            self._outbox.drain(_LAST_WORD_S)
        if self._complaint is not None:
            self._complain(self._complaint, self._outbox, is_over=kind is EventKind.END)

    def _complain(self, complaint: Complaint, outbox: Outbox, *, is_over: bool) -> None:
        reason = outbox.failure or "it is not read"
        if is_over and outbox.missing:
            complaint.ends(reason, outbox.missing)
        elif outbox.failure or outbox.is_overfull:
            complaint.begins(reason)

    def _line(self, kind: EventKind, fields: Mapping[str, object]) -> bytes:
        record = {"event": kind.value, "time": round(time.time(), 6), **fields}
        return json.dumps(record, ensure_ascii=True).encode("ascii") + b"\n"

    def _lost_line(self, count: int) -> bytes:
        return self._line(EventKind.DETECTION, {"reason": LOST, "events": count})


class TextLog(FileLog):
    """Decisions and detections as lines for people; what else happens is left out.

    `denied: connect 192.0.2.1:80 by make[4711]: rule 7, git.yaml:19`
    """

    def _line(self, kind: EventKind, fields: Mapping[str, object]) -> bytes:
        line = None
        if kind is EventKind.DECISION:
            line = decision_line(fields)
        elif kind is EventKind.POLICY:
            line = f"{fields['file']}: {fields['reason']}"
        elif kind is EventKind.END and fields.get("signal"):
            line = f"{_DONE[str(fields['action'])]}: the supervisor was ended by {fields['signal']}"
        elif kind is EventKind.DETECTION:
            call = f" at {fields['call']}" if fields.get("call") else ""
            line = f"{_DONE.get(str(fields.get('action')), 'noticed')}{call}: {fields['reason']}"
        return b"" if line is None else f"{printable(line)}\n".encode()


_DONE: Mapping[str, str] = {
    "permit": "permitted",
    "deny": "denied",
    "ask": "denied, as nobody can be asked",
    "kill": "killed",
}
_INTERNET = re.compile(r"inet(6?)-\[([^]]*)\]:(\d+)\Z")


def decision_line(fields: Mapping[str, object]) -> str:
    """A decision's event as a line: what was done, with which call, to whom, by which rule."""
    would_be = fields["would_be"]
    done = _DONE[str(fields["action"])]
    if would_be is not None:
        done = f"permitted, would be {_DONE[str(would_be)]}"
    words = [f"{done}: {fields['call']}"]
    words += _subject(fields["values"])
    program = Path(str(fields["program"])).name if fields["program"] else "?"
    by = f"{program}[{fields['pid'] or fields['tid']}]"
    why = str(fields["reason"])
    if fields["rule"] is not None:
        place = fields["file"] if fields["line"] is None else f"{fields['file']}:{fields['line']}"
        why = f"rule {fields['rule']}" + (f", {place}" if place else "")
    elif why == "default" and fields["file"]:
        why = f"default, {fields['file']}"
    return f"{' '.join(words)} by {by}: {why}"


def _subject(values: object) -> list[str]:
    """The addresses of a call, or its file names, or whatever else rules see of it."""
    if not isinstance(values, Mapping):
        return []
    for key in ("sockaddr", "filename"):
        if any(values.get(key) or ()):
            return [_address(text) for text in values[key]]
    return [_address(text) for texts in values.values() for text in texts]


def _address(text: str | None) -> str:
    if text is None:
        return "?"
    found = _INTERNET.match(text)
    if found is None:
        return text
    host = f"[{found[2]}]" if found[1] else found[2]
    return f"{host}:{found[3]}"


def printable(text: str) -> str:
    """What a target named cannot end a line, nor speak to a terminal."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class NullLog:
    """Events thrown away."""

    def emit(self, kind: EventKind, **fields: object) -> None:
        return None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def never_wait(self) -> None:
        return None
