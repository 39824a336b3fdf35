"""Metamorphic: changes of a policy whose effect on its decisions is known."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from enforcer.call import Action, Call, Decision
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.policy.decide import decide
from enforcer.syscalls import ALIASES
from harness.fuzz.cases import SwapCase, calls_near, path_rules
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import call_text, decision_text, policy_text
from harness.fuzz.strategies.policies import CALLS, policies
from harness.fuzz.strategies.register_rules import lists_of_rules

_STRICT = st.one_of(policies(Dialect.STRICT), lists_of_rules(), path_rules())


def check_permit(case: SwapCase, tally: Tally) -> None:
    """A plain permit put anywhere into a strict policy refuses no call that was permitted.

    It permits the call in question or, every other time, another one, so that a rule that is
    pushed aside shows. Calls that carry others (io_uring) are permitted more, never less, too.
    """
    if case.policy.dialect is not Dialect.STRICT:
        return
    rules = case.policy.rules
    place = case.place % (len(rules) + 1)
    for turn, call in enumerate(calls_near(case)):
        name = CALLS[(case.seed + turn) % len(CALLS)] if turn % 2 else call.name
        permit = Rule(calls=(name,), when=None, action=Action.PERMIT)
        longer = replace(case.policy, rules=(*rules[:place], permit, *rules[place:]))
        before, after = decide(case.policy, call), decide(longer, call)
        tally.decisions += 1
        if before.action is Action.PERMIT and after.action is not Action.PERMIT:
            raise _mismatch(case.policy, longer, call, before, after, "adding a permit forbids")


def check_disjoint(case: SwapCase, tally: Tally) -> None:
    """Neighbouring rules on different calls may change places."""
    rules = case.policy.rules
    if len(rules) < 2:
        return
    place = case.place % (len(rules) - 1)
    first, second = rules[place], rules[place + 1]
    if _covered(first) & _covered(second):
        tally.counts["not disjoint"] += 1
        return
    swapped = replace(case.policy, rules=(*rules[:place], second, first, *rules[place + 2 :]))
    for call in calls_near(case):
        before, after = decide(case.policy, call), decide(swapped, call)
        tally.decisions += 1
        if (before.action, before.errno, before.log) != (after.action, after.errno, after.log):
            raise _mismatch(case.policy, swapped, call, before, after, "order of disjoint rules")


def _covered(rule: Rule) -> frozenset[str]:
    """Every call that a rule can speak of."""
    found: set[str] = set()
    for name in rule.calls:
        found |= ALIASES.get(name, frozenset({name}))
    return frozenset(found)


def _mismatch(
    policy: Policy, changed: Policy, call: Call, before: Decision, after: Decision, what: str
) -> Mismatch:
    return Mismatch(
        policy=policy_text(policy) + "# changed:\n" + policy_text(changed),
        call=call_text(call),
        expected=f"{decision_text(before)} (before)",
        got=f"{decision_text(after)} (changed)",
        signature=what,
    )


def _cases(found: st.SearchStrategy[Policy]) -> st.SearchStrategy[SwapCase]:
    return st.builds(SwapCase, found, st.integers(0, 7), st.integers(0, 0xFFFF))


PERMIT = Property(
    name="added-permit",
    claim="adding a permit never forbids",
    group="metamorphic",
    cases=_cases(_STRICT),
    check=check_permit,
)
DISJOINT = Property(
    name="disjoint-rules",
    claim="exchanging rules on different calls changes no decision",
    group="metamorphic",
    cases=_cases(st.one_of(policies(), path_rules())),
    check=check_disjoint,
)
