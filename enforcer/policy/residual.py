"""What of a policy can be decided from a call's registers alone: the part that filters enforce."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace

from enforcer.call import Action, Decision
from enforcer.condition import FALSE, TRUE, All, Any, Condition, Not, simplify
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.decide import decision_of, default_decision, register_condition
from enforcer.policy.operators import text_test
from enforcer.policy.order import Judged, judged_rules, refuses_carrier
from enforcer.policy.register_text import register_text_condition
from enforcer.policy.renaming import renaming_of
from enforcer.policy.translators import Origin, known_syscall, source


@dataclass(frozen=True)
class Clause:
    """The answer to calls whose registers satisfy `when`; None: the registers do not say."""

    when: Condition
    decision: Decision | None


@dataclass(frozen=True)
class Bounds:
    """What registers say of an expression: true for certain under `must`, possibly under `may`."""

    must: Condition
    may: Condition


UNKNOWN = Bounds(FALSE, TRUE)
ALWAYS = Bounds(TRUE, TRUE)
NEVER = Bounds(FALSE, FALSE)


def residual(
    policy: Policy, name: str, *, abi: str | None = None, registers: bool = True
) -> tuple[Clause, ...]:
    """The policy's answers to one call: the first clause that holds answers, the last holds always.

    A clause with a decision agrees with `decide` on every call whose registers satisfy it, whatever
    the memory, ids and readability. `abi` tells where the arguments are if that varies. With
    `registers` False they are in memory (socketcall): only what looks at no argument is decided.
    """
    if policy.detached:
        return (Clause(TRUE, Decision(action=Action.PERMIT, reason="the policy is detached")),)
    model = known_syscall(name, abi)
    if model is None:
        return (Clause(TRUE, _enosys(f"unknown call {name}")),)
    if refuses_carrier(policy, model):
        return (Clause(TRUE, _enosys(f"{name} performs other calls unseen")),)
    clauses: list[Clause] = []
    for judged in judged_rules(policy, model, abi):
        bounds = _bounds(judged, _Registers(name, abi, policy.dialect, registers))
        _append(clauses, bounds.must, decision_of(judged.rule, judged.index))
        if bounds.may != bounds.must:
            _append(clauses, bounds.may, None)
        if clauses and clauses[-1].when == TRUE:
            break
    _append(clauses, TRUE, default_decision(policy))
    if model.gives_names and renaming_of(policy).matters:
        return _asking_for_names(clauses)
    return tuple(clauses)


def _asking_for_names(clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """What is permitted of a call by which objects get other names hangs on these names."""
    found: list[Clause] = []
    for clause in clauses:
        is_permitted = clause.decision is not None and clause.decision.action is Action.PERMIT
        _append(found, clause.when, None if is_permitted else clause.decision)
    return tuple(found)


_MOST_PAIRS = 1024
_UNDECIDED = (Clause(TRUE, None),)


def joined(
    policies: Sequence[Policy], name: str, *, abi: str | None = None, registers: bool = True
) -> tuple[Clause, ...]:
    """The clauses on which all policies agree; undecided where two of them differ.

    Rules' numbers and reasons do not count as differences: the first policy's stand. What would be
    too many clauses is undecided as a whole. Raises ValueError without a policy.
    """
    if not policies:
        raise ValueError("no policy to join")
    clauses = residual(policies[0], name, abi=abi, registers=registers)
    for policy in policies[1:]:
        others = residual(policy, name, abi=abi, registers=registers)
        if len(clauses) * len(others) > _MOST_PAIRS:
            return _UNDECIDED
        clauses = _joined(clauses, others)
        if clauses == _UNDECIDED:
            break
    return clauses


def _joined(left: Sequence[Clause], right: Sequence[Clause]) -> tuple[Clause, ...]:
    """Every pair of clauses in lexical order: the first pair that holds is that of both answers."""
    pairs: list[Clause] = []
    for ours in left:
        for theirs in right:
            agreed = ours.decision
            if agreed is None or theirs.decision is None or not _same(agreed, theirs.decision):
                agreed = None
            _append(pairs, All((ours.when, theirs.when)), agreed)
    return tuple(pairs)


def _same(left: Decision, right: Decision) -> bool:
    return replace(left, rule=None, reason="") == replace(right, rule=None, reason="")


def _append(clauses: list[Clause], when: Condition, decision: Decision | None) -> None:
    condition = simplify(when)
    if condition == FALSE or (clauses and clauses[-1].when == TRUE):
        return
    if clauses and clauses[-1].decision == decision:
        condition = simplify(Any((clauses.pop().when, condition)))
    clauses.append(Clause(condition, decision))


def _enosys(reason: str) -> Decision:
    return Decision(action=Action.DENY, errno=errno.ENOSYS, reason=reason)


@dataclass(frozen=True)
class _Registers:
    """The call whose registers are looked at; not `readable` where they are no arguments."""

    name: str
    abi: str | None
    dialect: Dialect
    readable: bool

    def bounds(self, expression: Expression) -> Bounds:
        """What they say of an expression."""
        match expression:
            case TrueSymbol():
                return ALWAYS
            case NotExpression(operand):
                inner = self.bounds(operand)
                return Bounds(Not(inner.may), Not(inner.must))
            case AndExpression(left, right):
                return _both(self.bounds(left), self.bounds(right))
            case OrExpression(left, right):
                return _either(self.bounds(left), self.bounds(right))
            case RegisterSymbol():
                condition = register_condition(expression)
                return Bounds(condition, condition) if self.readable else UNKNOWN
            case TextSymbol():
                return self._text(expression)

    def _text(self, symbol: TextSymbol) -> Bounds:
        found = source(self.name, symbol.translator, symbol.index, self.abi)
        if found is not None and found.origin is Origin.NAME:
            held = text_test(symbol.operator, symbol.operand, self.dialect)(self.name)
            return ALWAYS if held else NEVER
        if found is None or found.origin is Origin.MEMORY or not self.readable:
            return UNKNOWN
        return Bounds(
            *register_text_condition(
                found, self.name, symbol.operator, symbol.operand, self.dialect
            )
        )


def _bounds(judged: Judged, registers: _Registers) -> Bounds:
    """What registers say of a rule. An id of the caller is nothing that they know."""
    guard = ALWAYS if judged.rule.predicate is None else UNKNOWN
    if judged.by_alias:
        belongs = NEVER
        for each in judged.memberships:
            known = each.when is not None and (registers.readable or each.when == TRUE)
            belongs = _either(
                belongs, Bounds(each.when, each.when) if known and each.when else UNKNOWN
            )
        guard = _both(guard, belongs)
    when = _both(guard, registers.bounds(judged.when))
    return Bounds(simplify(when.must), simplify(when.may))


def _both(left: Bounds, right: Bounds) -> Bounds:
    return Bounds(All((left.must, right.must)), All((left.may, right.may)))


def _either(left: Bounds, right: Bounds) -> Bounds:
    return Bounds(Any((left.must, right.must)), Any((left.may, right.may)))
