"""The second compiler: libseccomp, for comparison, never to be trusted.

Its rules know no order, no `or` and one comparison an argument, so that clauses are first turned
into disjoint conjunctions. What it cannot express is refused with the reason.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

import pyseccomp

from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import Program, disassemble
from enforcer.cbpf.spec import FilterSpec, SpecClause, register_mask
from enforcer.condition import All, Any, Compare, Condition, Not, Operator, holds
from enforcer.syscalls import name
from enforcer.syscalls import number as number_of
from enforcer.syscalls.multiplex import IPC_CALLS, SOCKETCALLS

_UNKNOWN = -1
"""What the library resolves a name to that it has never heard of (__NR_SCMP_ERROR)."""

MAX_TERMS = 64
"""Conjunctions of one call beyond which the translation gives up."""

_ARCHES: Mapping[str, int] = {
    "x86_64": pyseccomp.Arch.X86_64,
    "i386": pyseccomp.Arch.X86,
    "x32": pyseccomp.Arch.X32,
    "arm": pyseccomp.Arch.ARM,
    "arm64": pyseccomp.Arch.AARCH64,
    "riscv64": pyseccomp.Arch.RISCV64,
    "s390x": pyseccomp.Arch.S390X,
    "ppc64le": pyseccomp.Arch.PPC64LE,
}

_OPERATORS: Mapping[Operator, int] = {
    Operator.NE: pyseccomp.NE,
    Operator.LT: pyseccomp.LT,
    Operator.LE: pyseccomp.LE,
    Operator.EQ: pyseccomp.EQ,
    Operator.GE: pyseccomp.GE,
    Operator.GT: pyseccomp.GT,
}

_NEGATED: Mapping[Operator, Operator] = {
    Operator.EQ: Operator.NE,
    Operator.NE: Operator.EQ,
    Operator.LT: Operator.GE,
    Operator.GE: Operator.LT,
    Operator.GT: Operator.LE,
    Operator.LE: Operator.GT,
}

Term = tuple[Compare, ...]
"""Comparisons that hold together."""


class LibseccompUnsupported(Exception):
    """libseccomp cannot express the specification; `reasons` names each obstacle."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


def is_known(abi: Abi, call: str) -> bool:
    """Whether this machine's library has a number for the call on that ABI, ours or behind a
    multiplexer: rules on others are left out by whoever compiles by it.
    """
    found: int = pyseccomp.resolve_syscall(_ARCHES[abi.name], call)
    if found == number_of(abi.name, call):
        return True
    return found != _UNKNOWN and bool(abi.multiplexers) and call in _BEHIND


_BEHIND = frozenset(meant for codes in (SOCKETCALLS, IPC_CALLS) for meant, _ in codes.values())


def compile_libseccomp(spec: FilterSpec, *, optimize: int = 1) -> Program:
    """The program that libseccomp makes of `spec`; `optimize` is its CTL_OPTIMIZE (1 or 2).

    Raises LibseccompUnsupported, and OSError for whatever else the library refuses.
    """
    if not spec.tables:
        raise LibseccompUnsupported(["a filter without any architecture"])
    whole, *others = [_one_abi(spec, index, optimize) for index in range(len(spec.tables))]
    for other in others:
        whole.merge(other)
    with tempfile.TemporaryFile() as file:
        whole.export_bpf(file)
        file.seek(0)
        return disassemble(file.read(), big_endian=spec.tables[0].abi.big_endian)


def _one_abi(spec: FilterSpec, index: int, optimize: int) -> pyseccomp.SyscallFilter:
    table = spec.tables[index]
    arch = _ARCHES[table.abi.name]
    made = pyseccomp.SyscallFilter(table.unknown)
    made.set_attr(pyseccomp.Attr.ACT_BADARCH, spec.foreign)
    made.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, optimize)
    if arch != pyseccomp.system_arch():
        made.add_arch(arch)
        made.remove_arch(pyseccomp.system_arch())
    reasons: list[str] = []
    for number, clauses in table.calls.items():
        called = name(table.abi.name, number)
        try:
            resolved = _resolved(arch, called, number)
            for answer, term in disjoint_terms(clauses, table.abi):
                if answer != table.unknown:
                    made.add_rule_exactly(answer, resolved, *map(_argument, term))
        except LibseccompUnsupported as error:
            reasons += [f"{table.abi.name}-{called or number}: {text}" for text in error.reasons]
    if reasons:
        raise LibseccompUnsupported(reasons)
    return made


def _resolved(arch: int, called: str | None, number: int) -> int:
    """The number under which libseccomp takes a call of any architecture: the native one."""
    if called is None:
        raise LibseccompUnsupported([f"number {number} has no name"])
    native: int = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, called)
    if pyseccomp.resolve_syscall(arch, called) != number:
        raise LibseccompUnsupported(["libseccomp does not know this number"])
    return native


