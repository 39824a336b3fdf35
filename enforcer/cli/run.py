"""`enforcer run`: a command under a policy. The process itself becomes the command."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from enforcer.arch import native
from enforcer.cli import UserError, form_option
from enforcer.events import EventLog, FileLog, LogUnwritable, NullLog, TextLog
from enforcer.filters.read import form_of, read_filter
from enforcer.mechanisms.contract import (
    DEFAULT_DEFENCES,
    Defence,
    Inexpressible,
    LaunchError,
    Mechanism,
    MechanismName,
    Options,
    Plan,
)
from enforcer.policy import load_policies
from enforcer.policy.ast import Policy
from enforcer.policy.problem import PolicyError

NOT_FOUND = 127
NOT_EXECUTABLE = 126


class NotFound(click.ClickException):
    """As a shell says it: the command does not exist."""

    exit_code = NOT_FOUND


class NotExecutable(click.ClickException):
    """As a shell says it: the command exists and cannot be executed."""

    exit_code = NOT_EXECUTABLE


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


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "--backend",
    "-b",
    type=click.Choice([name.value for name in MechanismName]),
    default=MechanismName.PTRACE.value,
    show_default=True,
)
@click.option(
    "--policy",
    "-p",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A .systrace or .yaml file, or a filter of others (docs/filters.md); may be repeated.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Append events to this file, one JSON object a line; a terminal gets lines for "
    "people, and so does `-`, standard error.",
)
@click.option(
    "--defences",
    callback=parse_defences,
    default="all",
    show_default=True,
    help="Defences against races: copy, pin, verify in any combination, or none.",
)
@form_option
@click.option("--partial", is_flag=True, help="Run although some rules cannot be enforced in full.")
@click.option("--inherit", "-i", is_flag=True, help="Children keep the policy of their parent.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    backend: str,
    files: tuple[Path, ...],
    log: Path | None,
    defences: frozenset[Defence],
    partial: bool,
    inherit: bool,
    form: str | None,
    command: tuple[str, ...],
) -> NoReturn:
    """Run COMMAND under a policy.

    The exit status is the command's own; 2 when it was not started because of a mistake, 126 or
    127 when it cannot be executed.
    """
    policies = _load(files, form, backend)
    mechanism: Mechanism = importlib.import_module(f"enforcer.mechanisms.{backend}").MECHANISM
    lacking = mechanism.probe()
    if lacking:
        wants = "; ".join(f"{each.feature} ({each.mend})" for each in lacking)
        raise UserError(f"{backend} is not usable here, it lacks: {wants}")
    options = Options(defences=defences, partial=partial, inherit=inherit)
    plan = _compile(mechanism, policies, options) if policies else _plan_of_filter(files, form)
    try:
        mechanism.launch(plan, command, _event_log(log))
    except LaunchError as error:
        raise UserError(f"{backend}: {error}") from None
    except LogUnwritable as error:
        raise UserError(f"{log}: {error.strerror}; nothing was started") from None
    except OSError as error:
        kind = NotFound if error.errno == errno.ENOENT else NotExecutable
        raise kind(f"{command[0]}: {error.strerror}") from None


def _load(files: tuple[Path, ...], form: str | None, backend: str) -> list[Policy]:
    """The policies; none where the one file is a filter, which seccomp loads as it is."""
    try:
        if backend == MechanismName.SECCOMP and len(files) == 1 and form_of(files[0], form):
            return []
        return [policy for file in files for policy in load_policies(file, form=form)]
    except PolicyError as error:
        raise UserError(str(error)) from None


def _plan_of_filter(files: tuple[Path, ...], form: str | None) -> Plan:
    from enforcer.mechanisms.seccomp.foreign import plan_of

    try:
        found = read_filter(files[0], form)
        return plan_of(found.programs[0], found.abis)
    except (PolicyError, ValueError) as error:
        raise UserError(str(error)) from None


def _compile(mechanism: Mechanism, policies: list[Policy], options: Options) -> Plan:
    try:
        return mechanism.compile(policies, native().abis, options)
    except Inexpressible as error:
        raise UserError(
            f"{mechanism.name} cannot enforce this policy: {error}; "
            "take another backend, or --partial to run without what it cannot do"
        ) from None
    except ValueError as error:
        raise UserError(f"{mechanism.name}: {error}") from None


def _event_log(path: Path | None) -> EventLog:
    if path is None:
        return NullLog()
    if str(path) == "-":
        return TextLog(sys.stderr.fileno())
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    return TextLog(descriptor) if os.isatty(descriptor) else FileLog(descriptor)
