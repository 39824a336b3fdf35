"""Policies made ready to be enforced: templates, today's names of old calls, variables.

The parsers give a policy as it was written; what a mechanism enforces is what this gives.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Position,
    Rule,
    TextOperator,
    TextSymbol,
)
from enforcer.policy.expressions import Parser
from enforcer.policy.parser import parse_file
from enforcer.policy.problem import PolicyError, Problems, suggestion
from enforcer.policy.tokens import fragment_of, tokenize
from enforcer.syscalls.translate import CONSTANTS

RUNTIME = "linux-runtime"
"""What a systrace policy, written for the calls of its time, gets after its own rules.

One that states a default, which systrace had none of, is of today and gets nothing.
"""

_SHIPPED = Path(__file__).with_name("templates")
_VARIABLE = re.compile(r"\$(HOME|USER|CWD)(?![A-Za-z0-9_])")


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """A call that does what another one did, narrowed by `when` where it can do more."""

    call: str
    when: Expression | None = None


def load_policies(
    path: Path,
    *,
    variables: Mapping[str, str] | None = None,
    runtime: bool = True,
    form: str | None = None,
) -> tuple[Policy, ...]:
    """The policies of a file, ready to be enforced. Raises PolicyError.

    `form` is said where the file's name does not tell it: `systrace` or `yaml`.

    A policy gets the rules of the templates in its `include`: those of the same file, of
    `templates/` beside it, or shipped. A systrace policy also gets the equivalents of the calls
    that it names and, with `runtime` and no default of its own, the template linux-runtime.
    `variables` are the values of $HOME, $USER and $CWD; None takes those of this process.
    """
    return prepared(
        parse_file(path, form), variables=variables, beside=path.parent, runtime=runtime
    )


def prepared(
    policies: Iterable[Policy],
    *,
    variables: Mapping[str, str] | None = None,
    beside: Path | None = None,
    runtime: bool = True,
) -> tuple[Policy, ...]:
    """The parsed policies of one file, ready to be enforced; see `load_policies`."""
    parsed = tuple(policies)
    known = {policy.template: policy for policy in parsed if policy.template}
    values = process_variables() if variables is None else variables
    return tuple(
        prepare(policy, known, values, beside=beside, runtime=runtime)
        for policy in parsed
        if not policy.template
    )


def prepare(
    policy: Policy,
    templates: Mapping[str, Policy],
    variables: Mapping[str, str] | None,
    *,
    beside: Path | None = None,
    runtime: bool = True,
) -> Policy:
    """One parsed policy made ready to be enforced; see `load_policies`. Raises PolicyError.

    With None for `variables` they stay as they are written.
    """
    wanted = list(policy.include)
    policy = _numbered(policy)
    if policy.dialect is Dialect.SYSTRACE:
        policy = with_equivalents(policy)
        asks = policy.default is Action.ASK and not policy.detached
        wanted += [RUNTIME] if runtime and asks else []
    for name in dict.fromkeys(wanted):
        template = templates.get(name) or _template(policy, name, beside)
        policy = _with_template(policy, template)
    policy = replace(policy, include=())
    return policy if variables is None else expand(policy, variables)


def _numbered(policy: Policy) -> Policy:
    """The rules know their numbers before others come between them."""
    rules = tuple(
        replace(rule, number=number, source=policy.source)
        for number, rule in enumerate(policy.rules, 1)
    )
    return replace(policy, rules=rules)


def process_variables() -> dict[str, str]:
    """$HOME, $USER and $CWD of this process; what is unknown is left out."""
    found = {"CWD": str(Path.cwd())}
    entry = None
    with contextlib.suppress(KeyError):
        entry = pwd.getpwuid(os.getuid())
    home = os.environ.get("HOME") or (entry.pw_dir if entry else "")
    user = entry.pw_name if entry else os.environ.get("USER", "")
    return found | {name: value for name, value in (("HOME", home), ("USER", user)) if value}


def template_names() -> tuple[str, ...]:
    """The shipped templates."""
    return tuple(
        sorted(path.stem for path in _SHIPPED.glob("*.yaml") if path.stem != "equivalents")
    )


def shipped_template(name: str) -> Policy:
    """A shipped template as it is written; `name` is one of template_names."""
    (found,) = parse_file(_SHIPPED / f"{name}.yaml")
    return found


def with_equivalents(policy: Policy) -> Policy:
    """The policy with its rules on old calls extended to the calls that do the same today.

    Calls that the policy names itself are left to the rules that name them.
    """
    named = {name for rule in policy.rules for name in rule.calls}
    rules: list[Rule] = []
    for rule in policy.rules:
        others = [
            each
            for name in rule.calls
            for each in equivalents().get(name, ())
            if each.call not in named
        ]
        plain = [each.call for each in others if each.when is None]
        rules.append(replace(rule, calls=tuple(dict.fromkeys((*rule.calls, *plain)))))
        for each in others:
            if each.when is not None:
                when = each.when if rule.when is None else AndExpression(each.when, rule.when)
                rules.append(replace(rule, calls=(each.call,), when=when))
    return replace(policy, rules=tuple(rules))


@cache
def equivalents() -> Mapping[str, tuple[Equivalent, ...]]:
    """The shipped table: an old call, and the calls that do the same today."""
    path = _SHIPPED / "equivalents.yaml"
    table = yaml.safe_load(path.read_text("utf-8"))
    return {name: tuple(map(_equivalent, entries)) for name, entries in table.items()}


def _equivalent(entry: str | Mapping[str, str]) -> Equivalent:
    if isinstance(entry, str):
        return Equivalent(call=entry)
    text = entry["when"]
    problems = Problems("equivalents.yaml", text)
    tokens = tokenize(fragment_of(text))
    return Equivalent(
        call=entry["call"],
        when=Parser(tokens, Dialect.STRICT, problems, CONSTANTS).expression(),
    )


def _template(policy: Policy, name: str, beside: Path | None) -> Policy:
    problems = Problems(policy.source, "")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        own = [beside / "templates" / f"{name}.yaml"] if beside is not None else []
        for path in (*own, _SHIPPED / f"{name}.yaml"):
            if path.is_file() and path != _SHIPPED / "equivalents.yaml":
                found = parse_file(path)
                if len(found) == 1:
                    return found[0]
                problems.add(None, f"{path} is not a template: it has {len(found)} policies")
                raise PolicyError(problems.found)
    near = suggestion(name, template_names())
    problems.add(None, f"no template `{name}`", near or f"shipped: {', '.join(template_names())}")
    raise PolicyError(problems.found)


def _with_template(policy: Policy, template: Policy) -> Policy:
    """The policy's rules, then the template's.

    The systrace dialect judges plain rules first, wherever they stand: there a template has no say
    on calls that the policy names.
    """
    rules = _numbered(template).rules
    if policy.dialect is Dialect.SYSTRACE:
        named = {name for rule in policy.rules for name in rule.calls}
        rules = tuple(
            replace(rule, calls=kept, call_positions=())
            for rule in rules
            if (kept := tuple(name for name in rule.calls if name not in named))
        )
    return replace(policy, rules=(*policy.rules, *rules))


def expand(policy: Policy, variables: Mapping[str, str]) -> Policy:
    """The policy with $HOME, $USER and $CWD replaced. Raises PolicyError for one without value.

    In patterns and regular expressions a value stands for itself, whatever is in it.
    """
    problems = Problems(policy.source, "")
    rules = tuple(
        rule
        if rule.when is None
        else replace(rule, when=_expanded(rule.when, variables, problems, rule.position))
        for rule in policy.rules
    )
    problems.raise_errors()
    return replace(policy, rules=rules)


def _expanded(
    expression: Expression,
    variables: Mapping[str, str],
    problems: Problems,
    place: Position | None,
) -> Expression:
    match expression:
        case NotExpression(operand):
            return NotExpression(_expanded(operand, variables, problems, place))
        case AndExpression(left, right):
            return AndExpression(
                _expanded(left, variables, problems, place),
                _expanded(right, variables, problems, place),
            )
        case OrExpression(left, right):
            return OrExpression(
                _expanded(left, variables, problems, place),
                _expanded(right, variables, problems, place),
            )
        case TextSymbol(operator=operator, operand=operand, position=position):

            def value(found: re.Match[str]) -> str:
                text = variables.get(found.group(1))
                if text is None:
                    problems.add(position or place, f"{found.group()} has no value here")
                    return ""
                return _literally(operator, text)

            return replace(expression, operand=_VARIABLE.sub(value, operand))
        case _:
            return expression


def _literally(operator: TextOperator, text: str) -> str:
    special: Iterable[str] = ""
    if operator is TextOperator.MATCH:
        special = "*?[\\"
    elif operator is TextOperator.RE:
        special = ".[]\\()*+?{}|^$"
    return "".join("\\" + character if character in special else character for character in text)
