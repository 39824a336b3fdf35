"""Policies as JSON and back: how a plan carries them to where it is launched.

It needs nothing but the standard library, and keeps what a decision depends on, and of positions
the file and line of each rule, for the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from enforcer.call import Action, Elevation, Transition
from enforcer.condition import Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Position,
    Predicate,
    Principal,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)


class WireError(ValueError):
    """The JSON is not that of a policy."""


def policy_to_json(policy: Policy) -> dict[str, object]:
    """JSON values from which `policy_from_json` makes an equal policy."""
    return {
        "binary": policy.binary,
        "dialect": policy.dialect.value,
        "rules": [_rule_to_json(rule) for rule in policy.rules],
        "default": policy.default.value,
        "default_errno": policy.default_errno,
        "emulation": policy.emulation,
        "detached": policy.detached,
        "source": policy.source,
    }


def policy_from_json(data: object) -> Policy:
    """The policy. Raises WireError."""
    try:
        fields = _mapping(data)
        return Policy(
            binary=_optional_text(fields["binary"]),
            dialect=Dialect(_text(fields["dialect"])),
            rules=tuple(_rule_from_json(rule) for rule in _sequence(fields["rules"])),
            default=Action(_text(fields["default"])),
            default_errno=_number(fields["default_errno"]),
            emulation=_text(fields["emulation"]),
            detached=fields["detached"] is True,
            source=_text(fields["source"]),
        )
    except (KeyError, ValueError) as error:
        raise WireError(f"not a policy: {error}") from error


def _rule_to_json(rule: Rule) -> dict[str, object]:
    elevation, predicate = rule.elevation, rule.predicate
    return {
        "calls": list(rule.calls),
        "when": None if rule.when is None else _expression_to_json(rule.when),
        "action": rule.action.value,
        "errno": rule.errno,
        "now": rule.now,
        "log": rule.log,
        "elevation": None if elevation is None else [elevation.uid, elevation.gid],
        "transition": rule.transition.value,
        "number": rule.number,
        "source": rule.source,
        "line": rule.position.line if rule.position else 0,
        "predicate": None
        if predicate is None
        else [predicate.principal.value, predicate.operator.value, predicate.value],
    }


def _rule_from_json(data: object) -> Rule:
    fields = _mapping(data)
    when = fields["when"]
    return Rule(
        calls=tuple(_text(name) for name in _sequence(fields["calls"])),
        when=None if when is None else _expression_from_json(when),
        action=Action(_text(fields["action"])),
        errno=_number(fields["errno"]),
        now=fields["now"] is True,
        log=fields["log"] is True,
        elevation=_elevation_from_json(fields["elevation"]),
        transition=Transition(_text(fields["transition"])),
        predicate=_predicate_from_json(fields["predicate"]),
        number=_number(fields["number"]),
        source=_text(fields["source"]),
        position=Position(line=line, column=1) if (line := _number(fields["line"])) else None,
    )


def _elevation_from_json(data: object) -> Elevation | None:
    if data is None:
        return None
    uid, gid = _sequence(data)
    return Elevation(
        uid=None if uid is None else _number(uid), gid=None if gid is None else _number(gid)
    )


def _predicate_from_json(data: object) -> Predicate | None:
    if data is None:
        return None
    principal, operator, value = _sequence(data)
    return Predicate(
        principal=Principal(_text(principal)),
        operator=Operator(_text(operator)),
        value=_number(value),
    )


def _expression_to_json(expression: Expression) -> list[object]:
    match expression:
        case TrueSymbol():
            return ["true"]
        case NotExpression(operand):
            return ["not", _expression_to_json(operand)]
        case AndExpression(left, right):
            return ["and", _expression_to_json(left), _expression_to_json(right)]
        case OrExpression(left, right):
            return ["or", _expression_to_json(left), _expression_to_json(right)]
        case TextSymbol():
            return [
                "text",
                expression.translator,
                expression.index,
                expression.operator.value,
                expression.operand,
            ]
        case RegisterSymbol():
            return [
                "register",
                expression.argument,
                expression.operator.value,
                expression.value,
                expression.mask,
            ]


def _expression_from_json(data: object) -> Expression:
    kind, *rest = _sequence(data)
    match (kind, rest):
        case ("true", []):
            return TrueSymbol()
        case ("not", [operand]):
            return NotExpression(_expression_from_json(operand))
        case ("and", [left, right]):
            return AndExpression(_expression_from_json(left), _expression_from_json(right))
        case ("or", [left, right]):
            return OrExpression(_expression_from_json(left), _expression_from_json(right))
        case ("text", [translator, index, operator, operand]):
            return TextSymbol(
                translator=_text(translator),
                index=_number(index),
                operator=TextOperator(_text(operator)),
                operand=_text(operand),
            )
        case ("register", [argument, operator, value, mask]):
            return RegisterSymbol(
                argument=_number(argument),
                operator=Operator(_text(operator)),
                value=_number(value),
                mask=_number(mask),
            )
    raise WireError(f"not an expression: {data!r}")


def _mapping(data: object) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise WireError(f"a mapping was expected, not {data!r}")
    return data


def _sequence(data: object) -> Sequence[object]:
    if not isinstance(data, list | tuple):
        raise WireError(f"a list was expected, not {data!r}")
    return data


def _text(data: object) -> str:
    if not isinstance(data, str):
        raise WireError(f"a text was expected, not {data!r}")
    return data


def _optional_text(data: object) -> str | None:
    return None if data is None else _text(data)


def _number(data: object) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise WireError(f"a number was expected, not {data!r}")
    return data
