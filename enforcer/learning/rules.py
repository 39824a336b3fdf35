"""From what was seen to the rules that permit it, in systrace's own form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from enforcer.call import Action
from enforcer.learning.observation import Observation, Value
from enforcer.policy.ast import AndExpression, Expression, Rule, TextOperator, TextSymbol
from enforcer.policy.decide import NOT_THERE
from enforcer.policy.format import format_answer
from enforcer.policy.translators import source

_NAMELESS = {"pipe:[": r"^pipe:\[[0-9]+\]$", "socket:[": r"^socket:\[[0-9]+\]$"}
"""Objects whose only name is a number that no other run has."""


def comparison(value: Value) -> TextSymbol:
    """`translator eq "text"`, as systrace learned."""
    translator, place, text = value
    operator = TextOperator.EQ
    if translator == "filename":
        for begin, pattern in _NAMELESS.items():
            if text.startswith(begin):
                operator, text = TextOperator.RE, pattern
    return TextSymbol(translator=translator, index=place, operator=operator, operand=text)


def rule_of(call: str, symbols: Sequence[TextSymbol]) -> Rule:
    """Permit a call whose texts are all of these."""
    when: Expression | None = None
    for symbol in reversed(symbols):
        when = symbol if when is None else AndExpression(symbol, when)
    return Rule(calls=(call,), when=when, action=Action.PERMIT)


def rules_of(seen: Observation) -> tuple[Rule, ...]:
    """The rules for one observation.

    Two where a name lay in no directory: systrace prints such a name in a way of its own, and the
    directory may be there the next time.
    """
    known = [value for value in seen.values if source(seen.call, value[0], value[1]) is not None]
    symbols = [comparison(value) for value in known]
    plain = rule_of(seen.call, symbols)
    if not seen.absent:
        return (plain,)
    absent = [
        replace(symbol, operand=NOT_THERE + symbol.operand)
        if symbol.translator == "filename" and symbol.index in seen.absent
        else symbol
        for symbol in symbols
    ]
    return (plain, rule_of(seen.call, absent))


def line_of(rule: Rule, emulation: str = "native") -> str:
    """The rule as it stands in a file."""
    return f"\t{emulation}-{rule.calls[0]}: {format_answer(rule)}"


def is_writable(rule: Rule) -> bool:
    """Whether a file can hold it: names that are not UTF-8 cannot stand in a policy."""
    try:
        line_of(rule).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def proposed(observations: Iterable[Observation]) -> dict[str, Rule]:
    """The rules for all of them by their line, each once."""
    found: dict[str, Rule] = {}
    for seen in observations:
        for rule in rules_of(seen):
            if is_writable(rule):
                found.setdefault(line_of(rule), rule)
    return found
