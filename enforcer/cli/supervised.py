"""What `run`, `attach`, `ask` and `learn` share: mechanisms, plans, and who becomes the command."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from enforcer.arch import native
from enforcer.cli import UserError
from enforcer.events import EventLog, LogUnwritable
from enforcer.kernel.execve import find_command
from enforcer.mechanisms.contract import (
    Inexpressible,
    LaunchError,
    Mechanism,
    MechanismName,
    Options,
    Plan,
)
from enforcer.policy.ast import Policy
from enforcer.supervision.peers import socket_directory

CONSEQUENCES = {
    MechanismName.PTRACE: "all that it supervised was killed with it",
    MechanismName.NOTIFY: "the calls that it would judge fail now (ENOSYS)",
}
"""What becomes of a command whose supervisor is killed."""

SUPERVISED = tuple(CONSEQUENCES)

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_FAILED = 70


class NotFound(click.ClickException):
    """As a shell says it: the command does not exist."""

    exit_code = NOT_FOUND


class NotExecutable(click.ClickException):
    """As a shell says it: the command exists and cannot be executed."""

    exit_code = NOT_EXECUTABLE


def found_command(program: str) -> str:
    """Where a command is found as a shell finds it. Raises NotFound."""
    try:
        return find_command(program)
    except OSError as error:
        raise NotFound(f"{program}: {error.strerror}") from None


def usable_mechanism(backend: str) -> Mechanism:
    """The mechanism of that name. Raises UserError where this kernel lacks what it needs."""
    mechanism: Mechanism = importlib.import_module(f"enforcer.mechanisms.{backend}").MECHANISM
    lacking = mechanism.probe()
    if lacking:
        wants = "; ".join(f"{each.feature} ({each.mend})" for each in lacking)
        raise UserError(f"{backend} is not usable here, it lacks: {wants}")
    return mechanism


def compiled(mechanism: Mechanism, policies: Sequence[Policy], options: Options) -> Plan:
    """The plan. Raises UserError."""
    try:
        return mechanism.compile(policies, native().abis, options)
    except Inexpressible as error:
        raise UserError(
            f"{mechanism.name} cannot enforce this policy: {error}; "
            "take another backend, or --partial to run without what it cannot do"
        ) from None
    except ValueError as error:
        raise UserError(f"{mechanism.name}: {error}") from None


def launch(
    mechanism: Mechanism,
    plan: Plan,
    command: Sequence[str],
    log: EventLog,
    log_name: str = "the log",
) -> NoReturn:
    """Become the command. Raises UserError, NotFound, NotExecutable."""
    try:
        mechanism.launch(plan, command, log)
    except LaunchError as error:
        raise UserError(f"{mechanism.name}: {error}") from None
    except LogUnwritable as error:
        raise UserError(f"{log_name}: {error.strerror}; nothing was started") from None
    except OSError as error:
        kind = NotFound if error.errno == errno.ENOENT else NotExecutable
        raise kind(f"{command[0]}: {error.strerror}") from None


def begin(mechanism: Mechanism, plan: Plan, command: Sequence[str], log: EventLog) -> int:
    """The process that becomes the command; what goes wrong it says itself, by its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is where the descriptor came closed
            stream.flush()
    child = os.fork()
    if child:
        return child
    try:
        launch(mechanism, plan, command, log)
    except click.ClickException as error:
        error.show()
        os._exit(error.exit_code)
    finally:
        os._exit(_FAILED)


def desk_option(
    *, timeout_s: float = 60.0, expected: int | None = None
) -> dict[str, object] | None:
    """Options.desk: in the user's own directory; None where there can be none. See Desk."""
    try:
        directory = socket_directory()
    except OSError:
        return None
    return {"directory": str(directory), "timeout_s": timeout_s, "expected": expected}
