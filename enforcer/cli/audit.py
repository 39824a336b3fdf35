"""`enforcer audit`: what a filter leaves open."""

from __future__ import annotations

import json

import click

from enforcer.cli import UNPROVEN, UserError, form_option
from enforcer.filters.audit import Finding, audited
from enforcer.filters.meaning import shown
from enforcer.filters.operand import read_operand
from enforcer.filters.walk import NotFollowed
from enforcer.policy.problem import PolicyError


@click.command("audit")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each finding.")
@form_option
@click.pass_context
def command(context: click.Context, file: str, as_json: bool, form: str | None) -> None:
    """Say in plain words what the filter of FILE leaves open, each with a call that passes.

    FILE is a filter of others (docs/filters.md), a policy of ours as the backend seccomp enforces
    it, or `pid:NUMBER`. Upper halves of registers, calls that do the same by another name, other
    ABIs and io_uring are looked at, and the attack of the laboratory that goes that way is named:
    `harness audit FILE` runs those that the filter should stop.

    Exit status: 0 all was looked at, 2 a file that cannot be read, 3 some calls have more ways
    through the filter than are followed: they are named.
    """
    try:
        audit = audited(read_operand(file, form))
    except PolicyError as error:
        raise UserError(str(error)) from None
    except NotFollowed as error:
        raise UserError(f"{file}: a compiled filter computes with registers: {error}") from None
    for each in audit.findings:
        click.echo(_json(each) if as_json else f"{each}\n")
    if not as_json:
        count = len(audit.findings)
        click.echo(f"{file}: {count} way{'s' * (count != 1)} left open")
    for line in audit.unproven:
        click.echo(f"not looked at to the end: {line}", err=True)
    context.exit(UNPROVEN if audit.unproven else 0)


def _json(each: Finding) -> str:
    return json.dumps(
        {
            "title": each.title,
            "words": each.words,
            "attack": each.attack,
            "is_proof": each.is_proof,
            "permitted": shown(each.witness) if each.witness else "",
            "refused": shown(each.refused) if each.refused else "",
        }
    )
