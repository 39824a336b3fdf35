"""`harness manual`: man pages of both programs, from their own definitions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from harness.cli import UserError
from harness.installing import by_pip


@click.command("manual")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(directory: Path) -> None:
    """Write a man page for every command of harness and enforcer into DIRECTORY.

    \b
      harness manual ~/.local/share/man/man1 && man harness-run
    """
    if importlib.util.find_spec("click_man") is None:
        raise UserError(
            f"man pages are made by click-man: in a clone, ci/setup dev; else {by_pip('click-man')}"
        )
    from enforcer.cli import cli as enforcer
    from harness.cli import cli as harness

    directory.mkdir(parents=True, exist_ok=True)
    version = importlib.metadata.version("interposition-lab")
    count = 0
    for context in (*_contexts(harness, "harness"), *_contexts(enforcer, "enforcer")):
        name = context.command_path.replace(" ", "-")
        (directory / f"{name}.1").write_text(_page(context, version), encoding="utf-8")
        count += 1
    click.echo(f"{count} pages in {directory}")


def _page(context: click.Context, version: str) -> str:
    from click_man.man import ManPage

    command = context.command
    page = ManPage(context.command_path)
    page.version = version
    page.short_help = command.get_short_help_str(limit=200)
    page.description = inspect.cleandoc(command.help or "").replace("\b\n", "")
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    page.options = [
        record
        for each in command.get_params(context)
        if isinstance(each, click.Option) and (record := each.get_help_record(context))
    ]
    if isinstance(command, click.Group):
        page.commands = [
            (name, below.get_short_help_str(limit=200))
            for name in command.list_commands(context)
            if (below := command.get_command(context, name)) is not None
        ]
    return str(page)


def _contexts(
    found: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Of the command, then of what is below it; click-man itself does not see lazy ones."""
    context = click.Context(found, info_name=name, parent=parent)
    yield context
    if isinstance(found, click.Group):
        for below in found.list_commands(context):
            command = found.get_command(context, below)
            if command is not None and not command.hidden:
                yield from _contexts(command, below, context)
