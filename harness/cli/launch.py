"""`harness launch`: one command under any backend, the leaky ones too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import click

from enforcer.arch import native
from enforcer.events import EventLog, FileLog, NullLog
from enforcer.mechanisms.contract import Inexpressible, LaunchError
from enforcer.policy.problem import PolicyError
from harness.backends import UnknownBackend, backend, names
from harness.cli import UserError
from harness.scenario import parse_policies


@click.command("launch", context_settings={"ignore_unknown_options": True})
@click.option("--backend", "-b", "name", required=True, metavar="NAME")
@click.option(
    "--policy", "-p", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="Append events here.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(name: str, policy: Path, log: Path | None, command: tuple[str, ...]) -> NoReturn:
    """Run COMMAND under a backend, as the laboratory does, but without its walls.

    `enforcer run` is the tool for real use; this one also knows the weak enforcers.
    """
    dialect = "systrace" if policy.suffix == ".systrace" else "yaml"
    try:
        confining = backend(name)
        policies = parse_policies(policy.read_text(encoding="utf-8"), dialect, str(policy))
        plan = confining.compile(policies, native().abis)
        confining.launch(plan, command, _event_log(log))
    except UnknownBackend:
        raise UserError(f"there is no backend {name!r}; known: {', '.join(names())}") from None
    except (PolicyError, Inexpressible, LaunchError, OSError) as error:
        raise UserError(str(error)) from None


def _event_log(path: Path | None) -> EventLog:
    if path is None:
        return NullLog()
    return FileLog(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
