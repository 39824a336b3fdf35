"""What `enforcer` and `harness` share: one module a verb, errors of a line, and Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import NoReturn

import click

INTERRUPTED = 130
"""As shells say it: 128 and SIGINT."""


class Verbs(click.Group):
    """Commands by name, in the order in which one needs them, imported when they are called.

    `verbs` has the module of each, whose `command` it is; `failure` is raised with one line for
    what the system refused and no command expected.
    """

    def __init__(
        self,
        *args: object,
        verbs: Mapping[str, str],
        failure: type[click.ClickException],
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._verbs = verbs
        self._failure = failure

    def main(self, *args: object, **kwargs: object) -> NoReturn:
        """What a command printed is written before Python ends: that would tell what fails then in
        its own way, with status 120.
        """
        try:
            super().main(*args, **kwargs)  # type: ignore[call-overload]
        except SystemExit as end:
            if sys.stdout is not None and (error := _unwritten()):
                if not end.code and error.errno != errno.EPIPE:
                    self._failure(f"standard output: {error.strerror}").show()
                end.code = end.code or self._failure.exit_code
            raise
        raise AssertionError("a command ends by SystemExit")

    def make_context(self, *args: object, **kwargs: object) -> click.Context:
        """As `invoke`: while modules are loaded, words are read or help is shown."""
        with self._one_line():
            return super().make_context(*args, **kwargs)  # type: ignore[arg-type]

    def invoke(self, ctx: click.Context) -> object:
        """Any other error of the system's is one line with its file, Ctrl-C is none."""
        with self._one_line():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        """Raises `failure`."""
        try:
            yield
        except KeyboardInterrupt:
            interrupted()
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise self._failure(f"{where}{error.strerror or error}") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        command: click.Command = importlib.import_module(self._verbs[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from enforcer.policy.problem import suggestion

            fix = suggestion(args[0], self._verbs)
            raise click.UsageError(f"{error.message} {fix}".rstrip(), ctx) from None


def interrupted() -> NoReturn:
    """Ends a command at Ctrl-C without a word of Python's: the terminal shows ^C already."""
    sys.exit(INTERRUPTED)


def _unwritten() -> OSError | None:
    """Why standard output does not take what it was given, if so; that is gone then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def call(cli: click.Group, name: str) -> NoReturn:
    """The console script `name`; from here on Ctrl-C raises KeyboardInterrupt (see __main__)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli(prog_name=name)
    raise AssertionError("a command ends by SystemExit")
