"""The canonical text of a policy: parsing it gives the same policy again."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from enforcer.call import Action, Transition
from enforcer.condition import LOW_HALF, WORD, Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Predicate,
    RegisterSymbol,
    Rule,
    TextSymbol,
)
from enforcer.policy.membership import ALL, every_call
from enforcer.policy.names import errno_name
from enforcer.policy.tokens import quote

EPERM = 1
WIDTH = 96

_PREDICATE_SIGNS = {Operator.EQ: "=", Operator.NE: "!=", Operator.LT: "<", Operator.GT: ">"}
_PLAIN_SCALAR = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
_NOT_IN_A_HEADER = re.compile(r'[\n\r"#]|,\s*(emulation|description)\s*:', re.IGNORECASE)
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"})


class NotExpressible(ValueError):
    """The file form cannot say this; `enforcer convert` can make a policy that it can."""


def format_systrace(policy: Policy) -> str:
    """The policy in systrace's own form. Raises NotExpressible."""
    if policy.dialect is not Dialect.SYSTRACE:
        raise NotExpressible("the policy is not in the systrace dialect")
    if policy.include:
        raise NotExpressible("a systrace policy includes no templates")
    for text in (policy.binary or "", policy.template, policy.emulation, policy.description):
        if text != text.strip() or _NOT_IN_A_HEADER.search(text):
            raise NotExpressible(f"a header of systrace cannot hold {text!r}")
    if policy.template:
        header = (
            f"Template: {policy.template}, Emulation: {policy.emulation}, "
            f"Description: {policy.description}"
        )
    else:
        header = f"Policy: {policy.binary or '*'}, Emulation: {policy.emulation}"
    lines = [header.rstrip()]
    if policy.default is not Action.ASK:
        lines.append(f"default: {_default(policy)}")
    if policy.detached:
        lines.append("detached")
    for rule in policy.rules:
        if len(rule.calls) != 1:
            raise NotExpressible("a systrace rule is for one call")
        lines.append(f"\t{policy.emulation}-{rule.calls[0]}: {format_answer(rule)}")
    return "\n".join(lines) + "\n"


def format_policies(policies: Sequence[Policy], dialect: Dialect) -> str:
    """A file with these policies: in systrace's own form, or YAML documents.

    Raises NotExpressible.
    """
    if dialect is Dialect.SYSTRACE:
        return "\n".join(map(format_systrace, policies))
    return "---\n".join(map(format_yaml, policies))


def format_answer(rule: Rule) -> str:
    """What stands after the colon of a systrace rule."""
    if rule.action is Action.KILL:
        raise NotExpressible("a systrace rule cannot kill")
    words = [] if rule.when is None else [format_expression(rule.when, Dialect.SYSTRACE), "then"]
    if rule.now and rule.when is not None:
        raise NotExpressible("a systrace filter has no -now")
    words.append(format_action(rule))
    if rule.log:
        words.append("log")
    if rule.elevation is not None:
        words += ["as", str(rule.elevation)]
    text = " ".join(words)
    return text if rule.predicate is None else f"{text}, if {format_predicate(rule.predicate)}"


def format_yaml(policy: Policy) -> str:
    """The policy in YAML."""
    lines: list[str] = []
    for key, value in (
        ("template", policy.template),
        ("description", policy.description),
        ("policy", policy.binary or ""),
    ):
        if value:
            lines.append(f"{key}: {_scalar(value)}")
    if policy.dialect is not Dialect.STRICT:
        lines.append(f"dialect: {policy.dialect}")
    if policy.emulation != "native":
        lines.append(f"emulation: {_scalar(policy.emulation)}")
    if policy.detached:
        lines.append("detached: true")
    if policy.include:
        lines.append(f"include: [{', '.join(map(_scalar, policy.include))}]")
    lines.append(f"default: {_default(policy)}")
    if not policy.rules:
        lines.append("rules: []")
    else:
        lines.append("rules:")
        for rule in policy.rules:
            lines += _rule(rule, policy.dialect)
    return "\n".join(lines) + "\n"


def format_rule(rule: Rule, dialect: Dialect) -> str:
    """One rule on one line, for messages."""
    calls = rule.calls[0] if len(rule.calls) == 1 else f"[{', '.join(rule.calls)}]"
    if rule.calls == every_call():
        calls = ALL
    parts = [f"{format_action(rule)}: {calls}"]
    if rule.when is not None:
        parts.append(f"when {format_expression(rule.when, dialect)}")
    if rule.log:
        parts.append("log")
    if rule.elevation is not None:
        parts.append(f"as {rule.elevation}")
    if rule.predicate is not None:
        parts.append(f"if {format_predicate(rule.predicate)}")
    return " ".join(parts)


