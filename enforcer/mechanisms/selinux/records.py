"""SELinux's records in the kernel's log: which calls they may be of, and what they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from enforcer.access.kinds import Access, calls_of
from enforcer.access.uses import LINKS, RENAMES
from enforcer.mechanisms.preparing import Event
from enforcer.mechanisms.security_module import ON_NAMES, OPENING, refusal
from enforcer.mechanisms.selinux.labels import Labels

_LOOKING = ("fstatat64", "newfstatat", "statx", "stat", "stat64", "lstat", "lstat64")
_MAKING = OPENING | {"mknod", "mknodat", "bind"} | ON_NAMES["mkdir"] | ON_NAMES["symlink"]
_REMOVING = ON_NAMES["unlink"] | ON_NAMES["rmdir"]
_MOVING = frozenset({*RENAMES, *LINKS})
CALLS: Mapping[str, frozenset[str]] = {
    "getattr": frozenset({*_LOOKING, "oldstat", "oldlstat"}),
    "read": OPENING | {"execve", "execveat"},
    "write": OPENING | ON_NAMES["truncate"] | calls_of([Access.CHANGE]),
    "append": OPENING,
    "create": _MAKING,
    "add_name": _MAKING | _MOVING,
    "remove_name": _REMOVING | _MOVING,
    "unlink": ON_NAMES["unlink"],
    "rmdir": ON_NAMES["rmdir"],
    "rename": frozenset(RENAMES),
    "reparent": frozenset(RENAMES),
    "link": frozenset(LINKS),
    "setattr": calls_of([Access.CHANGE]),
    "execute": frozenset({"execve", "execveat"}),
    "execute_no_trans": frozenset({"execve", "execveat"}),
}
"""The calls behind each permission."""

_DENIED = re.compile(
    r"avc:  denied  \{ (?P<permissions>[a-z_ ]+) \} for .*tcontext=\w+:\w+:(?P<type>\w+)"
)
_TEXT = re.compile(r' (?P<key>name|path)=(?:"(?P<text>[^"]*)"|(?P<bytes>(?:[0-9A-F]{2})+)) ')
_OBJECT = re.compile(r' dev="(?P<device>[^"]*)" ino=(?P<number>\d+) ')
_IN_DIRECTORY = frozenset({"add_name", "remove_name"})


def refusals(lines: Iterable[str], labels: Labels, objects: Mapping[int, str]) -> Iterator[Event]:
    """What records of refusals tell, under every name that is known of the object. `objects` are
    those of the run's own file system, a tmpfs, by number.
    """
    for line in lines:
        found = _DENIED.search(line)
        if found is None:
            continue
        permissions = found["permissions"].split()
        calls = frozenset().union(*(CALLS.get(each, frozenset()) for each in permissions))
        for name in _names(line, found["type"], permissions, labels, objects):
            yield refusal(calls, name, {"operation": found["permissions"]})


def _names(
    line: str,
    kind: str,
    permissions: Iterable[str],
    labels: Labels,
    objects: Mapping[int, str],
) -> Iterator[str]:
    text = _TEXT.search(line)
    told = (
        ""
        if text is None
        else text["text"] or bytes.fromhex(text["bytes"] or "").decode("utf-8", "backslashreplace")
    )
    numbered = _OBJECT.search(line)
    if numbered is not None and numbered["device"] == "tmpfs":
        known = objects.get(int(numbered["number"]))
        if known is not None:
            yield known
    if text is not None and text["key"] == "path":
        yield told
    elif " tclass=dir " in line and _IN_DIRECTORY.intersection(permissions):
        yield f"{labels.within(kind)}/{told}"
    elif told:
        yield labels.named(kind, told)
