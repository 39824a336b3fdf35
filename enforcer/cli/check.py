"""`enforcer check`: is a policy in order?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from enforcer.cli import form_option
from enforcer.filters.convert import policy_of
from enforcer.filters.meaning import described
from enforcer.filters.operand import is_operand, read_operand
from enforcer.filters.read import form_of
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.check import check_policy
from enforcer.policy.format import format_policies
from enforcer.policy.load import prepared
from enforcer.policy.parser import PolicyFile, read_file
from enforcer.policy.problem import PolicyError, Problem, Severity


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "canonical", is_flag=True, help="Print the policies in canonical form.")
@click.option("--json", "as_json", is_flag=True, help="Print problems as JSON, one a line.")
@form_option
@click.pass_context
def check(
    context: click.Context,
    files: tuple[Path, ...],
    canonical: bool,
    as_json: bool,
    form: str | None,
) -> None:
    """Say what is wrong with FILES, all of it at once: policies (.systrace or .yaml), or filters of
    others (Docker's JSON, minijail's and kafel's .policy, systemd's units, compiled BPF), also
    several together: `A+B`, 'A|B' (docs/filters.md).

    Exit status: 0 in order (there may be warnings), 2 a file that cannot be loaded.
    """
    failed = False
    for path in files:
        if _is_filter(path, form):
            failed = _check_filter(path, form, canonical=canonical, as_json=as_json) or failed
            continue
        file, policies, problems = _problems(path, form)
        failed = failed or any(problem.severity is Severity.ERROR for problem in problems)
        for problem in problems:
            click.echo(_json(problem) if as_json else str(problem), err=not as_json)
        if canonical and file is not None and policies:
            click.echo(_canonical(file.form, policies), nl=False)
        elif not canonical and not as_json:
            click.echo(_summary(path, policies, problems))
    if failed:
        context.exit(2)


command = check


def _problems(
    path: Path, form: str | None
) -> tuple[PolicyFile | None, tuple[Policy, ...], tuple[Problem, ...]]:
    try:
        file = read_file(path, form)
        policies = file.policies()
        prepared(policies, beside=path.parent)
    except PolicyError as error:
        return None, (), error.problems
    found = (problem for each in policies for problem in check_policy(each, file.text))
    return file, policies, tuple(found)


def _is_filter(path: Path, form: str | None) -> bool:
    try:
        return is_operand(str(path)) or form_of(path, form) is not None
    except PolicyError:
        return False  # it cannot be read: said where it is read as a policy


def _check_filter(path: Path, form: str | None, *, canonical: bool, as_json: bool) -> bool:
    """Say what is wrong with a filter of others; whether it cannot be loaded."""
    try:
        found = read_operand(str(path), form)
        text = format_policies((policy_of(found),), Dialect.STRICT) if canonical else ""
    except PolicyError as error:
        for problem in error.problems:
            click.echo(_json(problem) if as_json else str(problem), err=not as_json)
        if not canonical and not as_json:
            errors = sum(each.severity is Severity.ERROR for each in error.problems)
            click.echo(f"{path}: {errors} error{'s' * (errors > 1)}")
        return True
    for problem in found.notes:
        click.echo(_json(problem) if as_json else str(problem), err=not as_json)
    if canonical:
        click.echo(text, nl=False)
    elif not as_json:
        click.echo(described(found))
    return False


def _canonical(form: str, policies: tuple[Policy, ...]) -> str:
    return format_policies(policies, Dialect.SYSTRACE if form == "systrace" else Dialect.STRICT)


def _summary(path: Path, policies: tuple[Policy, ...], problems: tuple[Problem, ...]) -> str:
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if errors:
        return f"{path}: {errors} error{'s' * (errors > 1)}"
    rules = sum(len(policy.rules) for policy in policies)
    text = f"{path}: in order, {len(policies)} polic{'ies' if len(policies) != 1 else 'y'}"
    text += f", {rules} rule{'s' * (rules != 1)}"
    return text + (f", {len(problems)} warning{'s' * (len(problems) != 1)}" if problems else "")


def _json(problem: Problem) -> str:
    return json.dumps(
        {
            "file": problem.source,
            "line": problem.line,
            "column": problem.column,
            "severity": problem.severity,
            "message": problem.message,
            "mend": problem.mend,
        }
    )