def disjoint_terms(clauses: Sequence[SpecClause], abi: Abi) -> list[tuple[int, Term]]:
    """(answer, term) pairs of which exactly those of the first clause that holds can hold.

    Where no clause holds no term does. Raises LibseccompUnsupported.
    """
    found: list[tuple[int, Term]] = []
    before: list[Condition] = []
    for clause in clauses:
        condition = All((*map(Not, before), clause.when))
        found += [(clause.answer, term) for term in _terms(condition, abi, negated=False)]
        if len(found) > MAX_TERMS:
            raise LibseccompUnsupported([f"more than {MAX_TERMS} terms"])
        before.append(clause.when)
    return found


def _terms(condition: Condition, abi: Abi, *, negated: bool) -> list[Term]:
    """The disjunctive normal form, with at most one comparison for each argument of a term."""
    match condition:
        case Compare():
            return _comparison(condition, abi, negated)
        case Not(member):
            return _terms(member, abi, negated=not negated)
        case All(members) | Any(members):
            parts = [_terms(member, abi, negated=negated) for member in members]
            if isinstance(condition, Any) != negated:
                return [term for part in parts for term in part]
            product: list[Term] = [()]
            for part in parts:
                product = [
                    joined
                    for left in product
                    for right in part
                    if (joined := _conjunction(left, right)) is not None
                ]
                if len(product) > MAX_TERMS:
                    raise LibseccompUnsupported([f"more than {MAX_TERMS} terms"])
            return product


def _comparison(compare: Compare, abi: Abi, negated: bool) -> list[Term]:
    """One comparison; a masked one, which libseccomp has for equality only, bit by bit."""
    operator = _NEGATED[compare.operator] if negated else compare.operator
    whole = register_mask(abi)
    argument, value, mask = compare.argument, compare.value, compare.mask & whole
    if mask == whole and value <= whole:
        return [(Compare(argument, operator, value, whole),)]
    impossible = operator in (Operator.EQ, Operator.NE) and value & ~mask
    if impossible or value > mask:
        return [()] if operator in (Operator.NE, Operator.LT, Operator.LE) else []
    if value & ~mask:
        raise LibseccompUnsupported([f"{operator} {value:#x} with mask {mask:#x}"])
    match operator:
        case Operator.EQ:
            found = [(mask, value)]
        case Operator.NE:
            found = [*_above(mask, value), *_below(mask, value)]
        case Operator.GT:
            found = _above(mask, value)
        case Operator.GE:
            found = [(mask, value), *_above(mask, value)]
        case Operator.LT:
            found = _below(mask, value)
        case Operator.LE:
            found = [(mask, value), *_below(mask, value)]
    return [(Compare(argument, Operator.EQ, part, bits),) for bits, part in found]


def _above(mask: int, value: int) -> list[tuple[int, int]]:
    """(mask, value) pairs: the masked word is above `value` where it equals one of them."""
    return [(upper | bit, value & upper | bit) for bit, upper in _bits(mask) if not value & bit]


def _below(mask: int, value: int) -> list[tuple[int, int]]:
    """The same for the words below."""
    return [(upper | bit, value & upper) for bit, upper in _bits(mask) if value & bit]


def _bits(mask: int) -> list[tuple[int, int]]:
    """Each bit of `mask` with the bits of `mask` above it."""
    bits = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
    return [(bit, mask & ~(2 * bit - 1)) for bit in bits]


def _conjunction(left: Term, right: Term) -> Term | None:
    """Both terms; None where they exclude each other."""
    joined = {compare.argument: compare for compare in left}
    for compare in right:
        known = joined.get(compare.argument)
        both = compare if known is None else _both(known, compare)
        if both is None:
            return None
        joined[compare.argument] = both
    return tuple(joined.values())


def _both(one: Compare, other: Compare) -> Compare | None:
    """One comparison that says the same as two of one argument; None if nothing satisfies both."""
    if one == other:
        return one
    equal = one.operator is Operator.EQ, other.operator is Operator.EQ
    if equal == (True, True):
        if (one.value ^ other.value) & one.mask & other.mask:
            return None
        value, mask = one.value | other.value, one.mask | other.mask
        return Compare(one.argument, Operator.EQ, value, mask)
    if one.mask == other.mask and any(equal):
        fixed, loose = (one, other) if equal[0] else (other, one)
        values = [0] * len(_ARGUMENTS)
        values[fixed.argument] = fixed.value
        return fixed if holds(loose, values) else None
    raise LibseccompUnsupported([f"two comparisons of argument {one.argument}"])


_ARGUMENTS = range(6)


def _argument(compare: Compare) -> pyseccomp.Arg:
    if compare.operator is Operator.EQ:
        return pyseccomp.Arg(compare.argument, pyseccomp.MASKED_EQ, compare.mask, compare.value)
    return pyseccomp.Arg(compare.argument, _OPERATORS[compare.operator], compare.value)
