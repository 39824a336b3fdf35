"""`enforcer learn`: a command is watched, and policies are written that permit what it did."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

import click

from enforcer.arch import native
from enforcer.cli import UNWRITTEN, UserError
from enforcer.cli.supervised import (
    CONSEQUENCES,
    SUPERVISED,
    begin,
    compiled,
    found_command,
    usable_mechanism,
)
from enforcer.events import printable
from enforcer.learning.learner import Learner, Review
from enforcer.learning.policy import watching_policy
from enforcer.learning.recording import Recording
from enforcer.learning.review import review
from enforcer.learning.session import Session
from enforcer.learning.store import PolicyStore, user_directory
from enforcer.learning.summary import summary
from enforcer.logs.herald import Herald
from enforcer.logs.voice import Voice
from enforcer.mechanisms.contract import Extent, Mechanism, MechanismName, Options
from enforcer.policy.load import process_variables
from enforcer.policy.problem import PolicyError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


def parse_duration(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    """`90`, `90s`, `1.5m`, `2h`: seconds. Raises click.BadParameter."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no duration; write 90, 90s, 1.5m or 2h")
    return float(found[1]) * _SECONDS[found[2]]


@click.command("learn", context_settings={"ignore_unknown_options": True})
@click.option(
    "--backend",
    "-b",
    type=click.Choice([name.value for name in SUPERVISED]),
    default=MechanismName.PTRACE.value,
    show_default=True,
)
@click.option(
    "--directory",
    "-d",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the policies are, and are written; left out: ~/.systrace.",
)
@click.option(
    "--generalise",
    is_flag=True,
    help="Turn names that differ in every run into patterns, and show what each stands for: "
    "temporary names, process ids, numbered ports, the home directory, versions of libraries.",
)
@click.option("--review", "is_reviewed", is_flag=True, help="Ask about each rule before writing.")
@click.option(
    "--summary", "is_summed", is_flag=True, help="Show how often each program called what."
)
@click.option(
    "--time",
    "limit_s",
    callback=parse_duration,
    metavar="TIME",
    help="End the command after this time: 90s, 5m.",
)
@click.option(
    "--save-every",
    "save_every_s",
    callback=parse_duration,
    metavar="TIME",
    help="Write policies while it runs, too.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def learn(
    backend: str,
    directory: Path | None,
    generalise: bool,
    is_reviewed: bool,
    is_summed: bool,
    limit_s: float | None,
    save_every_s: float | None,
    command: tuple[str, ...],
) -> NoReturn:
    """Run COMMAND, permit everything, and write policies that permit what was seen.

    One file for each binary that was executed, named as systrace named it (usr_sbin_inetd); under
    notify, which keeps COMMAND's policy for all that this executes, one for all of it. What
    such a file has already stays, and new rules come behind. They are written when the command has
    ended, at SIGUSR1, and when this is interrupted; a policy of a recording that was cut short says
    so. The exit status is the command's own; 3 where a policy could not be written.
    """
    program = found_command(command[0])
    mechanism = usable_mechanism(backend)
    sees_executions = backend == MechanismName.PTRACE
    watching = watching_policy(sees_interpreters=sees_executions)
    plan = compiled(mechanism, [watching], Options())
    home = process_variables().get("HOME", "")
    store = PolicyStore((directory or user_directory()).absolute())
    _make(store.directory)
    reader, writer = os.pipe()
    voice = Voice()
    herald = Herald(voice, CONSEQUENCES[MechanismName(backend)])
    child = begin(mechanism, plan, command, Recording(writer, herald, voice=voice))
    os.close(writer)
    session = Session(
        child,
        reader,
        lambda partial: learner.save(partial),
        save_every_s=save_every_s,
        limit_s=limit_s,
        under=None if sees_executions else os.path.realpath(program),
    )
    learner = Learner(
        seen=session.seen,
        store=store,
        say=say,
        home=home,
        is_general=generalise,
        review=reviewing() if is_reviewed else None,
    )
    ending = session.run()
    if session.seen.observations:
        learner.write(ending.is_partial)
        if ending.is_partial:
            say(f"the recording was cut short: the policies in {store.directory} are partial")
        learner.hints()
        _tell_cover(mechanism, store, session.seen.programs())
    if is_summed:
        for line in summary(session.seen.counts):
            click.echo(line)
    sys.exit(ending.status or (UNWRITTEN if learner.has_failed else 0))


command = learn


def _make(directory: Path) -> None:
    """Before anything is recorded that could not be written. Raises UserError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; nothing was started") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UserError(f"{directory} is not writable; nothing was started")


def _tell_cover(mechanism: Mechanism, store: PolicyStore, programs: Iterable[str]) -> None:
    """Why the mechanism takes what was learned only with --partial."""
    for program in programs:
        try:
            policy = store.policy(program)
        except (PolicyError, OSError, UnicodeDecodeError):  # said when it was to be written
            continue
        covers = [] if policy is None else mechanism.cover(policy, native().abis)
        calls: dict[str, list[str]] = {}
        for reason in sorted({each.reason for each in covers if each.extent is not Extent.FULL}):
            why, _, call = reason.rpartition(": ")
            calls.setdefault(why, []).append(call)
        for why, names in calls.items():
            say(f"{program}: {mechanism.name} takes it with --partial: {', '.join(names)}: {why}")


def say(line: str) -> None:
    """A line for the person, beside the command's own output."""
    click.echo(f"enforcer: {printable(line)}", err=True)


def reviewing() -> Review:
    """The person at the terminal, also where standard input is the command's."""
    answers: TextIO = sys.stdin
    with suppress(OSError):
        if not sys.stdin.isatty():
            answers = Path("/dev/tty").open(encoding="utf-8")  # noqa: SIM115 (until the end)
    return lambda binary, rules: review(binary, rules, answers, sys.stderr)
