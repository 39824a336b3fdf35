"""Live cases: their programs, their policies where the world is, and their smallest form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    TextSymbol,
)
from harness.fuzz.cases import LiveCase
from harness.fuzz.steps import Argument, Operation, Result, Step
from harness.fuzz.strategies.boundaries import registers_near
from harness.fuzz.strategies.programs import program
from harness.fuzz.worlds import ROOT, Kind

ERRNOS = (54, 55, 56, 57)
"""EXFULL, ENOANO, EBADRQC, EBADSLT: no call gives them by itself."""


def steps_of(case: LiveCase) -> tuple[Step, ...]:
    """The case's program, chosen by its seed where it is not written down."""
    blocks = any(entry.kind is Kind.FIFO for entry in case.world)
    return case.steps or program(case.seed, case.count, registers_near(case.policy), blocks)


def in_world(policy: Policy, root: Path) -> Policy:
    """The policy with its operands below ROOT moved to where the world is."""
    rules = tuple(
        rule if rule.when is None else replace(rule, when=_moved(rule.when, root))
        for rule in policy.rules
    )
    return replace(policy, rules=rules)


def _moved(expression: Expression, root: Path) -> Expression:
    match expression:
        case TextSymbol(operand=operand) if (operand + "/").startswith(ROOT + "/"):
            return replace(expression, operand=str(root) + operand.removeprefix(ROOT))
        case NotExpression(operand):
            return NotExpression(_moved(operand, root))
        case AndExpression(left, right):
            return AndExpression(_moved(left, root), _moved(right, root))
        case OrExpression(left, right):
            return OrExpression(_moved(left, root), _moved(right, root))
        case _:
            return expression


def smallest(case: LiveCase, breaks: Callable[[LiveCase], bool]) -> LiveCase:
    """The case without the steps, rules and objects that the breach does not need."""
    case = replace(case, steps=steps_of(case), count=0, seed=0)
    steps = fewest(case.steps, lambda tried: breaks(replace(case, steps=tried)))
    case = replace(case, steps=steps)
    for place in reversed(range(len(case.policy.rules))):
        rules = case.policy.rules[:place] + case.policy.rules[place + 1 :]
        tried = replace(case, policy=replace(case.policy, rules=rules))
        if breaks(tried):
            case = tried
    for place in reversed(range(len(case.world))):
        tried = replace(case, world=case.world[:place] + case.world[place + 1 :])
        if breaks(tried):
            case = tried
    return case


def fewest(steps: tuple[Step, ...], breaks: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """The steps without those that the breach does not need.

    Runs of them are left out, halving their length as long as that helps (ddmin).
    """
    length = len(steps)
    while length:
        start, shorter = 0, False
        while start < len(steps):
            tried = without(steps, start, start + length)
            if tried and breaks(tried):
                steps, shorter = tried, True
            else:
                start += length
        if length == 1 and not shorter:
            break
        length = max(length // 2, 1)
    return steps


def without(steps: tuple[Step, ...], start: int, end: int) -> tuple[Step, ...]:
    """The program without the steps from `start` to `end`, nor tasks that are made no more.

    What they gave is -1 where others use it.
    """
    gone = {each.args[1] for each in steps[start:end] if each.operation is Operation.CLONE}
    kept = [
        place
        for place, each in enumerate(steps)
        if not start <= place < end and each.task not in gone
    ]
    places = {place: new for new, place in enumerate(kept)}

    def renumbered(value: Argument) -> Argument:
        if isinstance(value, Result):
            return Result(places[value.step]) if value.step in places else -1
        return value

    return tuple(
        replace(steps[place], args=tuple(map(renumbered, steps[place].args))) for place in kept
    )
