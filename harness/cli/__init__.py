"""The command line of the laboratory: one module a verb, imported when it is called."""

from __future__ import annotations

from enum import IntEnum

import click

from enforcer.cli.verbs import INTERRUPTED, Verbs

VERBS = {
    "run": "harness.cli.run",
    "audit": "harness.cli.audit",
    "list": "harness.cli.listing",
    "explain": "harness.cli.explain",
    "repro": "harness.cli.repro",
    "launch": "harness.cli.launch",
    "defences": "harness.cli.defences",
    "report": "harness.cli.report",
    "doctor": "harness.cli.doctor",
    "new": "harness.cli.new",
    "vm": "harness.cli.vm",
    "bench": "harness.cli.bench",
    "fuzz": "harness.cli.fuzz",
    "completion": "harness.cli.completion",
    "manual": "harness.cli.manual",
}


class Status(IntEnum):
    """Exit statuses."""

    EXPECTED = 0
    UNEXPECTED = 1
    USAGE = 2
    BROKEN = 3
    INTERRUPTED = INTERRUPTED


class UserError(click.ClickException):
    """A mistake of the user's: the message says where, and what to do."""

    exit_code = Status.USAGE


class MachineError(click.ClickException):
    """This machine refused something: a full disk, a read-only directory."""

    exit_code = Status.BROKEN


@click.group(
    cls=Verbs,
    verbs=VERBS,
    failure=MachineError,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="interposition-lab", prog_name="harness")
@click.pass_context
def cli(context: click.Context) -> None:
    """A laboratory for system-call interposition.

    Does an enforcer really enforce a policy, on this kernel and architecture, against everything
    publicly known to defeat enforcers? Attack programs are run under real enforcers, each beside a
    control without one, a benign twin and a direct attempt, and are judged from outside.

    \b
    Start with:
      harness doctor                what this machine can test
      harness run --quick           the matrix, in about five minutes
      harness explain SCENARIO      what is attacked, how, and why a verdict came
      harness repro CASE            commands that run one case by hand
      harness new attack my-race    an attack of your own
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
