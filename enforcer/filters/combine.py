"""Several filters as one: their intersection, as a process under all of them has, or union.

The intersection of a call is the strictest of its answers, the union the mildest, by the kernel's
order; of equal actions the first filter's number counts (seccomp_run_filters, Linux 4.14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain

from enforcer.arch.record import Abi
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import LIMIT, Code, Instruction, Program
from enforcer.cbpf.spec import AbiTable, FilterSpec, SpecClause, table_of
from enforcer.condition import FALSE, TRUE, All, simplify
from enforcer.filters.meaning import mildest, strictest
from enforcer.filters.model import Filter, Form

Choice = Callable[[Sequence[int]], int]
_FRESH = (Instruction(Code.LDX_IMM, 0), Instruction(Code.LD_IMM, 0))
"""The kernel begins every filter with both registers at zero."""


def intersection(filters: Sequence[Filter], source: str) -> Filter:
    """The filters over one process, the newest first: what each permits is what all permit."""
    programs = tuple(chain.from_iterable(each.programs for each in filters))
    return _combined(filters, source, strictest, programs)


def union(filters: Sequence[Filter], source: str) -> Filter:
    """One filter that permits what any of them permits. Raises FilterTooLarge, ValueError."""
    programs = [one_program(each) for each in filters]
    made = _combined(filters, source, mildest, ())
    whole = in_turn(programs, mildest) if made.spec is None else compile_filter(made.spec)
    return replace(made, programs=(whole,))


def one_program(filter: Filter) -> Program:
    """One program that answers as all of the filter's. Raises FilterTooLarge, ValueError."""
    if len(filter.programs) > 1 and filter.spec is not None:
        return compile_filter(filter.spec)
    return in_turn(filter.programs, strictest)


def in_turn(programs: Sequence[Program], choose: Choice) -> Program:
    """One program that gives the answer that is chosen of theirs. Raises ValueError."""
    return reduce(lambda before, after: _in_turn(before, after, choose), programs)


def _in_turn(first: Program, second: Program, choose: Choice) -> Program:
    """The first program, and for each of its answers the second, whose answers are then chosen.

    Where the second cannot change an answer, the first returns it as before.
    """
    if any(op.code == Code.RET_A for op in (*first, *second)):
        raise ValueError("a program computes its answer, so that it cannot be put together")
    theirs = {op.k for op in second if op.code == Code.RET}
    starts: dict[int, int] = {}
    rest: list[Instruction] = []
    for answer in dict.fromkeys(op.k for op in first if op.code == Code.RET):
        if all(choose((answer, each)) == answer for each in theirs):
            continue
        starts[answer] = len(first) + len(rest)
        rest += [*_FRESH, *(_answered(op, answer, choose) for op in second)]
    if len(first) + len(rest) > LIMIT:
        size = len(first) + len(rest)
        raise ValueError(f"they need {size} instructions, and the kernel takes {LIMIT}")
    head = (
        Instruction(Code.JA, starts[op.k] - place - 1)
        if op.code == Code.RET and op.k in starts
        else op
        for place, op in enumerate(first)
    )
    return (*head, *rest)


def _answered(op: Instruction, before: int, choose: Choice) -> Instruction:
    return replace(op, k=choose((before, op.k))) if op.code == Code.RET else op


def _combined(
    filters: Sequence[Filter], source: str, choose: Choice, programs: tuple[Program, ...]
) -> Filter:
    abis = {abi.name: abi for each in filters for abi in each.abis}
    return Filter(
        source=source,
        form=Form.BPF,
        abis=tuple(abis.values()),
        programs=programs,
        spec=_spec(filters, choose),
        notes=tuple(chain.from_iterable(each.notes for each in filters)),
        named=frozenset().union(*(each.named for each in filters)),
        default=_default(filters, choose),
    )


def _default(filters: Sequence[Filter], choose: Choice) -> int | None:
    """What a policy among them says of calls that no rule names; None where there is none."""
    if all(each.default is None for each in filters):
        return None
    found = []
    for each in filters:
        if each.default is not None:
            found.append(each.default)
        elif each.spec is not None:
            found.append(each.spec.tables[0].unknown)
    return choose(found)


def _spec(filters: Sequence[Filter], choose: Choice) -> FilterSpec | None:
    """Their texts together; None where one of them is nothing but programs."""
    specs = [each.spec for each in filters]
    found = [spec for spec in specs if spec is not None]
    if len(found) < len(specs):
        return None
    abis = {table.abi.name: table.abi for spec in found for table in spec.tables}
    tables = tuple(_table(abi, found, choose) for abi in abis.values())
    return FilterSpec(tables, choose([spec.foreign for spec in found]))


def _table(abi: Abi, specs: Sequence[FilterSpec], choose: Choice) -> AbiTable:
    tables = [
        table_of(spec, abi.audit_arch, abi.nr_bit) or AbiTable(abi, {}, unknown=spec.foreign)
        for spec in specs
    ]
    numbers = sorted({nr for table in tables for nr in table.calls})
    calls = {nr: reduce(_product(choose), (_whole(each, nr) for each in tables)) for nr in numbers}
    return AbiTable(abi, calls, unknown=choose([each.unknown for each in tables]))


_Clauses = tuple[SpecClause, ...]


def _whole(table: AbiTable, nr: int) -> _Clauses:
    """The clauses of one call, with what is answered where none of them holds."""
    return (*table.calls.get(nr, ()), SpecClause(TRUE, table.unknown))


def _product(choose: Choice) -> Callable[[_Clauses, _Clauses], _Clauses]:
    """The first clauses of both that hold are the first pair whose clauses both hold."""

    def pairs(left: _Clauses, right: _Clauses) -> Iterator[SpecClause]:
        for one in left:
            for other in right:
                when = simplify(All((one.when, other.when)))
                if when != FALSE:
                    answer = choose((one.answer, other.answer))
                    origin = one.origin if answer == one.answer else other.origin
                    yield SpecClause(when, answer, origin)
                if simplify(other.when) == TRUE:
                    break
            if simplify(one.when) == TRUE:
                break

    def product(left: _Clauses, right: _Clauses) -> _Clauses:
        return tuple(pairs(left, right))

    return product
