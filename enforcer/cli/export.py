"""`enforcer export`: a policy in the languages of others, and what is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from enforcer.arch import native
from enforcer.cbpf.compiler import FilterTooLarge
from enforcer.cli import UserError, form_option
from enforcer.exports.export import ObjectTarget, Target, export, export_objects
from enforcer.exports.objects import uncovered
from enforcer.exports.rows import Export
from enforcer.filters.operand import is_operand, read_operand
from enforcer.filters.read import form_of
from enforcer.mechanisms.seccomp.cover import cover_by_registers
from enforcer.policy.load import load_policies
from enforcer.policy.problem import PolicyError


@click.command("export")
@click.argument("policy")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice([each.value for each in (*Target, *ObjectTarget)]),
    help="`bwrap` is the same as `bpf`: a compiled filter; landlock: JSON of landlockconfig.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write; default: standard output.",
)
@form_option
def command(policy: str, target: str, output: Path | None, form: str | None) -> None:
    """Write POLICY, or a filter of others, for another enforcer.

    POLICY may be several together: `A+B`, what both permit, and 'A|B', what either does
    (docs/filters.md). What the other one cannot keep is said on the standard error, rule by rule: a
    filter sees registers only, and most languages say less than a filter; Landlock and AppArmor
    know names (and ports) only, and few calls.
    """
    try:
        if target in list(ObjectTarget):
            made, lost = _of_objects(policy, ObjectTarget(target), form), []
        else:
            made = export(read_operand(policy, form), Target(target))
            lost = _uncovered(policy, form)
    except (PolicyError, ValueError, FilterTooLarge) as error:
        raise UserError(str(error)) from None
    for line in (*lost, *made.lost):
        click.echo(f"lost: {line}", err=True)
    _write(made, output)


def _of_objects(policy: str, target: ObjectTarget, form: str | None) -> Export:
    """Raises PolicyError, ValueError."""
    if is_operand(policy):
        raise ValueError(f"{target} takes the policy of one file: calls by number name no objects")
    return export_objects(load_policies(Path(policy), form=form), target)


def _write(made: Export, output: Path | None) -> None:
    if output is not None:
        try:
            output.write_bytes(made.content)
        except OSError as error:
            raise UserError(f"{output}: {error.strerror or error}") from None
        return
    if sys.stdout.isatty() and b"\0" in made.content:
        raise UserError("a compiled filter is nothing for a terminal: -o FILE")
    sys.stdout.buffer.write(made.content)


def _uncovered(policy: str, form: str | None) -> list[str]:
    """The rules of a policy of ours that a static filter does not keep."""
    if is_operand(policy) or form_of(Path(policy), form) is not None:
        return []
    return [
        line
        for each in load_policies(Path(policy), form=form)
        for line in uncovered(each, cover_by_registers(each, native().abis))
    ]
