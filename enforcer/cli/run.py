"""`enforcer run`: a command under a policy. The process itself becomes the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from enforcer.cli import UserError
from enforcer.cli.enforcement import Enforcement, enforcement_options
from enforcer.cli.identity import become, parse_ids
from enforcer.cli.logs import LogChoice, log_options
from enforcer.cli.permissive import tolerate
from enforcer.cli.policies import policy_options, read_policies
from enforcer.cli.supervised import (
    CONSEQUENCES,
    SUPERVISED,
    compiled,
    found_command,
    launch,
    usable_mechanism,
)
from enforcer.logs.herald import Herald
from enforcer.logs.several import several
from enforcer.logs.voice import Voice
from enforcer.mechanisms.contract import MechanismName, Plan
from enforcer.policy.directory import Source, for_command
from enforcer.policy.problem import PolicyError


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "--backend",
    "-b",
    type=click.Choice([name.value for name in MechanismName]),
    default=MechanismName.PTRACE.value,
    show_default=True,
)
@policy_options
@click.option(
    "--user",
    "-c",
    "ids",
    callback=parse_ids,
    metavar="UID:GID",
    help="Run the command, and its supervisor, as this user.",
)
@enforcement_options
@log_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    backend: str,
    source: Source,
    ids: tuple[int, int] | None,
    enforcement: Enforcement,
    logs: LogChoice,
    command: tuple[str, ...],
) -> NoReturn:
    """Run COMMAND under a policy.

    With policies of a directory each binary comes under its own when it is executed (ptrace). What
    no rule covers is refused and logged. The exit status is the command's own; 2 when it was not
    started because of a mistake, 126 or 127 when it cannot be executed.
    """
    is_supervised = backend in SUPERVISED
    if enforcement.permissive and not is_supervised:
        raise UserError(f"--permissive takes a supervisor: {' or '.join(SUPERVISED)}")
    if enforcement.rereads and not is_supervised:
        raise UserError(f"--reread takes a supervisor: {' or '.join(SUPERVISED)}")
    filter_file = _filter_of(source) if backend == MechanismName.SECCOMP else None
    policies = () if filter_file else read_policies(source, command[0])
    if source.directories and backend != MechanismName.PTRACE:
        policies = for_command(policies, os.path.realpath(found_command(command[0])))
    mechanism = usable_mechanism(backend)
    voice = Voice()
    opened = logs.opened(voice)
    if ids is not None:
        become(ids)
    if filter_file:
        plan = _plan_of_filter(filter_file, source.form)
    else:
        # Not before: the supervisor's socket is in the directory of whose it is.
        options = enforcement.options(source, is_supervised=is_supervised)
        plan = compiled(mechanism, policies, options)
    if is_supervised:
        opened.append(Herald(voice, CONSEQUENCES[MechanismName(backend)]))
    if enforcement.permissive:
        sys.exit(tolerate(mechanism, plan, command, several(opened), voice))
    launch(mechanism, plan, command, several(opened), logs.name())


def _filter_of(source: Source) -> Path | None:
    """The only file that was named, where it is a filter of others'."""
    from enforcer.filters.read import form_of

    if len(source.files) == 1 and form_of(source.files[0], source.form):
        return source.files[0]
    return None


def _plan_of_filter(file: Path, form: str | None) -> Plan:
    from enforcer.filters.read import read_filter
    from enforcer.mechanisms.seccomp.foreign import plan_of

    try:
        found = read_filter(file, form)
        return plan_of(found.programs[0], found.abis)
    except (PolicyError, ValueError) as error:
        raise UserError(str(error)) from None
