"""systrace's own line of a decision.

`deny user: U, prog: BINARY, pid: P(PARENT)[SUPERVISOR], policy: FILE, filters: N,
syscall: native-NAME(NUMBER), TRANSLATOR: TEXT, ...`
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from functools import cache

from enforcer.events import EventKind, FileLog, printable
from enforcer.syscalls import number

_WORDS = {"permit": "permit", "deny": "deny", "ask": "deny", "kill": "kill"}
_SEPARATOR = ", "


def systrace_line(fields: Mapping[str, object]) -> str:
    """The line of a decision's event. What a target named can neither end it nor begin a field."""
    call = str(fields["call"])
    would_be = fields["would_be"]
    action = _WORDS[str(fields["action"])]
    words = [
        f"{action if would_be is None else 'would-' + _WORDS[str(would_be)]} "
        f"user: {_user(fields['uid'])}",
        f"prog: {_text(fields['program'])}",
        f"pid: {fields['pid'] or fields['tid']}({fields['ppid'] or 0})[{os.getpid()}]",
        f"policy: {_text(fields['policy'])}",
        f"filters: {fields['rules']}",
        f"syscall: native-{_text(call)}({_number(fields['abi'], call)})",
    ]
    values = fields["values"]
    assert isinstance(values, Mapping)
    words += [f"{name}: {_text(text)}" for name, texts in values.items() for text in texts]
    if fields["rule"] is not None:
        place = fields["file"] if fields["line"] is None else f"{fields['file']}:{fields['line']}"
        words.append(f"rule: {_text(place)}")
    elif fields["reason"]:
        words.append(f"reason: {_text(fields['reason'])}")
    return _SEPARATOR.join(words)


class SystraceLog(FileLog):
    """Decisions as systrace's lines; detections, and policies read anew, by their reason."""

    def _line(self, kind: EventKind, fields: Mapping[str, object]) -> bytes:
        line = line_of(kind, fields)
        return b"" if line is None else f"{line}\n".encode()


def line_of(kind: EventKind, fields: Mapping[str, object]) -> str | None:
    """The line of an event; None for one that only says how enforcement goes on."""
    if kind is EventKind.DECISION:
        return systrace_line(fields)
    if kind in (EventKind.DETECTION, EventKind.POLICY):
        more = {name: text for name, text in fields.items() if name not in ("reason", "mechanism")}
        told = [f"{name}: {_text(text)}" for name, text in more.items() if text is not None]
        return _SEPARATOR.join([f"{kind} reason: {_text(fields['reason'])}", *told])
    return None


def _text(text: object) -> str:
    """A field's text, in which commas stand as `\\x2c`, so that no name makes a field."""
    if text is None:
        return "?"
    return printable(str(text).replace("\\", "\\\\")).replace(", ", "\\x2c ")


def _number(abi: object, call: str) -> int:
    """The call's number; -1 where nothing has it."""
    found = number(str(abi), call) if abi else None
    return -1 if found is None else found


@cache
def _user(uid: object) -> str:
    if not isinstance(uid, int):
        return "?"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
