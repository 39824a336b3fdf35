"""`enforcer ask`: a person answers what policies ask."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from enforcer.asking.console import Console
from enforcer.asking.lines import Lines
from enforcer.cli import UserError, form_option
from enforcer.cli.logs import LogChoice, log_options
from enforcer.cli.supervised import (
    CONSEQUENCES,
    SUPERVISED,
    compiled,
    desk_option,
    launch,
    usable_mechanism,
)
from enforcer.logs.herald import Herald
from enforcer.logs.several import several
from enforcer.logs.voice import Voice
from enforcer.mechanisms.contract import MechanismName, Options
from enforcer.policy import load_policies
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.load import prepared
from enforcer.policy.problem import PolicyError
from enforcer.supervision.peers import socket_directory

_TIMEOUT_S = 60.0


@click.command("ask", context_settings={"ignore_unknown_options": True})
@click.option(
    "--backend",
    "-b",
    type=click.Choice([name.value for name in SUPERVISED]),
    default=MechanismName.PTRACE.value,
    show_default=True,
)
@click.option(
    "--policy",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For COMMAND: a .systrace or .yaml file; may be repeated. Left out: everything is asked.",
)
@click.option("-p", "supervisor", type=int, metavar="PID", help="Answer for this supervisor alone.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=_TIMEOUT_S,
    show_default=True,
    help="Seconds after which a question of COMMAND is denied.",
)
@click.option("--lines", "is_plain", is_flag=True, help="No full screen, even on a terminal.")
@log_options
@form_option
@click.option("--partial", is_flag=True, help="Run although some rules cannot be enforced in full.")
@click.option("--inherit", "-i", is_flag=True, help="Children keep the policy of their parent.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(
    backend: str,
    files: tuple[Path, ...],
    supervisor: int | None,
    timeout_s: float,
    is_plain: bool,
    logs: LogChoice,
    form: str | None,
    partial: bool,
    inherit: bool,
    command: tuple[str, ...],
) -> None:
    """Answer the questions of policies.

    Without COMMAND: for every supervisor of yours that runs or will, in one console. With COMMAND:
    run it, and ask here about each call for which its policy has no other answer. Whoever waits for
    an answer waits alone. What nobody answers in time, or when the console goes away, is denied.
    """
    directory = _directory()
    if not command:
        if supervisor is not None and not _is_there(directory, supervisor):
            raise UserError(
                f"supervisor {supervisor} does not run; `enforcer status` shows who does"
            )
        console = Console(directory, supervisor)
        _attend(console, is_plain, lambda: _is_there(directory, supervisor))
        _tell_unsaved(console)
        return
    if supervisor is not None:
        raise UserError("-p is for a supervisor that runs already: leave COMMAND out")
    policies = _load(files, form) if files else [_everything()]
    mechanism = usable_mechanism(backend)
    options = Options(
        partial=partial,
        inherit=inherit,
        desk=desk_option(timeout_s=timeout_s, expected=os.getpid()),
    )
    plan = compiled(mechanism, policies, options)
    voice = Voice()
    herald = Herald(voice, CONSEQUENCES[MechanismName(backend)])
    opened = several([*logs.opened(voice, is_attended=True), herald])
    child = os.fork()
    if child == 0:
        _become(lambda: launch(mechanism, plan, command, opened, logs.name()))
    sys.exit(_answer_for(Console(directory), child))


def _directory() -> Path:
    try:
        return socket_directory()
    except OSError as error:
        raise UserError(f"no place for sockets: {error.strerror}") from None


def _load(files: tuple[Path, ...], form: str | None) -> list[Policy]:
    try:
        return [policy for file in files for policy in load_policies(file, form=form)]
    except PolicyError as error:
        raise UserError(str(error)) from None


def _everything() -> Policy:
    """What asks about every call that a program does not need to begin at all."""
    (policy,) = prepared([Policy(binary=None, dialect=Dialect.SYSTRACE, rules=())])
    return policy


def _attend(console: Console, is_plain: bool, goes_on: Callable[[], bool]) -> None:
    if is_plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        Lines(console, sys.stdin.fileno(), sys.stdout).serve(goes_on)
        return
    screen = importlib.import_module("enforcer.asking.screen")
    screen.Screen(console).serve(goes_on)


def _is_there(directory: Path, supervisor: int | None) -> bool:
    """Whether the one supervisor that was named still runs."""
    return supervisor is None or (directory / f"{supervisor}.sock").exists()


def _tell_unsaved(console: Console) -> None:
    """What was answered for good would be lost with the console."""
    console.hear_out()
    if not console.is_saved and (text := console.given()):
        click.echo(f"answered for good, and in no file (`save FILE` writes one):\n{text}", err=True)


def _become(start: Callable[[], NoReturn]) -> NoReturn:
    """The child's side: what goes wrong is said by itself, and by the exit status.

    The answers come by a pipe that is not the command's to read.
    """
    try:
        if not sys.stdin.isatty():
            os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        start()
    except click.ClickException as error:
        error.show()
        os._exit(error.exit_code)
    finally:
        os._exit(70)


def _answer_for(console: Console, child: int) -> int:
    """Ask until the command has ended; its exit status, as a shell has it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status: list[int] = []

    def goes_on() -> bool:
        if not status:
            pid, found = os.waitpid(child, os.WNOHANG)
            status.extend([found] if pid else [])
        return not status

    Lines(console, sys.stdin.fileno(), sys.stderr).serve(goes_on)
    _tell_unsaved(console)
    console.close()
    if not status:
        status.append(os.waitpid(child, 0)[1])
    number = os.waitstatus_to_exitcode(status[0])
    return number if number >= 0 else 128 - number
