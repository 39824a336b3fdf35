"""Text comparisons on registers turned round: which register values have a text that satisfies one.

Filters cannot print a register, so `oflags sub "ro"` becomes a comparison of bits. All of it is
derived from the translation itself (enforcer/syscalls/translate.py) by asking it for texts.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from enforcer.condition import (
    FALSE,
    LOW_HALF,
    TRUE,
    WORD,
    All,
    Any,
    Compare,
    Condition,
    Not,
    simplify,
)
from enforcer.condition import Operator as Comparison
from enforcer.policy.ast import Dialect, TextOperator
from enforcer.policy.operators import text_test
from enforcer.policy.patterns import literal_of, literal_prefix
from enforcer.policy.translators import Source
from enforcer.syscalls.model import Argument, Kind
from enforcer.syscalls.translate import CONSTANTS, translate_register

MAX_ENUMERATED_BITS = 12
MAX_COMPARISONS = 64

_DECIMAL = frozenset({Kind.FD, Kind.UID, Kind.GID, Kind.PID})
_NUMERIC = frozenset("0123456789abcdefABCDEFx-+")
_SHORT_DIGITS = 3
_UNIT = re.compile(r"\[[^\]]*\]|\\.")

Test = Callable[[str], bool]


def register_text(found: Source, name: str, args: Sequence[int]) -> str:
    """The text of a register translator of call `name`."""
    assert found.argument is not None
    return argument_text(found.translator, found.argument, name, args[found.argument.index])


def argument_text(translator: str, argument: Argument, name: str, value: int) -> str:
    """The text of one register value."""
    text = translate_register(argument, value, name)
    return _user_name(text) if translator == "uname" else text


def register_text_condition(
    found: Source, name: str, operator: TextOperator, operand: str, dialect: Dialect
) -> tuple[Condition, Condition]:
    """Where the comparison is certainly true, and where possibly; the same unless it explodes."""
    assert found.argument is not None
    negated = {TextOperator.NEQ: TextOperator.EQ, TextOperator.NSUB: TextOperator.SUB}
    inner = negated.get(operator, operator)
    exact = _Inverse(found, name, inner, operand, dialect).condition()
    if exact is None:
        return FALSE, TRUE
    condition = simplify(Not(exact) if operator in negated else exact)
    return condition, condition


class _Inverse:
    """One comparison, asked in the ways that can answer it exactly, cheapest first."""

    def __init__(
        self, found: Source, name: str, operator: TextOperator, operand: str, dialect: Dialect
    ) -> None:
        assert found.argument is not None
        self._translator = found.translator
        self._argument = found.argument
        self._name = name
        self._operator = operator
        self._operand = operand
        self._test = text_test(operator, operand, dialect)

    def condition(self) -> Condition | None:
        """The condition under which the comparison holds; None where it would explode."""
        if self._operator is TextOperator.SUB and self._operand == "":
            return TRUE
        mask = relevant_bits(self._argument, self._name)
        if mask.bit_count() <= MAX_ENUMERATED_BITS and self._translator != "uname":
            return self._by_enumeration(mask)
        texts = self._possible_texts()
        if texts is not None:
            return self._by_values(value for text in texts for value in self._values_of(text))
        if self._argument.kind in _DECIMAL:
            return self._by_short_numbers()
        if self._argument.kind in (Kind.PROT, Kind.FLAGS):
            return self._by_parts(mask)
        return self._by_vocabulary()

    def _text(self, value: int) -> str:
        return argument_text(self._translator, self._argument, self._name, value)

    def _by_enumeration(self, mask: int) -> Condition | None:
        """Every combination of the bits that count."""
        bits = [1 << bit for bit in range(64) if mask >> bit & 1]
        return covering(self._argument.index, bits, lambda value: self._test(self._text(value)))

    def _possible_texts(self) -> tuple[str, ...] | None:
        """The only texts, up to case, that satisfy the comparison; None if they are many.

        The text of a register has no `/`, so that a leading directory is all of it.
        """
        match self._operator:
            case TextOperator.EQ:
                return (self._operand,)
            case TextOperator.INPATH:
                return (self._operand, self._operand.partition("/")[0])
            case TextOperator.MATCH:
                literal = literal_of(self._operand)
                return None if literal is None else (literal,)
            case _:
                return None

    def _values_of(self, text: str) -> list[int]:
        """Register values that may have this text."""
        values = _numbers_in(text)
        for name, value in CONSTANTS.items():
            if name.lower() == text.lower():
                values.append(value)
        parts = [part for part in text.split("|") if part]
        if len(parts) > 1:
            total = 0
            for part in parts:
                numbers = [n for name, n in CONSTANTS.items() if name.lower() == part.lower()]
                numbers += _numbers_in(part)
                if not numbers:
                    return values
                total |= numbers[0]
            values.append(total)
        values += _vocabulary(self._argument, self._name)
        if self._translator == "uname":
            values += [entry.pw_uid for entry in pwd.getpwall() if entry.pw_name == text]
        return values

    def _by_values(self, values: Iterable[int]) -> Condition:
        """The values among these whose text satisfies the comparison, and their like."""
        found: list[Condition] = []
        for value in dict.fromkeys(value & WORD for value in values):
            if self._test(self._text(value)):
                mask = bits_that_matter(self._argument, self._name, value)
                one = Compare(self._argument.index, Comparison.EQ, value & mask, mask)
                if one not in found:
                    found.append(one)
        return Any(tuple(found))

    def _by_short_numbers(self) -> Condition | None:
        """A pattern without `*` matches short numbers only, all of which can be tried."""
        if self._operator is not TextOperator.MATCH or "*" in self._operand:
            return None
        if len(_UNIT.sub("x", self._operand)) > _SHORT_DIGITS:
            return None
        short = range(10**_SHORT_DIGITS)
        negative = range(-(10 ** (_SHORT_DIGITS - 1)) & LOW_HALF, LOW_HALF + 1)
        held = [value for value in (*short, *negative) if self._test(self._text(value))]
        mask = relevant_bits(self._argument, self._name)
        spans = list(_spans(held))
        if len(spans) > MAX_COMPARISONS:
            return None
        index = self._argument.index
        return Any(
            tuple(
                All(
                    (
                        Compare(index, Comparison.GE, first, mask),
                        Compare(index, Comparison.LE, last, mask),
                    )
                )
                for first, last in spans
            )
        )

    def _by_vocabulary(self) -> Condition | None:
        """Values with a name of their own; the others print as numbers, which must never fit."""
        if not self._excludes_numbers():
            return None
        return self._by_values(_vocabulary(self._argument, self._name))

    def _by_parts(self, mask: int) -> Condition | None:
        """Flags print as names joined by `|`: those with a name that contains the string."""
        wanted = self._operand
        if self._operator is TextOperator.MATCH:
            inside = wanted[1:-1]
            if wanted[:1] + wanted[-1:] != "**" or literal_of(inside) != inside or len(wanted) < 3:
                return None
            wanted = inside
        elif self._operator is not TextOperator.SUB:
            return None
        if "|" in wanted or set(wanted) <= _NUMERIC:
            return None
        index = self._argument.index
        found: list[Condition] = []
        if wanted in self._text(0):
            found.append(Compare(index, Comparison.EQ, 0, mask))
        for group in groups_of_bits(self._argument, self._name):
            bits = [1 << bit for bit in range(64) if group >> bit & 1]
            if len(bits) > MAX_ENUMERATED_BITS:
                if all(set(self._text(bit)) <= _NUMERIC for bit in bits):
                    continue
                return None
            one = covering(index, bits, lambda value: value != 0 and wanted in self._text(value))
            if one is None:
                return None
            found.append(one)
        return Any(tuple(found))

    def _excludes_numbers(self) -> bool:
        """Whether no number, decimal or hexadecimal, can satisfy the comparison."""
        if self._operator is TextOperator.SUB:
            return not set(self._operand) <= _NUMERIC
        if self._operator is TextOperator.MATCH:
            return not set(literal_prefix(self._operand)) <= _NUMERIC
        return False


@cache
def relevant_bits(argument: Argument, name: str) -> int:
    """The bits of a register that its text may depend on."""
    return _differing(argument, name, (0, 1, 2, 3, 4, 5, 6, LOW_HALF, WORD))


@cache
def bits_that_matter(argument: Argument, name: str, value: int) -> int:
    """The bits that cannot be flipped without changing the text of `value`."""
    return _differing(argument, name, (value,))


def _differing(argument: Argument, name: str, values: Iterable[int]) -> int:
    mask = 0
    for value in values:
        text = translate_register(argument, value, name)
        for bit in range(64):
            if translate_register(argument, value ^ (1 << bit), name) != text:
                mask |= 1 << bit
    return mask


@cache
def groups_of_bits(argument: Argument, name: str) -> tuple[int, ...]:
    """The bits of a flags word in groups, each of which contributes its names by itself."""

    def parts(value: int) -> set[str]:
        return set(translate_register(argument, value, name).split("|"))

    mask = relevant_bits(argument, name)
    groups: list[int] = []
    for bit in (1 << place for place in range(64) if mask >> place & 1):
        joined = bit
        for group in list(groups):
            bits = [1 << place for place in range(64) if group >> place & 1]
            if any(parts(bit | each) != parts(bit) | parts(each) for each in bits):
                groups.remove(group)
                joined |= group
        groups.append(joined)
    return tuple(groups)


@cache
def _vocabulary(argument: Argument, name: str) -> tuple[int, ...]:
    """The values that have a name instead of a number."""
    candidates = dict.fromkeys([*range(256), *CONSTANTS.values()])
    return tuple(
        value
        for value in candidates
        if not set(translate_register(argument, value, name)) <= _NUMERIC
    )


def covering(index: int, bits: Sequence[int], test: Callable[[int], bool]) -> Condition | None:
    """A condition true for exactly the combinations of `bits` that pass `test`.

    None when it would take more than MAX_COMPARISONS comparisons.
    """
    truth = [test(_combination(bits, number)) for number in range(1 << len(bits))]
    cubes = list(_cubes(list(bits), truth, 0, 0))
    opposite = list(_cubes(list(bits), [not each for each in truth], 0, 0))
    if min(len(cubes), len(opposite)) > MAX_COMPARISONS:
        return None
    if len(opposite) < len(cubes):
        return Not(_any_cube(index, opposite))
    return _any_cube(index, cubes)


def _any_cube(index: int, cubes: Iterable[tuple[int, int]]) -> Condition:
    return Any(
        tuple(Compare(index, Comparison.EQ, value, mask) if mask else TRUE for mask, value in cubes)
    )


def _combination(bits: Sequence[int], number: int) -> int:
    return sum(bit for place, bit in enumerate(bits) if number >> place & 1)


def _cubes(bits: list[int], truth: list[bool], mask: int, value: int) -> Iterable[tuple[int, int]]:
    """(mask, value) pairs whose union is the truth table; the last bit is the highest half."""
    if all(truth):
        yield mask, value
    elif any(truth):
        half = len(truth) // 2
        bit, rest = bits[-1], bits[:-1]
        low, high = truth[:half], truth[half:]
        if low == high:
            yield from _cubes(rest, low, mask, value)
        else:
            yield from _cubes(rest, low, mask | bit, value)
            yield from _cubes(rest, high, mask | bit, value | bit)


def _spans(values: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of ascending consecutive values, as first and last."""
    first = last = None
    for value in values:
        if first is None or last is None or value != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = value
        last = value
    if first is not None and last is not None:
        yield first, last


def _numbers_in(text: str) -> list[int]:
    """The numbers that a text may mean: decimal, octal or hexadecimal, also negative."""
    digits = text.removeprefix("-")
    found: list[int] = []
    if len(digits) > 24 or not digits.isascii() or not digits.isalnum():
        return found
    for base in (8, 10, 16):
        try:
            number = int(digits, base)
        except ValueError:
            continue
        found += [number, -number & WORD, -number & LOW_HALF] if digits != text else [number]
    return found


@cache
def _user_name(text: str) -> str:
    """The name of a user given by decimal id; the id itself where there is none."""
    try:
        return pwd.getpwuid(int(text)).pw_name
    except (KeyError, ValueError, OverflowError):
        return text
