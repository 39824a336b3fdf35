"""`harness completion`: completion of the command line for the user's shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from harness.cli import UserError

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--program", type=click.Choice(["harness", "enforcer"]), default="harness")
def command(shell: str, program: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  harness completion bash >> ~/.bashrc
    zsh:   harness completion zsh >> ~/.zshrc
    fish:  harness completion fish > ~/.config/fish/completions/harness.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise UserError(f"no completion for {shell}")
    from enforcer.cli import cli as enforcer
    from harness.cli import cli as harness

    group = harness if program == "harness" else enforcer
    variable = f"_{program.upper()}_COMPLETE"
    click.echo(found(group, {}, program, variable).source())
