"""Which policies a command is to come under: the options that `run` and `attach` share."""

from __future__ import annotations

import os
from pathlib import Path

import click

from enforcer.cli import UserError, form_option
from enforcer.cli.packed import packed
from enforcer.learning.store import user_directory
from enforcer.policy.ast import Policy
from enforcer.policy.directory import SYSTEM, Source, shipped
from enforcer.policy.load import process_variables
from enforcer.policy.problem import PolicyError


class PolicyFile(click.Path):
    """A file, or the name of a program that a policy is shipped for. A file of that name counts."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        found = None if Path(value).is_file() else shipped(str(value))
        return found or Path(os.fsdecode(super().convert(value, param, ctx)))


_FILE = PolicyFile()
_OPTIONS = (
    click.option(
        "--policy",
        "-p",
        "files",
        multiple=True,
        type=_FILE,
        help="A .systrace or .yaml file, a filter of others (docs/filters.md), or the name of a "
        "program with a policy of ours (docs/systrace.md); may be repeated. Left out: the policies "
        "of --directory.",
    ),
    click.option(
        "--directory",
        "-d",
        "directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Policies by binary, as `enforcer learn` writes them; left out, without --policy: "
        "~/.systrace, then /etc/systrace.",
    ),
    click.option(
        "-f", "more", multiple=True, type=_FILE, help="One more policy, before the others."
    ),
    click.option("-U", "is_global", is_flag=True, help="Policies of /etc/systrace only."),
    click.option("-u", "no_aliases", is_flag=True, help="Rules on aliases (fsread) do not count."),
)


def source_of(
    files: tuple[Path, ...],
    directory: Path | None,
    more: tuple[Path, ...],
    is_global: bool,
    no_aliases: bool,
    form: str | None,
) -> Source:
    """What the options mean."""
    directories: tuple[Path, ...] = ()
    if is_global:
        directories = (SYSTEM,)
    elif directory is not None:
        directories = (directory.absolute(),)
    elif not files and not more:
        directories = (user_directory(), SYSTEM)
    return Source(
        files=tuple(path.absolute() if path.is_file() else path for path in (*more, *files)),
        directories=directories,
        form=form,
        has_aliases=not no_aliases,
        variables=process_variables(),
    )


def read_policies(source: Source, program: str) -> tuple[Policy, ...]:
    """All of them, at least one. Raises UserError."""
    try:
        policies = source.load_all()
    except PolicyError as error:
        raise UserError(str(error)) from None
    if not policies:
        places = " or ".join(map(str, source.directories))
        name = Path(program).name
        ours = f", `-p {name}` takes the shipped one" if shipped(name) else ""
        raise UserError(f"no policy in {places}; `enforcer learn -- {program}` makes one{ours}")
    return policies


policy_options = packed(
    "source",
    source_of,
    (*_OPTIONS, form_option),
    ("files", "directory", "more", "is_global", "no_aliases", "form"),
)
"""The options that make a Source, `source`."""
