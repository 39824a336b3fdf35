"""The kernel's own type information (Documentation/bpf/btf.rst): numbers of functions, the names
of their parameters, and where the members of structures lie.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_MAGIC = 0xEB9F
_STRUCT, _UNION, _FUNC = 4, 5, 12
_HEAD_WORDS = 3
# In words of 32 bits behind a type's head: so many, and so many for each of its members.
_FIXED = {1: 1, 3: 3, 14: 1, 17: 1}
_EACH = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
_KINDS = 32


class BtfError(ValueError):
    """It is no type information, or lacks what is asked for."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """`number` is its type's; `parameters` are their names in order."""

    number: int
    parameters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Types:
    """Those that were asked for and are there; `offsets` of members in bytes, by structure."""

    functions: Mapping[str, Function]
    offsets: Mapping[str, Mapping[str, int]]

    def offset(self, structure: str, member: str) -> int:
        """Raises BtfError."""
        try:
            return self.offsets[structure][member]
        except KeyError:
            raise BtfError(f"this kernel has no {structure}.{member}") from None


def read(functions: Collection[str], structures: Collection[str]) -> Types:
    """Of the running kernel. Raises OSError, BtfError."""
    return parse(VMLINUX.read_bytes(), functions, structures)


def parse(data: bytes, functions: Collection[str], structures: Collection[str]) -> Types:
    """The types of a blob. Raises BtfError."""
    try:
        magic, _, _, head, *sections = struct.unpack_from("=HBBIIIII", data)
    except struct.error:
        raise BtfError("no type information") from None
    if magic != _MAGIC:
        raise BtfError("no type information of this byte order")
    at, size, strings_at, strings_size = sections
    words = array("I", data[head + at :][:size])
    strings = data[head + strings_at :][:strings_size]
    wanted = {
        strings.find(b"\0%s\0" % name.encode()) + 1: name for name in (*functions, *structures)
    }
    fixed = [_FIXED.get(kind, 0) + _HEAD_WORDS for kind in range(_KINDS)]
    each = [_EACH.get(kind, 0) for kind in range(_KINDS)]
    places = array("I", [0])  # of every type by its number; 0 is void
    found: dict[tuple[str, int], int] = {}
    position = 0
    while position < len(words):
        info = words[position + 1]
        kind = info >> 24 & 31
        if words[position] in wanted and kind in (_STRUCT, _FUNC):
            found.setdefault((wanted[words[position]], kind), len(places))
        places.append(position)
        position += fixed[kind] + (info & 0xFFFF) * each[kind]
    blob = _Blob(words=words, strings=strings, places=places)
    return Types(
        functions={
            name: blob.function(found[name, _FUNC]) for name in functions if (name, _FUNC) in found
        },
        offsets={
            name: blob.members(found[name, _STRUCT])
            for name in structures
            if (name, _STRUCT) in found
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Blob:
    words: array[int]
    strings: bytes
    places: array[int]

    def function(self, number: int) -> Function:
        """With the parameters of the prototype that its type refers to."""
        at = self.places[self.words[self.places[number] + 2]]
        count = self.words[at + 1] & 0xFFFF
        names = self.words[at + _HEAD_WORDS :][: 2 * count : 2]
        return Function(number=number, parameters=tuple(map(self._text, names)))

    def members(self, number: int, base: int = 0) -> dict[str, int]:
        """With those of members that have no name themselves. Bit fields are left out."""
        at = self.places[number]
        info = self.words[at + 1]
        found: dict[str, int] = {}
        for index in range(info & 0xFFFF):
            name, kind, offset = self.words[at + 3 + 3 * index : at + 6 + 3 * index]
            if info >> 31:  # the size of a bit field stands above the offset
                if offset >> 24:
                    continue
                offset &= 0xFFFFFF
            if name:
                found.setdefault(self._text(name), base + offset // 8)
            elif self.words[self.places[kind] + 1] >> 24 & 31 in (_STRUCT, _UNION):
                for inner, where in self.members(kind, base + offset // 8).items():
                    found.setdefault(inner, where)
        return found

    def _text(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode("ascii", "replace")
