"""`enforcer run --permissive`: nothing is refused, and rules are proposed at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from enforcer.cli.supervised import begin
from enforcer.events import EventLog, printable
from enforcer.learning.recording import Recording
from enforcer.learning.rules import proposed
from enforcer.learning.session import Session
from enforcer.mechanisms.contract import Mechanism, Plan


def tolerate(mechanism: Mechanism, plan: Plan, command: Sequence[str], log: EventLog) -> int:
    """Run the command, then print the rules that would have let it; its exit status.

    On standard error, in systrace's language: the lines of a policy for each binary.
    """
    reader, writer = os.pipe()
    child = begin(mechanism, plan, command, Recording(writer, log, only_refused=True))
    os.close(writer)
    session = Session(child, reader, lambda partial: None)
    ending = session.run()
    for program in session.seen.programs():
        rules = proposed(session.seen.of(program))
        click.echo(f"enforcer: {program} would be refused; to permit it:", err=True)
        click.echo(f"Policy: {program}, Emulation: native", err=True)
        for line in rules:
            click.echo(printable(line.replace("\t", "    ", 1)), err=True)
    if not session.seen.observations:
        click.echo("enforcer: nothing would be refused", err=True)
    return ending.status
