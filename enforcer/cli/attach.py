"""`enforcer attach`: a process that runs already, and its descendants, under a policy."""

from __future__ import annotations

from pathlib import Path

import click

from enforcer.arch import native
from enforcer.cli import UserError, form_option
from enforcer.cli.logs import event_log, log_options
from enforcer.cli.policies import policy_options, read_policies, source_of
from enforcer.cli.run import parse_defences
from enforcer.cli.supervised import desk_option, usable_mechanism
from enforcer.events import LogUnwritable, printable
from enforcer.logs.syslog import Host
from enforcer.mechanisms.contract import (
    Defence,
    Inexpressible,
    LaunchError,
    MechanismName,
    Options,
)
from enforcer.mechanisms.ptrace.attached import Attached
from enforcer.mechanisms.ptrace.attaching import attach
from enforcer.mechanisms.ptrace.tree import CannotAttach
from enforcer.policy.rereading import source_to_json


@click.command("attach")
@policy_options
@click.option("--inherit", "-i", is_flag=True, help="All keep the policy of PID's binary.")
@click.option(
    "--permissive", is_flag=True, help="Refuse nothing: log what would be refused (--log)."
)
@click.option(
    "--reread/--no-reread",
    "rereads",
    default=None,
    help="Read policies again when they change; the default with --directory.",
)
@click.option(
    "--exitkill",
    "kills",
    is_flag=True,
    help="Kill the processes when this command is killed. Default: they go on unsupervised.",
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
@click.option("--partial", is_flag=True, help="Attach although some rules are not kept in full.")
@click.argument("pid", type=click.IntRange(min=1))
def command(
    files: tuple[Path, ...],
    directory: Path | None,
    more: tuple[Path, ...],
    is_global: bool,
    no_aliases: bool,
    inherit: bool,
    permissive: bool,
    rereads: bool | None,
    kills: bool,
    log: Path | None,
    to_stderr: bool,
    line_file: Path | None,
    to_syslog: bool,
    hosts: tuple[Host, ...],
    defences: frozenset[Defence],
    form: str | None,
    partial: bool,
    pid: int,
) -> None:
    """Supervise process PID, its threads and its descendants from now on.

    By ptrace without a filter: every call stops twice, so this is slower than `run`. Ctrl-C (or
    SIGTERM) lets go of them: they run on as before, unsupervised. Calls that they are in when they
    are attached are named; what the kernel makes again is judged then.
    """
    source = source_of(files, directory, more, is_global, no_aliases, form)
    policies = read_policies(source, "PROGRAM")
    usable_mechanism(MechanismName.PTRACE)
    wants_rereads = bool(source.directories) if rereads is None else rereads
    options = Options(
        defences=defences,
        partial=partial,
        inherit=inherit,
        permissive=permissive,
        desk=None if permissive else desk_option(),
        rereads=source_to_json(source) if wants_rereads else None,
    )
    events = event_log(
        log, to_stderr=to_stderr, line_file=line_file, to_syslog=to_syslog, hosts=hosts
    )
    try:
        attach(
            pid,
            policies,
            native().abis,
            options,
            events,
            lambda found: _tell(pid, found),
            kills=kills,
        )
    except Inexpressible as error:
        raise UserError(f"ptrace cannot enforce this policy: {error}; or take --partial") from None
    except LogUnwritable as error:
        raise UserError(f"{log or 'the log'}: {error.strerror}; nothing was attached") from None
    except (CannotAttach, LaunchError) as error:
        raise UserError(str(error)) from None
    click.echo(f"enforcer: no longer attached to {pid}", err=True)


def _tell(pid: int, found: Attached) -> None:
    """Every call is judged from now on; which ones were not."""
    for each in found.unjudged:
        how = "made again, and judged then" if each.is_made_again else "not judged"
        click.echo(printable(f"enforcer: {each.tid} was in {each.call}: {how}"), err=True)
    counts = f"{found.processes} processes, {found.tasks} tasks"
    click.echo(f"enforcer: attached to {pid}: {counts}; Ctrl-C lets go", err=True)