def format_action(rule: Rule) -> str:
    """permit, permit[inherit], deny[errno], deny-now..."""
    word = f"{rule.action}-now" if rule.now else str(rule.action)
    if rule.action is Action.DENY and rule.errno != EPERM:
        return f"{word}[{errno_name(rule.errno)}]"
    return word if rule.transition is Transition.SWITCH else f"{word}[{rule.transition}]"


def format_predicate(predicate: Predicate) -> str:
    """`user = 33`, with the name as it was written."""
    sign = _PREDICATE_SIGNS[predicate.operator]
    return f"{predicate.principal} {sign} {predicate.spelling or predicate.value}"


def format_expression(expression: Expression, dialect: Dialect) -> str:
    """The expression with as few parentheses as the dialect allows."""
    if dialect is Dialect.SYSTRACE:
        return _chain(expression)
    return _by_precedence(expression, 0)


def _chain(expression: Expression) -> str:
    """systrace: chains to the right; what is compound on the left, needs parentheses."""
    match expression:
        case NotExpression(operand):
            return f"not {_chain(operand)}"
        case AndExpression(left, right):
            return f"{_link(left)} and {_chain(right)}"
        case OrExpression(left, right):
            return f"{_link(left)} or {_chain(right)}"
        case _:
            return _symbol(expression)


def _link(expression: Expression) -> str:
    if isinstance(expression, NotExpression | AndExpression | OrExpression):
        return f"({_chain(expression)})"
    return _symbol(expression)


def _by_precedence(expression: Expression, outer: int) -> str:
    """strict: or 1, and 2, not 3; chains to the right."""
    match expression:
        case OrExpression(left, right):
            text, own = f"{_by_precedence(left, 2)} or {_by_precedence(right, 1)}", 1
        case AndExpression(left, right):
            text, own = f"{_by_precedence(left, 3)} and {_by_precedence(right, 2)}", 2
        case NotExpression(operand):
            text, own = f"not {_by_precedence(operand, 3)}", 3
        case _:
            return _symbol(expression)
    return f"({text})" if own < outer else text


def _symbol(expression: Expression) -> str:
    match expression:
        case TextSymbol():
            index = f"[{expression.index}]" if expression.index else ""
            text = f"{expression.translator}{index} {expression.operator}"
            return f"{text} {quote(expression.operand)}"
        case RegisterSymbol():
            return expression.spelling or _register(expression)
        case _:
            return "true"


def _register(symbol: RegisterSymbol) -> str:
    text = f"arg[{symbol.argument}]"
    if symbol.mask == LOW_HALF and symbol.value <= LOW_HALF:
        text += ":32"
    elif symbol.mask != WORD:
        text += f" & {symbol.mask:#x}"
    return f"{text} {symbol.operator} {symbol.value:#x}"


def _default(policy: Policy) -> str:
    if policy.default is Action.DENY:
        return f"deny[{errno_name(policy.default_errno)}]"
    return str(policy.default)


def _rule(rule: Rule, dialect: Dialect) -> list[str]:
    lines = [f"  - {format_action(rule)}: {line}" for line in _calls(rule)]
    if rule.when is not None:
        lines.append(f"    when: {_scalar(format_expression(rule.when, dialect))}")
    if rule.log:
        lines.append("    log: true")
    if rule.elevation is not None:
        lines.append(f"    as: {_scalar(str(rule.elevation))}")
    if rule.predicate is not None:
        lines.append(f"    if: {_scalar(format_predicate(rule.predicate))}")
    return lines


def _calls(rule: Rule) -> list[str]:
    if rule.calls == every_call():
        return [ALL]
    if len(rule.calls) == 1:
        return [_scalar(rule.calls[0])]
    lines, line = [], "["
    for place, name in enumerate(rule.calls):
        word = _scalar(name) + ("]" if place == len(rule.calls) - 1 else ",")
        if len(line) + len(word) > WIDTH - 14 and len(line) > 1:
            lines.append(line.rstrip())
            line = " " * 13
        line += word if line == "[" or line.isspace() else f" {word}"
    lines.append(line)
    return ["\n".join(lines)]


def _scalar(text: str) -> str:
    """A YAML scalar on one line that is read back as this text, plain where that is safe."""
    if _PLAIN_SCALAR.match(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    plain = not re.search(r"[\x00-\x1f\x7f-\U0010ffff#]|: |:\Z| \Z", text)
    if plain and re.match(r"[A-Za-z0-9(]", text) and text.lower() not in _WORDS_OF_YAML:
        return text
    written = yaml.dump(text, default_style='"', width=float("inf"), allow_unicode=False)
    return written.strip("\n")
