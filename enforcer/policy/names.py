"""Names that policies use for numbers: error codes, users and groups."""

from __future__ import annotations

import errno
import grp
import pwd

from enforcer.policy.ast import Principal

_BY_NAME = {text.lower(): number for text, number in vars(errno).items() if text.startswith("E")}
LAST_ERRNO = 4095


def errno_names() -> frozenset[str]:
    """The known names, in lower case."""
    return frozenset(_BY_NAME)


def parse_errno(text: str) -> int | None:
    """The number of an error name (any case) or of a decimal number 1 to 4095; else None."""
    if _is_number(text):
        number = int(text)
        return number if 1 <= number <= LAST_ERRNO else None
    return _BY_NAME.get(text.lower())


def errno_name(number: int) -> str:
    """The name in lower case, or the number where there is none."""
    return errno.errorcode.get(number, str(number)).lower()


def parse_principal(principal: Principal, text: str) -> int | None:
    """The id of a user or group given by name or number; None if this machine has no such name."""
    if _is_number(text):
        number = int(text)
        return number if number < 0xFFFF_FFFF else None
    try:
        if principal is Principal.USER:
            return pwd.getpwnam(text).pw_uid
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16
