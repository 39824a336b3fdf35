"""`enforcer run`: a command under a policy. The process itself becomes the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from enforcer.cli import UserError, form_option
from enforcer.cli.supervised import compiled, desk_option, launch, usable_mechanism
from enforcer.events import EventLog, FileLog, NullLog, TextLog
from enforcer.filters.read import form_of, read_filter
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence, MechanismName, Options, Plan
from enforcer.policy import load_policies
from enforcer.policy.ast import Policy
from enforcer.policy.problem import PolicyError


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
    mechanism = usable_mechanism(backend)
    desk = desk_option() if mechanism.supervised else None
    options = Options(defences=defences, partial=partial, inherit=inherit, desk=desk)
    plan = compiled(mechanism, policies, options) if policies else _plan_of_filter(files, form)
    launch(mechanism, plan, command, event_log(log), str(log))


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


def event_log(path: Path | None) -> EventLog:
    """Where events go. Raises UserError."""
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
