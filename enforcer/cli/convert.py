"""`enforcer convert`: the policies of a file in the other dialect."""

from __future__ import annotations

from pathlib import Path

import click

from enforcer.cli import form_option
from enforcer.policy.ast import Dialect
from enforcer.policy.convert_file import convert_file
from enforcer.policy.format import NotExpressible, format_policies
from enforcer.policy.parser import parse_file
from enforcer.policy.problem import PolicyError


class Refused(click.ClickException):
    """A policy that cannot be read or written in that form."""

    exit_code = 2


@click.command("convert")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    help="The dialect to write. Default: the other one.",
)
@form_option
def convert(file: Path, dialect: str | None, form: str | None) -> None:
    """Print the policies of FILE in the other dialect: .systrace to YAML, or YAML to .systrace.

    What the loader adds to a policy of the one dialect, and not to one of the other, is written
    out. What cannot be kept is said on the standard error. Several policies become one file: of
    YAML documents, or of sections that begin with `Policy:`.
    """
    try:
        policies = parse_file(file, form)
        converted = convert_file(policies, Dialect(dialect) if dialect else None, file.parent)
    except PolicyError as error:
        raise Refused(str(error)) from error
    forms = {policy.dialect for policy, _ in converted}
    if len(forms) > 1:
        raise Refused(f"{file} has policies of both dialects; say which is wanted with --to")
    for policy, notes in converted:
        for note in notes:
            click.echo(f"{policy.binary or policy.template or file}: {note}", err=True)
    try:
        text = format_policies([policy for policy, _ in converted], *forms)
    except NotExpressible as error:
        raise Refused(str(error)) from error
    click.echo(text, nl=False)


command = convert
