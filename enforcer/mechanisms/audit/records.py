"""From audit's records to what was done with which object. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from enforcer.arch import by_audit_arch
from enforcer.call import Action
from enforcer.events import EventKind
from enforcer.kernel.audit import Message
from enforcer.mechanisms.preparing import Event
from enforcer.syscalls import table

Key = tuple[str, int]
"""The device, as MAJOR:MINOR in hexadecimal digits, and the inode's number."""
_SERIAL = re.compile(r"audit\((?P<serial>[0-9.]+:[0-9]+)\)")
_WORD = re.compile(r"(?:^|\s)(?P<key>[a-z_0-9-]+)=(?P<value>\"[^\"]*\"|\S+)")
_RING = "io_uring_enter"


@dataclass
class _Parts:
    """The records of one event."""

    head: dict[str, str] = field(default_factory=dict)
    ring: bool = False
    paths: list[dict[str, str]] = field(default_factory=list)
    directory: str = ""


def key_of(status: os.stat_result) -> Key:
    """As PATH records print an object: dev=%02x:%02x inode=%lu."""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", status.st_ino


def words(text: str) -> dict[str, str]:
    """The fields of a record. A text in quotes has no quotes in it: those that would have, and
    others that a target could forge a field with, are hexadecimal (audit_log_n_untrustedstring).
    """
    found: dict[str, str] = {}
    for each in _WORD.finditer(text):
        found.setdefault(each["key"], each["value"])
    return found


def text_of(value: str) -> str:
    """A field that somebody could write anything into."""
    if value.startswith('"'):
        return value.strip('"')
    try:
        return bytes.fromhex(value).decode("utf-8", "surrogateescape")
    except ValueError:
        return value


def events(records: Iterable[tuple[int, str]]) -> Iterator[_Parts]:
    """Whole events, in the order in which they began."""
    found: dict[str, _Parts] = {}
    for kind, text in records:
        serial = _SERIAL.search(text)
        if serial is None:
            continue
        parts = found.setdefault(serial["serial"], _Parts())
        fields = words(text)
        if kind in (Message.SYSCALL, Message.URING):
            parts.head, parts.ring = fields, kind == Message.URING
        elif kind == Message.PATH:
            parts.paths.append(fields)
        elif kind == Message.CWD:
            parts.directory = text_of(fields.get("cwd", ""))
    yield from found.values()


def told(
    records: Iterable[tuple[int, str]], login: int, objects: Mapping[Key, str], gate: str
) -> tuple[list[Event], int]:
    """What tasks with this login id did with objects, as decisions that permit it, each object by
    its name in `objects`, whatever it was called; and how many events are of the program `gate`.
    """
    done: list[Event] = []
    before = 0
    for parts in events(records):
        head = parts.head
        # Of what a ring did, no login id is told; only the rules' own is logged.
        if head.get("success") != "yes" or head.get("auid", str(login)) != str(login):
            continue
        if text_of(head.get("exe", "")) == gate:
            before += 1
            continue
        names = [_object(each, parts.directory, objects) for each in parts.paths]
        done.append(
            {
                "event": EventKind.DECISION.value,
                "action": Action.PERMIT.value,
                "call": _RING if parts.ring else _call(head),
                "pid": int(head.get("pid", "0")),
                "values": {"object": [name for name in names if name]},
            }
        )
    return done, before


def _object(path: Mapping[str, str], directory: str, objects: Mapping[Key, str]) -> str:
    """Its name: that of the object where it is known, else the one that it was called by."""
    if path.get("nametype") == "PARENT":
        return ""
    known = objects.get((path.get("dev", ""), int(path.get("inode", "0"))))
    if known is not None:
        return known
    name = text_of(path.get("name", ""))
    return name if name in ("", "(null)") else str(PurePosixPath(directory) / name)


def _call(head: Mapping[str, str]) -> str:
    number = int(head.get("syscall", "-1"))
    for abi in by_audit_arch(int(head.get("arch", "0"), 16)):
        for name, each in table(abi.name).items():
            if each == number:
                return name
    return f"number {number}"
