"""`enforcer alarms`: who was refused what, out of logs of one or of many machines."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click

from enforcer.events import printable
from enforcer.logs.alarms import Groups, alarm_of, table

_LOOK_S = 0.2


@click.command("alarms")
@click.argument(
    "logs", nargs=-1, required=True, type=click.File(encoding="utf-8", errors="replace")
)
@click.option("--follow", "-F", is_flag=True, help="Keep running, and show each alarm as it comes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def alarms(logs: tuple[TextIO, ...], follow: bool, as_json: bool) -> None:
    """Show the refusals in LOGS: by host, program and rule, with how often and the last.

    LOGS are what `enforcer run` writes by --log, -e and -E, and syslog files that received them;
    `-` is standard input. A refusal for which there is no rule means that a program did what it
    was never seen to do when its policy was learned.
    """
    groups = Groups()
    for log in logs:
        for line in log:
            alarm = alarm_of(line)
            if alarm is not None:
                groups.add(alarm)
    for (host, program, rule), group in groups.found.items() if as_json else ():
        assert group.last is not None
        last = {"call": group.last.call, "subject": group.last.subject}
        found = {"host": host, "program": program, "rule": rule, "count": group.count, **last}
        click.echo(json.dumps(found))
    if not as_json:
        for line in table(groups):
            click.echo(printable(line))
        if not groups.found:
            click.echo("no refusals", err=True)
    if follow:
        for line in _lines(logs):
            alarm = alarm_of(line)
            if alarm is not None and as_json:
                click.echo(json.dumps(asdict(alarm)))
            elif alarm is not None:
                one = Groups()
                one.add(alarm)
                for shown in table(one):
                    click.echo(printable(shown))


command = alarms


def _lines(logs: tuple[TextIO, ...]) -> Iterator[str]:
    """Whole lines as they are written, of any of the logs."""
    followed = [_Followed(log) for log in logs]
    while True:
        for each in followed:
            yield from each.lines()
        time.sleep(_LOOK_S)


class _Followed:
    """A log that may be put away and begun anew under its name (logrotate(8)), or emptied."""

    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._begun = ""

    def lines(self) -> list[str]:
        """What is new and whole."""
        text = self._log.read()
        if not text and self._is_another():
            self._begun = ""
            text = self._log.read()
        *lines, self._begun = (self._begun + text).split("\n")
        return lines

    def _is_another(self) -> bool:
        """Whether the name leads to another file now, which is read then."""
        try:
            there, ours = os.stat(self._log.name), os.fstat(self._log.fileno())  # noqa: PTH116
        except OSError:
            return False
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            former, name = self._log, self._log.name
            self._log = Path(name).open(encoding="utf-8", errors="replace")  # noqa: SIM115
            former.close()
            return True
        if stat.S_ISREG(ours.st_mode) and ours.st_size < os.lseek(
            self._log.fileno(), 0, os.SEEK_CUR
        ):
            self._log.seek(0)
            return True
        return False
