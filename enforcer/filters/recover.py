"""What programs mean, as clauses: for languages and backends that take no compiled filter.

Every way through the programs is the tests that lead there; of the ways of one call those with the
commonest answer become what is answered where no other holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import Code
from enforcer.cbpf.spec import AbiTable, FilterSpec, SeccompData, SpecClause
from enforcer.condition import TRUE, All, Compare, Condition, Operator
from enforcer.filters.classes import CutShort
from enforcer.filters.meaning import FOREIGN_ARCH, answer_of, strictest
from enforcer.filters.model import Filter
from enforcer.filters.walk import NotFollowed, Outcome, ways
from enforcer.policy.problem import PolicyError, Problem
from enforcer.syscalls import table

_FIRST_WORD = 4
_HALF_BITS = 32
_MOST_CLAUSES = 256
"""For one call: more would be no policy that anybody reads."""

_HELD: Mapping[int, Operator] = {
    Code.JEQ: Operator.EQ,
    Code.JGT: Operator.GT,
    Code.JGE: Operator.GE,
    Code.JSET: Operator.NE,
}
_FAILED: Mapping[Operator, Operator] = {
    Operator.EQ: Operator.NE,
    Operator.NE: Operator.EQ,
    Operator.GT: Operator.LE,
    Operator.GE: Operator.LT,
}


def spec_of(filter: Filter) -> FilterSpec:
    """What the filter means: what its text says, else what its programs do.

    Numbers of no call are answered as the first one behind all calls. Raises PolicyError for a
    program that has too many ways, computes with registers, or looks at the calling address.
    """
    if filter.spec is not None:
        return filter.spec
    try:
        tables = tuple(_table(filter, abi) for abi in filter.abis)
    except (CutShort, NotFollowed) as error:
        mend = "it is taken by explain, diff, audit, dump, and run --backend seccomp"
        message = f"this program cannot be put into rules: {error}"
        raise PolicyError(
            [Problem(source=filter.source, line=1, column=1, message=message, mend=mend)]
        ) from None
    return FilterSpec(tables, answer_of(filter, SeccompData(0, FOREIGN_ARCH)))


def _table(filter: Filter, abi: Abi) -> AbiTable:
    known = {nr for each in by_audit_arch(abi.audit_arch) for nr in table(each.name).values()}
    own = set(table(abi.name).values())
    beyond = max(own) + 1
    while beyond in known:
        beyond += 1
    unknown = answer_of(filter, SeccompData(beyond, abi.audit_arch))
    calls: dict[int, tuple[SpecClause, ...]] = {}
    for nr in sorted(own):
        clauses = tuple(_clauses(filter, abi, nr))
        if clauses != (SpecClause(TRUE, unknown),):
            calls[nr] = clauses
    return AbiTable(abi, calls, unknown=unknown)


def _clauses(filter: Filter, abi: Abi, nr: int) -> Iterator[SpecClause]:
    """Raises CutShort, NotFollowed."""
    found = [(strictest(w.answers), w.tests) for w in ways(filter.programs, nr, abi.audit_arch)]
    ((usual, _),) = Counter(answer for answer, _ in found).most_common(1)
    others = [(answer, tests) for answer, tests in found if answer != usual]
    if len(others) > _MOST_CLAUSES:
        raise CutShort(f"call {nr} of {abi.name} has more than {_MOST_CLAUSES} ways")
    for answer, tests in others:
        yield SpecClause(condition_of(tests, big_endian=abi.big_endian), answer)
    yield SpecClause(TRUE, usual)


def condition_of(tests: Sequence[Outcome], *, big_endian: bool) -> Condition:
    """The condition on registers under which all tests come out so. Raises NotFollowed."""
    found = [_compare(each, big_endian=big_endian) for each in tests]
    return All(tuple(_joined(found)))


def _compare(test: Outcome, *, big_endian: bool) -> Compare:
    index, mask, code, k, held = test
    if index < _FIRST_WORD:
        raise NotFollowed("it looks at the instruction pointer")
    register, second = divmod(index - _FIRST_WORD, 2)
    shift = 0 if bool(second) == big_endian else _HALF_BITS
    operator = _HELD[code]
    if code == Code.JSET:
        mask, k = mask & k, 0
    if not held:
        operator = _FAILED[operator]
    return Compare(register, operator, k << shift, mask << shift)


def _joined(compares: Iterable[Compare]) -> Iterator[Compare]:
    """Equalities of the halves of one register as one of the whole."""
    equal: dict[int, Compare] = {}
    for each in compares:
        before = equal.get(each.argument)
        if each.operator is not Operator.EQ:
            yield each
        elif before is None:
            equal[each.argument] = each
        elif (each.value ^ before.value) & each.mask & before.mask:
            yield each  # both cannot hold: kept as it is
        else:
            value, mask = each.value | before.value, each.mask | before.mask
            equal[each.argument] = Compare(each.argument, Operator.EQ, value, mask)
    yield from equal.values()
