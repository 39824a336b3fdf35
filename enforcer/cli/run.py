"""`enforcer run`: a command under a policy. The process itself becomes the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from enforcer.cli import UserError, form_option
from enforcer.cli.identity import become, parse_ids
from enforcer.cli.logs import event_log, log_options
from enforcer.cli.permissive import tolerate
from enforcer.cli.policies import policy_options, read_policies, source_of
from enforcer.cli.supervised import compiled, desk_option, found_command, launch, usable_mechanism
from enforcer.filters.read import form_of, read_filter
from enforcer.logs.syslog import Host
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence, MechanismName, Options, Plan
from enforcer.policy.directory import for_command
from enforcer.policy.problem import PolicyError
from enforcer.policy.rereading import source_to_json

SUPERVISED = (MechanismName.PTRACE, MechanismName.NOTIFY)


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
@policy_options
@click.option("--inherit", "-i", is_flag=True, help="Children keep the policy of their parent.")
@click.option(
    "--user",
    "-c",
    "ids",
    callback=parse_ids,
    metavar="UID:GID",
    help="Run the command, and its supervisor, as this user.",
)
@click.option(
    "--permissive",
    is_flag=True,
    help="Refuse nothing: log what would be refused, and propose rules for it at the end.",
)
@click.option(
    "--reread/--no-reread",
    "rereads",
    default=None,
    help="Read policies again when they change (ptrace, notify); the default with --directory.",
)
@log_options
@click.option(
    "--defences",
    callback=parse_defences,
    default="all",
    show_default=True,
    help="Defences against races: copy, pin, verify in any combination, or none.",
)
@form_option
@click.option("--partial", is_flag=True, help="Run although some rules cannot be enforced in full.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    backend: str,
    files: tuple[Path, ...],
    directory: Path | None,
    more: tuple[Path, ...],
    is_global: bool,
    no_aliases: bool,
    inherit: bool,
    ids: tuple[int, int] | None,
    permissive: bool,
    rereads: bool | None,
    log: Path | None,
    to_stderr: bool,
    line_file: Path | None,
    to_syslog: bool,
    hosts: tuple[Host, ...],
    defences: frozenset[Defence],
    form: str | None,
    partial: bool,
    command: tuple[str, ...],
) -> NoReturn:
    """Run COMMAND under a policy.

    With policies of a directory each binary comes under its own when it is executed (ptrace). What
    no rule covers is refused and logged. The exit status is the command's own; 2 when it was not
    started because of a mistake, 126 or 127 when it cannot be executed.
    """
    is_supervised = backend in SUPERVISED
    if permissive and not is_supervised:
        raise UserError(f"--permissive takes a supervisor: {' or '.join(SUPERVISED)}")
    if rereads and not is_supervised:
        raise UserError(f"--reread takes a supervisor: {' or '.join(SUPERVISED)}")
    source = source_of(files, directory, more, is_global, no_aliases, form)
    wants_rereads = bool(source.directories) if rereads is None else rereads
    options = Options(
        defences=defences,
        partial=partial,
        inherit=inherit,
        permissive=permissive,
        desk=desk_option() if is_supervised and not permissive else None,
        rereads=source_to_json(source) if wants_rereads and is_supervised else None,
    )
    is_filter = backend == MechanismName.SECCOMP and len(files) == 1 and form_of(files[0], form)
    policies = () if is_filter else read_policies(source, command[0])
    if source.directories and backend != MechanismName.PTRACE:
        policies = for_command(policies, os.path.realpath(found_command(command[0])))
    mechanism = usable_mechanism(backend)
    plan = _plan_of_filter(files[0], form) if is_filter else compiled(mechanism, policies, options)
    events = event_log(
        log, to_stderr=to_stderr, line_file=line_file, to_syslog=to_syslog, hosts=hosts
    )
    if ids is not None:
        become(ids)
    if permissive:
        sys.exit(tolerate(mechanism, plan, command, events))
    launch(mechanism, plan, command, events, str(log or "the log"))


def _plan_of_filter(file: Path, form: str | None) -> Plan:
    from enforcer.mechanisms.seccomp.foreign import plan_of

    try:
        found = read_filter(file, form)
        return plan_of(found.programs[0], found.abis)
    except (PolicyError, ValueError) as error:
        raise UserError(str(error)) from None
