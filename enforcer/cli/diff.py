"""`enforcer diff`: which calls two filters answer differently."""

from __future__ import annotations

import json

import click

from enforcer.cbpf.listing import answer_name
from enforcer.cli import UNPROVEN, UserError, form_option
from enforcer.filters.meaning import Difference, compared, shown
from enforcer.filters.operand import read_operand
from enforcer.filters.walk import NotFollowed
from enforcer.policy.problem import PolicyError

DIFFERENT = 1


@click.command("diff")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each difference.")
@form_option
@click.pass_context
def command(context: click.Context, left: str, right: str, as_json: bool, form: str | None) -> None:
    """Print the calls that A and B answer differently, each group with a witness call.

    A and B are policies, filters of others (docs/filters.md), or `pid:NUMBER`: what a running
    process is under. `A+B` is both over one process: the strictest answer stands. All calls of
    every ABI of this machine are looked at, with every value of their registers that makes a
    difference to either.

    Exit status: 0 no difference, which is proven, 1 there is one, 2 a file that cannot be read,
    3 none was found, but some calls have more ways through the filters than are followed.
    """
    try:
        found = compared(read_operand(left, form), read_operand(right, form))
    except PolicyError as error:
        raise UserError(str(error)) from None
    except NotFollowed as error:
        raise UserError(f"a compiled filter computes with registers: {error}") from None
    for each in found.differences:
        click.echo(_json(each) if as_json else str(each))
    for line in found.unproven:
        click.echo(f"not compared to the end: {line}", err=True)
    if not found.differences and not as_json:
        unproven = len(found.unproven)
        rest = f", but {unproven} could not be compared to the end" if unproven else ""
        click.echo(f"no call is answered differently{rest}")
    context.exit(DIFFERENT if found.differences else UNPROVEN if found.unproven else 0)


def _json(each: Difference) -> str:
    return json.dumps(
        {
            "abi": each.abi,
            "calls": list(each.calls),
            "a": answer_name(each.left),
            "b": answer_name(each.right),
            "witness": shown(each.witness),
        }
    )
