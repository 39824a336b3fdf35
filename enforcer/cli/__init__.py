"""The command line of the enforcer: one module a verb, imported when it is called."""

from __future__ import annotations

import click

from enforcer.cli.verbs import Verbs

VERBS = {
    "run": "enforcer.cli.run",
    "attach": "enforcer.cli.attach",
    "ask": "enforcer.cli.ask",
    "status": "enforcer.cli.status",
    "top": "enforcer.cli.top",
    "learn": "enforcer.cli.learn",
    "alarms": "enforcer.cli.alarms",
    "check": "enforcer.cli.check",
    "explain": "enforcer.cli.explain",
    "convert": "enforcer.cli.convert",
    "audit": "enforcer.cli.audit",
    "diff": "enforcer.cli.diff",
    "export": "enforcer.cli.export",
    "dump": "enforcer.cli.dump",
}
USAGE = 2
UNPROVEN = 3
"""Nothing was found, but not all could be looked at."""
UNWRITTEN = 3
"""It is done, but what it should have left behind (a log, a policy) is not whole."""


class UserError(click.ClickException):
    """A mistake of the user's: the message says where, and what to do."""

    exit_code = USAGE


form_option = click.option(
    "--dialect",
    "form",
    type=click.Choice(["systrace", "yaml", "docker", "minijail", "kafel", "systemd", "bpf"]),
    help="The format of the file, where its name does not tell: <(...), /dev/stdin.",
)


@click.group(
    cls=Verbs,
    verbs=VERBS,
    failure=UserError,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="interposition-lab", prog_name="enforcer")
@click.pass_context
def cli(context: click.Context) -> None:
    """Confine programs by policies over their system calls.

    \b
    Start with:
      enforcer check FILE                             is this policy in order?
      enforcer explain FILE CALL ARGS...              which rule decides, and why
      enforcer run --backend ptrace --policy FILE -- ls /tmp
      enforcer learn -- ls /tmp                       write a policy that permits what was seen
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
