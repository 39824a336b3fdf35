"""Why a call is answered as it is: every rule that concerns it, as it was tried."""

from __future__ import annotations

from dataclasses import dataclass

from enforcer.call import Call, Decision
from enforcer.policy.ast import Policy, TextSymbol
from enforcer.policy.check import symbols
from enforcer.policy.decide import accesses, belongs, decide, judge, texts_of, trial, truth
from enforcer.policy.format import format_expression, format_rule
from enforcer.policy.order import Judged, judged_rules, refuses_carrier
from enforcer.policy.residual import residual
from enforcer.policy.translators import known_syscall


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rule that was tried, by its number in its file (from 1).

    `held` None: it hangs on something unreadable.
    """

    number: int
    rule: str
    place: str
    held: bool | None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The decision on a call, and the rules up to the one that made it.

    `access` counts the file or message judged, from 0, of `accesses`. `in_kernel` says whether the
    registers alone decide every call of that name (True), none (False) or some (None).
    """

    decision: Decision
    in_kernel: bool | None
    steps: tuple[Step, ...] = ()
    access: int = 0
    accesses: int = 1


def explain(policy: Policy, call: Call) -> Explanation:
    """The steps to `decide(policy, call)`; of several accesses, those of the one that stands."""
    decision = decide(policy, call)
    model = known_syscall(call.name, call.abi)
    if model is None or policy.detached or refuses_carrier(policy, model):
        return Explanation(decision=decision, in_kernel=_in_kernel(policy, call))
    rules = judged_rules(policy, model, call.abi)
    count = accesses(call, rules)
    answers = [judge(policy, rules, call, access) for access in range(count)]
    chosen = answers.index(decision)
    return Explanation(
        decision=decision,
        steps=_steps(policy, rules, call, chosen),
        access=chosen,
        accesses=count,
        in_kernel=_in_kernel(policy, call),
    )


def _steps(policy: Policy, rules: tuple[Judged, ...], call: Call, access: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    for judged in rules:
        held = trial(policy, judged, call, access)
        rule = judged.rule
        steps.append(
            Step(
                number=rule.number or judged.index + 1,
                rule=format_rule(rule, policy.dialect),
                place=rule.place or policy.source,
                held=held,
                why=_why(policy, judged, call, access),
            )
        )
        if held is not False:
            break
    return tuple(steps)


def _why(policy: Policy, judged: Judged, call: Call, access: int) -> tuple[str, ...]:
    """Membership and every comparison, with the text compared and the outcome."""
    texts = texts_of(policy.dialect, judged, call, access)
    said: list[str] = []
    if judged.by_alias:
        names = ", ".join(dict.fromkeys(each.alias for each in judged.memberships))
        said.append(f"{call.name} belongs to {names}: {_word(belongs(judged, call, texts))}")
    for symbol, _ in symbols(judged.when):
        held = truth(symbol, call, policy.dialect, texts)
        text = format_expression(symbol, policy.dialect)
        if isinstance(symbol, TextSymbol):
            value = texts(symbol.translator, symbol.index)
            seen = "unreadable" if value is None else repr(value)
        else:
            seen = f"{call.args[symbol.argument]:#x}"
        said.append(f"{text}: {_word(held)} ({seen})")
    return tuple(said)


def _word(held: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[held]


def _in_kernel(policy: Policy, call: Call) -> bool | None:
    decided = [clause.decision is not None for clause in residual(policy, call.name, abi=call.abi)]
    return True if all(decided) else None if any(decided) else False
