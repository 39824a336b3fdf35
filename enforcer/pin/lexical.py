"""The part of cleaning a name that no symbolic link can make wrong."""

from __future__ import annotations

_SLASH = ord("/")
_DOT = ord(".")


def lexical(name: bytes) -> bytes | None:
    """`name` without doubled slashes and inner `.`; None when it needs the step-by-step way.

    That is: an empty name, any `..` (`link/../x` is not `x`), a slash or `.` at the end, or
    nothing left.
    """
    if not name or name[-1] == _SLASH:
        return None
    # `in` takes twice as long as `find` for bytes: it looks first whether they are a number.
    if name.find(b"/.") < 0 and name.find(b"//") < 0 and name[0] != _DOT:
        return name
    parts = name.split(b"/")
    if b".." in parts or parts[-1] == b".":
        return None
    kept = [part for part in parts if part and part != b"."]
    clean = b"/".join(kept)
    return b"/" + clean if name[0] == _SLASH else clean
