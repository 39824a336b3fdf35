"""What the writers share: the calls that a language has to name, and conditions as alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from enforcer.arch.record import Abi
from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.spec import AbiTable, SpecClause
from enforcer.condition import TRUE, All, Any, Compare, Condition, simplify
from enforcer.filters.model import Filter
from enforcer.syscalls import table

_MOST_TERMS = 64


@dataclass(frozen=True, kw_only=True)
class Export:
    """The file's content, and what it does not keep, one line each."""

    content: bytes
    lost: tuple[str, ...]


def calls(each: AbiTable) -> Iterator[tuple[str, tuple[SpecClause, ...]]]:
    """The calls by name whose answer is not the default's alone."""
    for name, nr in sorted(table(each.abi.name).items()):
        clauses = _needed(each.calls.get(nr, ()), each.unknown)
        if clauses:
            yield name, clauses


def _needed(clauses: tuple[SpecClause, ...], default: int) -> tuple[SpecClause, ...]:
    found = []
    for clause in clauses:
        found.append(SpecClause(simplify(clause.when), clause.answer, clause.origin))
        if found[-1].when == TRUE:
            break
    while found and found[-1].answer == default:
        found.pop()
    return tuple(found)


def with_default(filter: Filter, each: AbiTable, lost: list[str]) -> AbiTable:
    """The table with the policy's own default, as far as that is another one."""
    default = each.unknown if filter.default is None else filter.default
    if default != each.unknown:
        lost.append(
            f"numbers of no call: {answer_name(each.unknown)} becomes {answer_name(default)}"
        )
    names = set(table(each.abi.name).values())
    lost += [
        f"call {nr:#x}: a number without a name is answered as every other"
        for nr, clauses in sorted(each.calls.items())
        if nr not in names and _needed(clauses, default)
    ]
    listed = {
        nr: each.calls.get(nr, ()) or (SpecClause(TRUE, each.unknown),)
        for nr in (*each.calls, *table(each.abi.name).values())
    }
    return AbiTable(each.abi, listed, unknown=default)


def terms(condition: Condition) -> list[tuple[Compare, ...]] | None:
    """The condition as alternatives of comparisons that hold together; None: it is none."""
    match condition:
        case Compare():
            return [(condition,)]
        case All(members):
            found: list[tuple[Compare, ...]] = [()]
            for member in members:
                inner = terms(member)
                if inner is None or len(found) * len(inner) > _MOST_TERMS:
                    return None
                found = [(*left, *right) for left in found for right in inner]
            return found
        case Any(members):
            every: list[tuple[Compare, ...]] = []
            for member in members:
                inner = terms(member)
                if inner is None:
                    return None
                every += inner
            return every
        case _:
            return None


def note_other_abis(filter: Filter, native: Abi, lost: list[str]) -> None:
    others = [abi.name for abi in filter.abis if abi.name != native.name]
    if others:
        lost.append(
            f"{', '.join(others)}: written for {native.name} only, which refuses the others"
        )
