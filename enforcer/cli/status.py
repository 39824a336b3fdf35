"""`enforcer status`: the supervisors that run for this user, from any terminal."""

from __future__ import annotations

import json

import click

from enforcer.asking.overview import lines, overview
from enforcer.cli import UserError
from enforcer.supervision.peers import socket_directory


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a supervisor, one a line.")
def command(as_json: bool) -> None:
    """Show supervised processes, their policies, counts, and the last refusals.

    Those of your own supervisors; root looks at another user's by that user's XDG_RUNTIME_DIR.
    """
    try:
        now = overview(socket_directory())
    except PermissionError as error:
        raise UserError(str(error.strerror)) from None
    if as_json:
        for status in now.statuses.values():
            click.echo(json.dumps(status, sort_keys=True))
        return
    for line in lines(now):
        click.echo(line)
