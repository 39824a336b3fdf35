"""How policies are enforced: the options that `run` and `attach` share."""

from __future__ import annotations

from dataclasses import dataclass

import click

from enforcer.cli.packed import packed
from enforcer.cli.supervised import desk_option
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence, Options
from enforcer.policy.directory import Source
from enforcer.policy.rereading import source_to_json


def parse_defences(
    context: click.Context, parameter: click.Parameter, value: str
) -> frozenset[Defence]:
    """`copy,pin`, `all` or `none`. Raises click.BadParameter."""
    if value in ("all", "none"):
        return DEFAULT_DEFENCES if value == "all" else frozenset()
    words = [word.strip() for word in value.split(",")]
    known = list(Defence)
    for word in words:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of {', '.join(known)}, all, none")
    return frozenset(map(Defence, words))


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """What the options say. `rereads`: None where neither --reread nor --no-reread was given."""

    inherit: bool
    permissive: bool
    rereads: bool | None
    defences: frozenset[Defence]
    partial: bool

    def options(self, source: Source, *, is_supervised: bool = True) -> Options:
        """For a mechanism that has a supervisor, or none."""
        wants_rereads = bool(source.directories) if self.rereads is None else self.rereads
        return Options(
            defences=self.defences,
            partial=self.partial,
            inherit=self.inherit,
            permissive=self.permissive,
            desk=desk_option() if is_supervised and not self.permissive else None,
            rereads=source_to_json(source) if wants_rereads and is_supervised else None,
        )


enforcement_options = packed(
    "enforcement",
    Enforcement,
    (
        click.option(
            "--inherit", "-i", is_flag=True, help="Children keep the policy of their parent."
        ),
        click.option(
            "--permissive",
            is_flag=True,
            help="Refuse nothing: log what would be refused, and propose rules for it at the end.",
        ),
        click.option(
            "--reread/--no-reread",
            "rereads",
            default=None,
            help="Read policies again when they change (ptrace, notify); the default with "
            "--directory.",
        ),
        click.option(
            "--defences",
            callback=parse_defences,
            default="all",
            show_default=True,
            help="Defences against races: copy, pin, verify in any combination, or none.",
        ),
        click.option(
            "--partial", is_flag=True, help="Go on although some rules are not enforced in full."
        ),
    ),
    ("inherit", "permissive", "rereads", "defences", "partial"),
)
"""The options that make an Enforcement, `enforcement`."""
