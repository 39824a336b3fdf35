"""Where `run`, `attach` and `ask` say what was refused: options and the logs that they mean."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from enforcer.cli import UserError
from enforcer.cli.packed import packed
from enforcer.events import EventLog, FileLog, TextLog
from enforcer.logs.first import FirstRefusal
from enforcer.logs.line import SystraceLog
from enforcer.logs.syslog import Host, LocalSyslog, RemoteSyslog, parse_host
from enforcer.logs.voice import LOCAL, LogComplaint, Voice

_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


def _hosts(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[Host, ...]:
    try:
        return tuple(map(parse_host, value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_OPTIONS = (
    click.option(
        "--log",
        "json_file",
        type=_FILE,
        help="Append events to this file, one JSON object a line; a terminal gets lines for "
        "people, and so does `-`, standard error.",
    ),
    click.option("-e", "to_stderr", is_flag=True, help="systrace's lines to standard error."),
    click.option("-E", "line_file", type=_FILE, help="systrace's lines appended to this file."),
    click.option("--syslog", "to_syslog", is_flag=True, help="systrace's lines to the system log."),
    click.option(
        "--syslog-to",
        "hosts",
        multiple=True,
        callback=_hosts,
        metavar="udp://HOST:PORT",
        help="The same to a central host, by RFC 5424; also tcp://HOST:PORT. May be repeated.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class LogChoice:
    """The logs that the options name."""

    json_file: Path | None = None
    to_stderr: bool = False
    line_file: Path | None = None
    to_syslog: bool = False
    hosts: tuple[Host, ...] = ()

    def opened(self, voice: Voice, *, is_attended: bool = False) -> list[EventLog]:
        """Without any option the system log, where there is one.

        Where there is none the first refusal is said, unless a person answers anyway
        (`is_attended`). Raises UserError.
        """
        logs: list[EventLog] = []
        if self.json_file is not None:
            logs.append(_file_log(self.json_file, voice))
        if self.to_stderr or str(self.line_file) == "-":
            logs.append(SystraceLog(sys.stderr.fileno()))
        if self.line_file is not None and str(self.line_file) != "-":
            complaint = LogComplaint(voice, str(self.line_file))
            logs.append(SystraceLog(_opened(self.line_file), complaint))
        logs += [RemoteSyslog(host, LogComplaint(voice, str(host))) for host in self.hosts]
        if self.to_syslog or (not logs and LOCAL.is_socket()):
            logs.append(LocalSyslog(LOCAL, LogComplaint(voice, str(LOCAL))))
        return logs or ([] if is_attended else [FirstRefusal(voice)])

    def name(self) -> str:
        """For a message about them."""
        return str(self.json_file or self.line_file or "the log")


def _file_log(path: Path, voice: Voice) -> EventLog:
    if str(path) == "-":
        return TextLog(sys.stderr.fileno())
    descriptor = _opened(path)
    kind = TextLog if os.isatty(descriptor) else FileLog
    return kind(descriptor, LogComplaint(voice, str(path)))


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


log_options = packed(
    "logs", LogChoice, _OPTIONS, ("json_file", "to_stderr", "line_file", "to_syslog", "hosts")
)
"""The options that make a LogChoice, `logs`."""
