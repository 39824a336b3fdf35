"""Which system calls need which Landlock right, and on which of their names."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.access.uses import LINKS, OPENS, RENAMES, Use, uses
from enforcer.kernel.landlock import FileRight

_READS = uses(*OPENS, alias="fsread")
_WRITES = uses(*OPENS, "creat")
_NODES = uses("mknod", "mknodat")
_MOVED_TO = uses(*RENAMES, slot=1)
_LINKED_TO = uses(*LINKS, slot=1)
_MOVED_FROM = uses(*RENAMES)

USES: Mapping[FileRight, tuple[Use, ...]] = {
    FileRight.EXECUTE: uses("execve", "execveat", alias=""),
    FileRight.READ_FILE: _READS,
    FileRight.READ_DIR: _READS,
    FileRight.WRITE_FILE: _WRITES,
    FileRight.TRUNCATE: (*_WRITES, *uses("truncate", "truncate64")),
    FileRight.MAKE_REG: (*_WRITES, *_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_DIR: (*uses("mkdir", "mkdirat"), *_MOVED_TO),
    FileRight.MAKE_SYM: (*uses("symlink", "symlinkat"), *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_FIFO: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_CHAR: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_BLOCK: (*_NODES, *_MOVED_TO, *_LINKED_TO),
    FileRight.MAKE_SOCK: (*_NODES, *uses("bind"), *_MOVED_TO, *_LINKED_TO),
    FileRight.REMOVE_FILE: (*uses("unlink", "unlinkat"), *_MOVED_FROM),
    FileRight.REMOVE_DIR: (*uses("rmdir", "unlinkat"), *_MOVED_FROM),
    FileRight.REFER: (*_MOVED_FROM, *_MOVED_TO, *uses(*LINKS), *_LINKED_TO),
}
"""Every right that a policy's rules can turn on, with the accesses that need it.

Landlock has no right for looking at metadata or changing it (stat, access, chmod, utime, extended
attributes, chdir: catalogue C18), and lets O_PATH descriptors be opened, which give no content.
"""

MOVES = frozenset({*RENAMES, *LINKS})
NET_CALLS = ("bind", "connect")
SIGNAL_CALLS = frozenset(
    {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}
)

MEDIATED: frozenset[str] = frozenset(
    {use.call for each in USES.values() for use in each}
    | {*NET_CALLS, "open_by_handle_at", "uselib"}
    | SIGNAL_CALLS
)
"""The calls on which Landlock has a say at all."""
