"""`enforcer top`: the same as `status`, again and again, with rates."""

from __future__ import annotations

import shutil
import sys
import time

import click

from enforcer.asking.overview import folded, lines, overview
from enforcer.cli import UserError
from enforcer.supervision.peers import socket_directory

_CLEAR = "\x1b[H\x1b[2J"


@click.command("top")
@click.option(
    "--interval",
    "-d",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--count", "-n", type=click.IntRange(min=1), help="End after this many looks.")
def command(interval_s: float, count: int | None) -> None:
    """Watch supervisors: processes, decisions and refusals a second, the last refusals."""
    try:
        directory = socket_directory()
    except PermissionError as error:
        raise UserError(str(error.strerror)) from None
    before, last = None, time.monotonic()
    looks = 0
    try:
        while count is None or looks < count:
            now, moment = overview(directory), time.monotonic()
            _show(list(lines(now, before, moment - last)))
            before, last = now, moment
            looks += 1
            if looks != count:
                time.sleep(interval_s)
    except KeyboardInterrupt:
        return


def _show(shown: list[str]) -> None:
    if not sys.stdout.isatty():
        click.echo("\n".join(shown) + "\n")
        return
    columns, rows = shutil.get_terminal_size()
    lines = list(folded(shown, columns))[: rows - 1]
    click.echo(_CLEAR + "\n".join(lines), nl=False)
