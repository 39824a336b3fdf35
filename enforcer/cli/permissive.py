"""`--permissive`: nothing is refused, and rules are proposed at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import click

from enforcer.cli.supervised import begin
from enforcer.events import EventLog, printable
from enforcer.learning.observation import Seen
from enforcer.learning.recording import Recording
from enforcer.learning.rules import proposed
from enforcer.learning.session import Session
from enforcer.learning.transcript import Transcript
from enforcer.logs.voice import Voice
from enforcer.mechanisms.contract import Mechanism, Plan


def tolerate(
    mechanism: Mechanism, plan: Plan, command: Sequence[str], log: EventLog, voice: Voice
) -> int:
    """Run the command, then propose rules; its exit status."""
    reader, writer = os.pipe()
    recording = Recording(writer, log, voice=voice, only_refused=True)
    child = begin(mechanism, plan, command, recording)
    os.close(writer)
    session = Session(child, reader, lambda partial: None)
    ending = session.run()
    propose(session.seen, is_whole=not ending.is_partial)
    return ending.status


def tolerated(log: EventLog) -> tuple[EventLog, Callable[[], None]]:
    """The log of a supervisor in this process, and what proposes the rules when that has ended."""
    file = os.memfd_create("tolerated")

    def at_end() -> None:
        os.lseek(file, 0, os.SEEK_SET)
        transcript = Transcript()
        while data := os.read(file, 1 << 20):
            transcript.take(data)
        propose(transcript.seen)

    return Recording(file, log, only_refused=True), at_end


def propose(seen: Seen, *, is_whole: bool = True) -> None:
    """The rules that would have let a command do what it did, on standard error.

    In systrace's language: the lines of a policy for each binary.
    """
    for program in seen.programs():
        click.echo(f"enforcer: {program} would be refused; to permit it:", err=True)
        click.echo(f"Policy: {program}, Emulation: native", err=True)
        for line in proposed(seen.of(program)):
            click.echo(printable(line.replace("\t", "    ", 1)), err=True)
    if not seen.observations and is_whole:
        click.echo("enforcer: nothing would be refused", err=True)
