"""The text operators: what `match`, `eq`, `sub` and the others say of an argument's text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import assert_never

from enforcer.policy.ast import Dialect, TextOperator
from enforcer.policy.patterns import PatternError, literal_of, translate_ere, translate_fnmatch

_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class OperandError(ValueError):
    """A string that its operator cannot use."""

    def __init__(self, message: str, mend: str = "") -> None:
        self.mend = mend
        super().__init__(message)


def check_operand(operator: TextOperator, operand: str) -> None:
    """Raises OperandError for a pattern or regular expression that cannot be used."""
    text_test(operator, operand, Dialect.STRICT)


def text_test(operator: TextOperator, operand: str, dialect: Dialect) -> Callable[[str], bool]:
    """The test of an argument's text; raises OperandError.

    `match` is fnmatch(3) with FNM_PATHNAME|FNM_LEADING_DIR; `inpath` holds when the argument is an
    ancestor of `operand` or equal to it; `re` is POSIX extended, unanchored; `eq` and `neq` compare
    without (ASCII) case in the systrace dialect.
    """
    match operator:
        case TextOperator.MATCH:
            return _matches(operand)
        case TextOperator.EQ | TextOperator.NEQ:
            return _equality(operand, operator is TextOperator.EQ, dialect)
        case TextOperator.SUB:
            return lambda text: operand in text
        case TextOperator.NSUB:
            return lambda text: operand not in text
        case TextOperator.INPATH:
            return lambda text: _is_ancestor(text, operand)
        case TextOperator.RE:
            return _searches(operand)
        case _:
            assert_never(operator)


def _matches(operand: str) -> Callable[[str], bool]:
    if operand.endswith("*") and literal_of(operand[:-1]) is not None:
        start = operand[:-1]
        return lambda text: text.startswith(start)
    try:
        fullmatch = re.compile(translate_fnmatch(operand)).fullmatch
    except PatternError as error:
        raise OperandError(f"cannot use this pattern: {error}") from error
    return lambda text: fullmatch(text) is not None


def _searches(operand: str) -> Callable[[str], bool]:
    try:
        search = re.compile(translate_ere(operand)).search
    except PatternError as error:
        raise OperandError(f"cannot use this regular expression: {error}") from error
    return lambda text: search(text) is not None


def _equality(operand: str, equal: bool, dialect: Dialect) -> Callable[[str], bool]:
    if dialect is Dialect.STRICT:
        return operand.__eq__ if equal else operand.__ne__
    meant = folded(operand, dialect)
    if equal:
        return lambda text: text.translate(_ASCII_LOWER) == meant
    return lambda text: text.translate(_ASCII_LOWER) != meant


def folded(text: str, dialect: Dialect) -> str:
    """A text as `eq` compares it."""
    return text if dialect is Dialect.STRICT else text.translate(_ASCII_LOWER)


def _is_ancestor(text: str, operand: str) -> bool:
    if text == "/":
        return operand.startswith("/")
    return text != "" and (operand == text or operand.startswith(text + "/"))
