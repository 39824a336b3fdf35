"""A supervisor whose compiler grants a file's directory where a rule permits the file.

As AppArmor's compiler made of a rule on some mounts one on all of them (CVE-2016-1585).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Options, Plan
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    OrExpression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
)
from harness.backends.weak import Leaky


def _widened(condition: Expression) -> Expression:
    match condition:
        case TextSymbol(translator="filename", operator=TextOperator.EQ, operand=name):
            directory = name.rpartition("/")[0]
            return replace(condition, operator=TextOperator.MATCH, operand=f"{directory}/*")
        case AndExpression(left, right) | OrExpression(left, right):
            return type(condition)(_widened(left), _widened(right))
    return condition


def _loaded(rule: Rule) -> Rule:
    if rule.action is not Action.PERMIT or rule.when is None:
        return rule
    return replace(rule, when=_widened(rule.when))


class _Notify(Notify):
    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """What is loaded is not what was written."""
        wide = [replace(each, rules=tuple(map(_loaded, each.rules))) for each in policies]
        return super().compile(wide, abis, options)


BACKEND = Leaky(
    name="leaky-notify-widened",
    weakness="permits a whole directory where a rule permits one file of it",
    enforcer=_Notify(),
    repaired=MECHANISM,
)
