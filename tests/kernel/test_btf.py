"""The kernel's type information is read as its documentation says."""

from __future__ import annotations

import struct

import pytest

from enforcer.kernel.btf import BtfError, parse

INT, PTR, STRUCT, UNION, FUNC, PROTO, TAG = 1, 2, 4, 5, 12, 13, 17


class Blob:
    """Types as they are added, numbered from 1."""

    def __init__(self) -> None:
        self.types, self.strings = b"", b"\0"

    def text(self, name: str) -> int:
        if not name:
            return 0
        self.strings += name.encode() + b"\0"
        return len(self.strings) - len(name) - 1

    def add(
        self, kind: int, name: str, size: int, *words: int, count: int = 0, flag: int = 0
    ) -> None:
        info = flag << 31 | kind << 24 | count
        self.types += struct.pack(f"={3 + len(words)}I", self.text(name), info, size, *words)

    def bytes(self) -> bytes:
        head = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), 0)
        head = head[:20] + struct.pack("=I", len(self.strings))
        return head + self.types + self.strings


def blob() -> bytes:
    made = Blob()
    made.add(INT, "int", 4, 32)  # 1
    made.add(TAG, "tag", 1, 0)  # 2
    inner = (made.text("inner"), 1, 32, made.text("narrow"), 1, 3 << 24 | 64)
    made.add(UNION, "", 16, *inner, count=2, flag=1)  # 3
    outer = (made.text("first"), 1, 0, 0, 3, 64)
    made.add(STRUCT, "thing", 24, *outer, count=2)  # 4
    made.add(PROTO, "", 1, made.text("path"), 1, made.text("mask"), 1, count=2)  # 5
    made.add(FUNC, "hook", 5, count=1)  # 6
    made.add(PTR, "thing", 1)  # 7: another kind of the same name
    return made.bytes()


def test_functions_and_members_are_found() -> None:
    """Members of unions without a name lie in the structure itself; bit fields lie nowhere."""
    types = parse(blob(), ["hook", "absent"], ["thing", "missing"])
    assert set(types.functions) == {"hook"}
    assert types.functions["hook"].number == 6
    assert types.functions["hook"].parameters == ("path", "mask")
    assert types.offsets == {"thing": {"first": 0, "inner": 12}}
    assert types.offset("thing", "inner") == 12


@pytest.mark.parametrize(
    ("structure", "member"),
    [("thing", "narrow"), ("missing", "first")],
    ids=["member", "structure"],
)
def test_what_is_not_there_is_said(structure: str, member: str) -> None:
    """By its name."""
    with pytest.raises(BtfError, match=f"{structure}.{member}"):
        parse(blob(), [], ["thing"]).offset(structure, member)


@pytest.mark.parametrize("data", [b"", bytes(64)], ids=["empty", "zeros"])
def test_what_is_no_type_information_is_said(data: bytes) -> None:
    """Rather than found empty."""
    with pytest.raises(BtfError, match="no type information"):
        parse(data, [], [])
