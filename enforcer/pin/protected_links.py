"""The restriction of fs.protected_symlinks, which the walk by steps has to keep by itself."""

from __future__ import annotations

from pathlib import Path

from enforcer.kernel.file_status import status
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.pin.identity import acting_user, as_supervisor


def _protected_symlinks() -> bool:
    try:
        text = as_supervisor(Path("/proc/sys/fs/protected_symlinks").read_bytes)
    except OSError:
        return False
    return text.strip() != b"0"


def is_protected(directory: int, link: int) -> bool:
    """Whether fs.protected_symlinks forbids the caller to follow `link` in `directory`.

    As may_follow_link in fs/namei.c: the link's owner must be the one who walks, or the owner of
    the sticky, world-writable directory.
    """
    holder = status(directory, b"", AT_EMPTY_PATH)
    if isinstance(holder, int) or holder.mode & 0o1002 != 0o1002:
        return False
    facts = status(link, b"", AT_EMPTY_PATH)
    if isinstance(facts, int) or facts.uid in (acting_user(), holder.uid):
        return False
    return _protected_symlinks()
