"""Where `enforcer run` says what it refused: options and the logs that they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from enforcer.cli import UserError
from enforcer.events import EventLog, FileLog, NullLog, TextLog
from enforcer.logs.line import SystraceLog
from enforcer.logs.several import Several
from enforcer.logs.syslog import LOCAL, Host, LocalSyslog, RemoteSyslog, parse_host

Command = TypeVar("Command", bound=Callable[..., object])

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


def log_options(command: Command) -> Command:
    """The options that `event_log` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def event_log(
    log: Path | None,
    *,
    to_stderr: bool = False,
    line_file: Path | None = None,
    to_syslog: bool = False,
    hosts: tuple[Host, ...] = (),
) -> EventLog:
    """What the options mean; without any the system log, where there is one. Raises UserError."""
    logs: list[EventLog] = []
    if log is not None:
        logs.append(_file_log(log))
    if to_stderr or str(line_file) == "-":
        logs.append(SystraceLog(sys.stderr.fileno()))
    if line_file is not None and str(line_file) != "-":
        logs.append(SystraceLog(_opened(line_file)))
    logs += map(RemoteSyslog, hosts)
    if to_syslog or (not logs and LOCAL.is_socket()):
        logs.append(LocalSyslog())
    if not logs:
        return NullLog()
    return logs[0] if len(logs) == 1 else Several(logs)


def _file_log(path: Path) -> EventLog:
    if str(path) == "-":
        return TextLog(sys.stderr.fileno())
    descriptor = _opened(path)
    return TextLog(descriptor) if os.isatty(descriptor) else FileLog(descriptor)


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
