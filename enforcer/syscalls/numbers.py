"""The number of every call on every ABI, read from numbers.tsv (made by generate.py).

Numbers are those that the kernel and a filter see: x32's carry the bit 0x40000000, arm's private
calls start at 0x0f0000.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_SOURCE = Path(__file__).with_name("numbers.tsv")


@cache
def _tables() -> Mapping[str, Mapping[str, int]]:
    header, *rows = _SOURCE.read_text(encoding="ascii").splitlines()
    tables: dict[str, dict[str, int]] = {abi: {} for abi in header.split("\t")[1:]}
    columns = tuple(tables.values())
    for row in rows:
        name, *cells = row.split("\t")
        for table, cell in zip(columns, cells, strict=True):
            if cell != "-":
                table[name] = int(cell, 0)
    return tables


@cache
def table(abi: str) -> Mapping[str, int]:
    """Every call of `abi` with its number; KeyError for an unknown ABI."""
    return MappingProxyType(_tables()[abi])


@cache
def _names_by_number(abi: str) -> Mapping[int, str]:
    return {nr: name for name, nr in table(abi).items()}


def number(abi: str, name: str) -> int | None:
    """The number of `name` on `abi`, None where that ABI has no such call."""
    return table(abi).get(name)


def name(abi: str, nr: int) -> str | None:
    """The kernel's name of number `nr` on `abi`, None for an unlisted number."""
    return _names_by_number(abi).get(nr)


@cache
def names() -> frozenset[str]:
    """The names of all calls on any ABI."""
    return frozenset(name for numbers in _tables().values() for name in numbers)
