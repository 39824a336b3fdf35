"""The policies of a file in the other dialect, with the meaning that they have once loaded.

The loader adds to what stands in a file: included templates, and to a systrace policy the calls of
today that do what those it names did, and what every program of today needs. A conversion of the
file alone would lose that, or let it be added where it was not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from enforcer.call import Action
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.policy.convert import convert
from enforcer.policy.load import prepare
from enforcer.policy.order import NEVER
from enforcer.policy.translators import known_syscall
from enforcer.syscalls import ALIASES


def convert_file(
    policies: Iterable[Policy], dialect: Dialect | None, beside: Path | None = None
) -> list[tuple[Policy, tuple[str, ...]]]:
    """Each policy in `dialect` (None: the other one), with notes on what could not be kept.

    Without notes the loader makes policies of both that decide alike. `beside` is the directory of
    the file, for its templates. Raises PolicyError for a template that does not exist.
    """
    parsed = tuple(policies)
    templates = {policy.template: policy for policy in parsed if policy.template}
    found: list[tuple[Policy, tuple[str, ...]]] = []
    for policy in parsed:
        wanted = dialect or _other(policy.dialect)
        if wanted is policy.dialect:
            found.append((policy, ()))
            continue
        if not policy.template:
            policy = prepare(policy, templates, None, beside=beside)
        converted, notes = convert(policy, wanted)
        if wanted is Dialect.SYSTRACE and not policy.template:
            converted = _as_loaded(converted)
        found.append((replace(converted, rules=_joined(converted)), notes))
    return found


def _other(dialect: Dialect) -> Dialect:
    return Dialect.STRICT if dialect is Dialect.SYSTRACE else Dialect.SYSTRACE


def _as_loaded(policy: Policy) -> Policy:
    """A systrace policy to which the loader will have nothing to add.

    It adds nothing on calls that the policy names, so those that it would are named: by a question
    where that is what calls without a rule get, else (and where an alias has rules) by a filter
    that never holds.
    """
    named = {name for rule in policy.rules for name in rule.calls}
    added = {name for rule in prepare(policy, {}, None).rules for name in rule.calls}
    rules: list[Rule] = []
    for name in sorted(added - named):
        model = known_syscall(name)
        by_alias = model is not None and any(each.alias in named for each in model.aliases)
        is_question = policy.default is Action.ASK and not by_alias
        rules.append(Rule(calls=(name,), when=None if is_question else NEVER, action=Action.ASK))
    return replace(policy, rules=(*policy.rules, *rules))


def _joined(policy: Policy) -> tuple[Rule, ...]:
    """The rules, with neighbours that differ by their calls alone made one, where that can be."""
    if policy.dialect is Dialect.SYSTRACE:
        return policy.rules
    found: list[Rule] = []
    for rule in (replace(each, position=None, call_positions=()) for each in policy.rules):
        last = found[-1] if found else None
        is_alias = not ALIASES.keys().isdisjoint((*rule.calls, *(last.calls if last else ())))
        if last is None or is_alias or replace(last, calls=rule.calls) != rule:
            found.append(rule)
        else:
            found[-1] = replace(last, calls=tuple(dict.fromkeys((*last.calls, *rule.calls))))
    return tuple(found)
