"""AppArmor's audit records: which calls they are of, and what they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from enforcer.access.uses import RENAMES
from enforcer.mechanisms.preparing import Event
from enforcer.mechanisms.security_module import ON_NAMES, OPENING, refusal

CALLS: Mapping[str, frozenset[str]] = {
    **ON_NAMES,
    "open": OPENING,
    "mknod": OPENING | {"mknod", "mknodat", "bind"},
    "rename_src": frozenset(RENAMES),
    "rename_dest": frozenset(RENAMES),
    "exec": frozenset({"execve", "execveat"}),
}
"""The calls behind each operation on a name (security/apparmor/include/audit.h). A file that is
not there is made with "mknod"."""

_DENIED = re.compile(r'apparmor="DENIED" operation="(?P<operation>\w+)"')
# Of a link it is the new name, and `target` the object that would get it.
_NAMES = re.compile(r' (?:name|target)=(?:"(?P<name>[^"]*)"|(?P<bytes>(?:[0-9A-F]{2})+))')


def refusals(lines: Iterable[str]) -> Iterator[Event]:
    """What the records among the kernel's lines tell of refused names."""
    for line in lines:
        found = _DENIED.search(line)
        if found is None:
            continue
        calls = CALLS.get(found["operation"], frozenset())
        for each in _NAMES.finditer(line, found.end()):
            name = each["name"]
            if name is None:  # audit writes names with odd characters as their bytes
                name = bytes.fromhex(each["bytes"]).decode("utf-8", "backslashreplace")
            yield refusal(calls, name, {"operation": found["operation"]})
