"""`harness launch`: one command under any backend, the leaky ones too."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from enforcer.arch import native
from enforcer.events import EventLog, FileLog, NullLog
from enforcer.kernel import namespaces
from enforcer.mechanisms.contract import Inexpressible, LaunchError, Plan
from enforcer.policy.problem import PolicyError
from harness.backends import BrokenBackend, UnknownBackend, backend, compiled, names
from harness.backends.external import External
from harness.backends.life import Backend, stage_of
from harness.cli import UserError
from harness.places.clearing import remove
from harness.places.features import NOBODY
from harness.places.layout import Layout
from harness.process import fork, wait
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

    `enforcer run` is the tool for real use; this one also knows the weak enforcers, and others'
    sandboxes, whose command line it prints. Those that need root get mounts of their own, and give
    the command the user id of nobody. Their files are put beside the policy.
    """
    dialect = "systrace" if policy.suffix == ".systrace" else "yaml"
    try:
        confining = backend(name)
        policies = parse_policies(policy.read_text(encoding="utf-8"), dialect, str(policy))
        plan = compiled(name, policies, native().abis)
        if confining.held:
            sys.exit(_prepared(confining, plan, command, policy.resolve().parent, _event_log(log)))
        confining.launch(plan, command, _event_log(log))
    except UnknownBackend:
        raise UserError(f"there is no backend {name!r}; known: {', '.join(names())}") from None
    except (BrokenBackend, PolicyError, Inexpressible, LaunchError, OSError) as error:
        raise UserError(str(error)) from None


def _prepared(
    confining: Backend, plan: Plan, command: Sequence[str], root: Path, log: EventLog
) -> int:
    """The exit status of the command in somebody else's sandbox; what was prepared is undone."""
    layout = Layout(root=root)
    who = NOBODY if confining.rooted else os.getuid()
    stage = stage_of(layout, uid=who, gid=who, walled=confining.rooted)
    if confining.rooted:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        namespaces.make_tree_private()
    remove(stage.state)
    with confining.prepare(plan, stage) as prepared:
        status = wait(fork(lambda: _become(confining, prepared, command, log)))
    return os.waitstatus_to_exitcode(status) % 256


def _become(confining: Backend, plan: Plan, command: Sequence[str], log: EventLog) -> int:
    if isinstance(confining, External):
        click.echo(f"+ {shlex.join(confining.command_line(plan, command)[0])}", err=True)
    confining.launch(plan, command, log)


def _event_log(path: Path | None) -> EventLog:
    if path is None:
        return NullLog()
    return FileLog(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
