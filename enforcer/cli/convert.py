"""`enforcer convert`: a policy in the other dialect."""

from __future__ import annotations

from pathlib import Path

import click

from enforcer.policy.ast import Dialect
from enforcer.policy.convert import convert as convert_policy
from enforcer.policy.format import NotExpressible, format_systrace, format_yaml
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
    help="The dialect wanted; left out: the other one.",
)
def convert(file: Path, dialect: str | None) -> None:
    """Print the policy of FILE in the other dialect: .systrace to YAML, or YAML to .systrace.

    What cannot be kept is said on the standard error.
    """
    try:
        policies = parse_file(file)
    except PolicyError as error:
        raise Refused(str(error)) from error
    texts: list[str] = []
    for policy in policies:
        wanted = Dialect(dialect) if dialect else _other(policy.dialect)
        converted, notes = convert_policy(policy, wanted)
        for note in notes:
            click.echo(f"{policy.binary or policy.template or file}: {note}", err=True)
        try:
            written = format_yaml if wanted is Dialect.STRICT else format_systrace
            texts.append(written(converted))
        except NotExpressible as error:
            raise Refused(str(error)) from error
    click.echo("\n".join(texts) if wanted is Dialect.SYSTRACE else "---\n".join(texts), nl=False)


command = convert


def _other(dialect: Dialect) -> Dialect:
    return Dialect.STRICT if dialect is Dialect.SYSTRACE else Dialect.SYSTRACE
