"""Language: what is printed is read again, dialects agree, and every error has a place."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.check import check_policy
from enforcer.policy.convert import convert
from enforcer.policy.decide import decide
from enforcer.policy.problem import Problem
from enforcer.policy.systrace import read_systrace
from enforcer.policy.translators import Origin, sources
from enforcer.policy.wire import policy_from_json, policy_to_json
from enforcer.policy.yaml_form import read_yaml
from enforcer.syscalls.translate import CONSTANTS
from harness.fuzz.cases import CallsCase, call_cases, calls_near
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import call_text, decision_text, policy_text
from harness.fuzz.strategies.policies import policies

HARMLESS = (
    "names in directories that do not exist",
    "eq and neq compare with case now",
)
"""Notes of a conversion that change no answer to the calls of `check_conversion`."""


def check_round_trip(policy: Policy, tally: Tally) -> None:
    """parse(format(p)) == p, without a problem; the wire form carries p too."""
    text = policy_text(policy)
    if policy.dialect is Dialect.SYSTRACE:
        several, problems = read_systrace(text, "x", CONSTANTS)
        again = several[0] if len(several) == 1 else None
    else:
        again, problems = read_yaml(text, "x", CONSTANTS)
    tally.decisions += 1
    if problems.found or again != policy:
        said = "; ".join(map(str, problems.found)) or repr(again)
        raise Mismatch(policy=text, expected=repr(policy), got=said, signature="round trip")
    if policy_from_json(policy_to_json(policy)) != policy:
        raise Mismatch(policy=text, expected="the same policy by wire", signature="wire")


def check_conversion(case: CallsCase, tally: Tally) -> None:
    """Both dialects agree on every readable call after a conversion that notes no loss."""
    policy = case.policy
    other = Dialect.STRICT if policy.dialect is Dialect.SYSTRACE else Dialect.SYSTRACE
    converted, notes = convert(policy, other)
    if not all(note.startswith(HARMLESS) for note in notes):
        tally.counts["lossy"] += 1
        return
    for call in calls_near(case):
        values = tuple(replace(value, text=value.text or "", exists=True) for value in call.values)
        wanted = [each.translator for each in sources(call.name) if each.origin is Origin.MEMORY]
        if call.name == "sendmmsg" or [value.translator for value in values] != wanted:
            continue
        if any(note.startswith(HARMLESS[1]) for note in notes):
            values = tuple(replace(value, text=(value.text or "").lower()) for value in values)
        readable = replace(call, values=values)
        before, after = decide(policy, readable), decide(converted, readable)
        tally.decisions += 1
        if (before.action, before.errno, before.log, before.elevation) != (
            *(after.action, after.errno, after.log, after.elevation),
        ):
            raise Mismatch(
                policy=policy_text(policy) + "# converted:\n" + policy_text(converted),
                call=call_text(readable),
                expected=decision_text(before),
                got=f"{decision_text(after)} (converted)",
                signature="conversion",
            )


def check_checker(policy: Policy, tally: Tally) -> None:
    """The checker answers for every policy, and every problem has a place and a message."""
    problems = check_policy(policy)
    tally.decisions += 1
    for problem in problems:
        placed(problem, policy_text(policy))


def placed(problem: Problem, text: str) -> None:
    """Raise unless a problem has a message and a place within (or just behind) its text."""
    lines = text.count("\n") + 2
    if not problem.message or not 1 <= problem.line <= lines or problem.column < 1:
        raise Mismatch(
            policy=text, expected="a place in the text", got=str(problem), signature="place"
        )
    str(problem)


ROUND_TRIP = Property(
    name="round-trip",
    claim="a policy that is printed is read again as it was",
    group="language",
    cases=policies(),
    check=check_round_trip,
)
CONVERSION = Property(
    name="conversion",
    claim="a policy converted to the other dialect without a note decides as before",
    group="language",
    cases=call_cases(),
    check=check_conversion,
)
CHECKER = Property(
    name="checker",
    claim="the checker never fails, and what it says has a place",
    group="language",
    cases=st.one_of(policies(), policies().map(lambda found: replace(found, detached=True))),
    check=check_checker,
)
