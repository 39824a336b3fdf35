"""What a text test still has to find out once the beginning of the text is known.

Two directories are alike to a test if the same is left to be found out behind both names: then
whatever lies beneath, it says the same of it by either name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import assert_never

from enforcer.policy.ast import Dialect, TextOperator
from enforcer.policy.ere_states import States, TooLarge
from enforcer.policy.operators import folded, text_test
from enforcer.policy.patterns import literal_of, path_components

Remainder = Callable[[str], Hashable]
"""From the beginning of a text: True or False where what follows no longer matters, else a value.

Equal values mean equal answers, whatever follows.
"""


def remainder(operator: TextOperator, operand: str, dialect: Dialect) -> Remainder:
    """What the test of `operator` leaves open behind a directory's name, which ends in a slash."""
    rest = _positive(operator, operand, dialect)
    if operator in (TextOperator.NEQ, TextOperator.NSUB):
        return lambda begun: _negated(rest(begun))
    return rest


def _positive(operator: TextOperator, operand: str, dialect: Dialect) -> Remainder:
    match operator:
        case TextOperator.EQ | TextOperator.NEQ:
            whole = folded(operand, dialect)
            return lambda begun: _rest_of(whole, folded(begun, dialect))
        case TextOperator.INPATH:
            return lambda begun: _rest_of(operand, begun)
        case TextOperator.SUB | TextOperator.NSUB:
            return lambda begun: operand in begun or _overlap(begun, operand)
        case TextOperator.MATCH:
            return _of_pattern(operand)
        case TextOperator.RE:
            return _of_expression(operand)
        case _:
            assert_never(operator)


def _negated(rest: Hashable) -> Hashable:
    return not rest if isinstance(rest, bool) else rest


def _rest_of(whole: str, begun: str) -> str | bool:
    return whole[len(begun) :] or False if whole.startswith(begun) else False


def _overlap(begun: str, operand: str) -> str:
    """With how much of `operand` the text ends: the state of the search for it."""
    longest = min(len(begun), len(operand) - 1)
    starts = (operand[:size] for size in range(longest, -1, -1))
    return next(start for start in starts if begun.endswith(start))


def _of_pattern(pattern: str) -> Remainder:
    """`match`: name by name, because neither `*` nor a bracket reaches over a slash."""
    start = pattern[:-1]
    if pattern.endswith("*") and literal_of(start) is not None:
        return lambda begun: begun.startswith(start) or _rest_of(start, begun)
    parts = path_components(pattern)
    tests = [text_test(TextOperator.MATCH, part, Dialect.STRICT) for part in parts]

    def rest(begun: str) -> Hashable:
        names = begun[:-1].split("/")
        if not all(test(name) for test, name in zip(tests, names, strict=False)):
            return False
        return tuple(parts[len(names) :]) or True

    return rest


def _of_expression(pattern: str) -> Remainder:
    """`re`. One that is too large to be followed is taken to tell all directories apart."""
    try:
        return States(pattern).after
    except TooLarge:
        return lambda begun: begun
