"""Which system calls need which Landlock right, and on which of their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enforcer.kernel.landlock import FileRight


@dataclass(frozen=True)
class Use:
    """One name of one call: its `slot`-th file name; `alias` is the half of an open that is meant.

    Calls that are not divided have the alias that they belong to anyway, or none (execve).
    """

    call: str
    alias: str = "fswrite"
    slot: int = 0


def _uses(*calls: str, alias: str = "fswrite", slot: int = 0) -> tuple[Use, ...]:
    return tuple(Use(call, alias, slot) for call in calls)


_OPENS = ("open", "openat", "openat2")
_RENAMES = ("rename", "renameat", "renameat2")
_LINKS = ("link", "linkat")

_READS = _uses(*_OPENS, alias="fsread")
_WRITES = _uses(*_OPENS, "creat")
_NODES = _uses("mknod", "mknodat")
_MOVED_TO = _uses(*_RENAMES, slot=1)
_LINKED_TO = _uses(*_LINKS, slot=1)
_MOVED_FROM = _uses(*_RENAMES)

USES: Mapping[FileRight, tuple[Use, ...]] = {
    FileRight.EXECUTE: _uses("execve", "execveat", alias=""),
    FileRight.READ_FILE: _READS,
    FileRight.READ_DIR: _READS,
    FileRight.WRITE_FILE: _WRITES,
    FileRight.TRUNCATE: (*_WRITES, *_uses("truncate", "truncate64")),
    FileRight.MAKE_REG: (*_WRITES, *_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_DIR: (*_uses("mkdir", "mkdirat"), *_MOVED_TO),
    FileRight.MAKE_SYM: (*_uses("symlink", "symlinkat"), *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_FIFO: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_CHAR: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_BLOCK: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_SOCK: (*_NODES, *_uses("bind"), *_MOVED_TO, *_LINKED_TO),
    FileRight.REMOVE_FILE: (*_uses("unlink", "unlinkat"), *_MOVED_FROM),
    FileRight.REMOVE_DIR: (*_uses("rmdir", "unlinkat"), *_MOVED_FROM),
    FileRight.REFER: (*_MOVED_FROM, *_MOVED_TO, *_uses(*_LINKS), *_LINKED_TO),
}
"""Every right that a policy's rules can turn on, with the accesses that need it.

Landlock has no right for looking at metadata or changing it (stat, access, chmod, utime, extended
attributes, chdir: catalogue C18), and lets O_PATH descriptors be opened, which give no content.
"""

MOVES = frozenset({*_RENAMES, *_LINKS})
NET_CALLS = ("bind", "connect")
SIGNAL_CALLS = frozenset(
    {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}
)

MEDIATED: frozenset[str] = frozenset(
    {use.call for uses in USES.values() for use in uses}
    | {*NET_CALLS, "open_by_handle_at", "uselib"}
    | SIGNAL_CALLS
)
"""The calls on which Landlock has a say at all."""
