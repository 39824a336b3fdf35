"""What our programs told of their refusals: which calls each may be of, and what it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from enforcer.access.kinds import Access, calls_of
from enforcer.access.uses import LINKS, RENAMES
from enforcer.mechanisms.bpf_lsm.layout import EVENT, NAMES_TOLD, TOLD_BYTES, Op
from enforcer.mechanisms.preparing import Event
from enforcer.mechanisms.security_module import ON_NAMES, OPENING, refusal

_EXECUTING = frozenset({"execve", "execveat"})
CALLS: Mapping[Op, frozenset[str]] = {
    Op.OPEN: OPENING,
    Op.EXECUTE: _EXECUTING,
    Op.LOOK: calls_of([Access.LOOK]),
    Op.CHANGE: OPENING | {"truncate", "truncate64"} | calls_of([Access.CHANGE]),
    Op.MAKE: OPENING | {"mknod", "mknodat", "bind"} | ON_NAMES["mkdir"] | ON_NAMES["symlink"],
    Op.REMOVE: ON_NAMES["unlink"] | ON_NAMES["rmdir"],
    Op.RENAME: frozenset(RENAMES),
    Op.LINK: frozenset(LINKS),
    Op.RECEIVE: frozenset({"recvmsg", "recvmmsg", "recvmmsg_time64", "pidfd_getfd"}),
    Op.MAP: _EXECUTING | {"mmap", "mmap2", "mprotect", "pkey_mprotect"},
}
"""The calls behind each refusal."""


def refusals(events: Iterable[bytes], names: Sequence[str]) -> Iterator[Event]:
    """Each as a decision; `names` are those of the marks, by number."""
    for event in events:
        op, node, level, *_, told = EVENT.unpack(event)
        below = [
            told[at : at + TOLD_BYTES].partition(b"\0")[0].decode("utf-8", "backslashreplace")
            for at in range(0, NAMES_TOLD * TOLD_BYTES, TOLD_BYTES)
        ]
        name = names[node] if node < len(names) else ""
        if not node:
            level = 1  # an object that lies nowhere: its own name
        path = "/".join((name.rstrip("/"), *reversed(below[:level]))) if level else name
        yield refusal(CALLS[Op(op)], path, {"operation": Op(op).name.lower()})
