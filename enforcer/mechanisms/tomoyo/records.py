"""TOMOYO's own audit log: which calls a record may be of, and what it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from enforcer.access.uses import RENAMES
from enforcer.mechanisms.preparing import Event
from enforcer.mechanisms.security_module import ON_NAMES, OPENING, refusal

_LOOKING = ("fstatat64", "newfstatat", "statx", "stat", "stat64", "lstat", "lstat64")

CALLS: Mapping[str, frozenset[str]] = {
    **ON_NAMES,
    "read": OPENING,
    "write": OPENING,
    "append": OPENING,
    "create": OPENING | {"mknod", "mknodat"},
    "getattr": frozenset({*_LOOKING, "oldstat", "oldlstat"}),
    "mkfifo": frozenset({"mknod", "mknodat"}),
    "mksock": frozenset({"mknod", "mknodat", "bind"}),
    "rename": frozenset(RENAMES),
    "chgrp": ON_NAMES["chown"],
    "execute": frozenset({"execve", "execveat"}),
}
"""The calls behind each operation on a file (tomoyo-tools, domain policy syntax)."""

_REFUSED = re.compile(r"^file (?P<operation>[\w/]+) (?P<names>\S+(?: \S+)*)$", re.M)
_OCTAL = re.compile(r"\\(\\|[0-3][0-7]{2})")


def refusals(text: str) -> Iterator[Event]:
    """What the records of refusals tell; each has a head, the domain and the rule that lacked."""
    for head, _, rest in (record.partition("\n") for record in text.split("\n\n")):
        found = _REFUSED.search(rest)
        if found is None or "granted=no" not in head:
            continue
        operations = found["operation"].split("/")
        calls = frozenset().union(*(CALLS.get(each, frozenset()) for each in operations))
        for name in found["names"].split(" "):
            yield refusal(calls, _decoded(name), {"operation": found["operation"]})


def _decoded(name: str) -> str:
    return _OCTAL.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1], 8)), name)
