"""`-c UID:GID`: the command, and its supervisor, as somebody else."""

from __future__ import annotations

import os
import pwd
import re

import click

from enforcer.cli import UserError
from enforcer.kernel.prctl import permit_dumping

_IDS = re.compile(r"(\d+)(?::(\d+))?")


def parse_ids(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """`UID:GID`, `UID` or a user's name. Raises click.BadParameter."""
    if value is None:
        return None
    found = _IDS.fullmatch(value)
    if found is not None and found[2] is not None:
        return int(found[1]), int(found[2])
    try:
        entry = pwd.getpwuid(int(found[1])) if found is not None else pwd.getpwnam(value)
    except KeyError:
        raise click.BadParameter(f"{value!r} is no user here; write UID:GID") from None
    return entry.pw_uid, entry.pw_gid


def become(ids: tuple[int, int]) -> None:
    """Take these ids for good, and no other groups. Raises UserError."""
    uid, gid = ids
    try:
        os.setgroups([gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise UserError(f"cannot become {uid}:{gid}: {error.strerror}; be root") from None
    permit_dumping()
