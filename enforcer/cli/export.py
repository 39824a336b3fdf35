"""`enforcer export`: a policy in the languages of others, and what is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from enforcer.arch import native
from enforcer.cli import UserError, form_option
from enforcer.filters.export import Export, Target, export
from enforcer.filters.operand import read_operand
from enforcer.filters.read import form_of
from enforcer.mechanisms.contract import Extent
from enforcer.mechanisms.seccomp.cover import cover_by_registers
from enforcer.policy.load import load_policies
from enforcer.policy.problem import PolicyError


@click.command("export")
@click.argument("policy")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice([each.value for each in Target]),
    help="`bwrap` is the same as `bpf`: a compiled filter.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write; default: standard output.",
)
@form_option
def command(policy: str, target: str, output: Path | None, form: str | None) -> None:
    """Write POLICY, or a filter of others, for another enforcer of system calls.

    What the other one cannot keep is said on the standard error, rule by rule: a filter sees
    registers only, and most languages say less than a filter.
    """
    try:
        made = export(read_operand(policy, form), Target(target))
        lost = (*_uncovered(policy, form), *made.lost)
    except (PolicyError, ValueError) as error:
        raise UserError(str(error)) from None
    for line in lost:
        click.echo(f"lost: {line}", err=True)
    _write(made, output)


def _write(made: Export, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(made.content)
        return
    if sys.stdout.isatty() and b"\0" in made.content:
        raise UserError("a compiled filter is nothing for a terminal: -o FILE")
    sys.stdout.buffer.write(made.content)


def _uncovered(policy: str, form: str | None) -> list[str]:
    """The rules of a policy of ours that a static filter does not keep."""
    if policy.startswith("pid:") or form_of(Path(policy), form) is not None:
        return []
    found = []
    for each in load_policies(Path(policy), form=form):
        for cover in cover_by_registers(each, native().abis):
            if cover.extent is not Extent.FULL:
                what = "default"
                if cover.rule is not None:
                    rule = each.rules[cover.rule]
                    what = rule.place or f"rule {cover.rule + 1}"
                found.append(f"{what}: {cover.extent}, {cover.errs}: {cover.reason}")
    return found
