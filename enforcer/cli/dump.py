"""`enforcer dump`: the filters of a running process."""

from __future__ import annotations

from pathlib import Path

import click

from enforcer.cbpf.instruction import assemble
from enforcer.cbpf.listing import listing
from enforcer.cli import UserError
from enforcer.filters.process import read_process
from enforcer.policy.problem import PolicyError


@click.command("dump")
@click.option("--pid", type=click.IntRange(min=1), required=True, help="The process (or thread).")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the newest filter there, compiled (FILE.bpf), and the older ones to FILE.1.bpf...",
)
def command(pid: int, output: Path | None) -> None:
    """Print the seccomp filters of a running process, the newest first.

    The process is stopped while they are read. Needs CAP_SYS_ADMIN.
    """
    try:
        found = read_process(pid)
    except PolicyError as error:
        raise UserError(str(error)) from None
    for place, program in enumerate(found.programs):
        if output is None:
            if place:
                click.echo()
            click.echo(f"filter {place + 1} of {len(found.programs)}:")
            click.echo(listing(program, big_endian=found.big_endian), nl=False)
            continue
        path = output if place == 0 else output.with_suffix(f".{place}{output.suffix}")
        path.write_bytes(assemble(program, big_endian=found.big_endian))
        click.echo(f"{path}: {len(program)} instructions")
