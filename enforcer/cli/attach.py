"""`enforcer attach`: a process that runs already, and its descendants, under a policy."""

from __future__ import annotations

import sys

import click

from enforcer.arch import native
from enforcer.cli import UNWRITTEN, UserError
from enforcer.cli.enforcement import Enforcement, enforcement_options
from enforcer.cli.logs import LogChoice, log_options
from enforcer.cli.permissive import tolerated
from enforcer.cli.policies import policy_options, read_policies
from enforcer.cli.supervised import usable_mechanism
from enforcer.events import LogUnwritable, printable
from enforcer.logs.herald import Herald
from enforcer.logs.several import several
from enforcer.logs.voice import Voice
from enforcer.mechanisms.contract import Inexpressible, LaunchError, MechanismName
from enforcer.mechanisms.ptrace.attached import Attached
from enforcer.mechanisms.ptrace.attaching import attach
from enforcer.mechanisms.ptrace.tree import CannotAttach
from enforcer.policy.directory import Source


@click.command("attach")
@policy_options
@enforcement_options
@click.option(
    "--exitkill",
    "kills",
    is_flag=True,
    help="Kill the processes when this command is killed. Default: they go on unsupervised.",
)
@log_options
@click.argument("pid", type=click.IntRange(min=1))
def command(
    source: Source, enforcement: Enforcement, kills: bool, logs: LogChoice, pid: int
) -> None:
    """Supervise process PID, its threads and its descendants from now on.

    By ptrace without a filter: every call stops twice, so this is slower than `run`. Ctrl-C (or
    SIGTERM) lets go of them: they run on as before, unsupervised. Calls that they are in when they
    are attached are named; what the kernel makes again is judged then.
    """
    policies = read_policies(source, "PROGRAM")
    usable_mechanism(MechanismName.PTRACE)
    options = enforcement.options(source)
    voice = Voice()
    fate = "was killed with it" if kills else "goes on unsupervised"
    herald = Herald(voice, f"what was attached to ({pid}) {fate}", outlives=True)
    events = several([*logs.opened(voice), herald])
    propose = None
    if options.permissive:
        events, propose = tolerated(events)
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
        raise UserError(f"{logs.name()}: {error.strerror}; nothing was attached") from None
    except (CannotAttach, LaunchError) as error:
        raise UserError(str(error)) from None
    click.echo(f"enforcer: no longer attached to {pid}", err=True)
    if propose is not None:
        propose()
    if voice.has_lost:
        sys.exit(UNWRITTEN)


def _tell(pid: int, found: Attached) -> None:
    """Every call is judged from now on; which ones were not."""
    for each in found.unjudged:
        how = "made again, and judged then" if each.is_made_again else "not judged"
        click.echo(printable(f"enforcer: {each.tid} was in {each.call}: {how}"), err=True)
    counts = f"{_counted(found.processes, 'process')}, {_counted(found.tasks, 'task')}"
    click.echo(f"enforcer: attached to {pid}: {counts}; Ctrl-C lets go", err=True)


def _counted(count: int, word: str) -> str:
    plural = word + ("es" if word.endswith("s") else "s")
    return f"{count} {word if count == 1 else plural}"
