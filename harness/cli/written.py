"""What `harness run` writes for other programs, to a file or to standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harness.report.lines import json_line
from harness.results import Row

STANDARD_OUTPUT = Path("-")


def write_junit(path: Path, text: str) -> None:
    if path == STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        path.write_text(text, encoding="utf-8")


@contextmanager
def lines(path: Path | None) -> Iterator[Callable[[Row], None]]:
    """Writes one line a result, at once."""
    if path is None:
        yield lambda row: None
        return
    # Without a buffer, that a full disk is an error of its line and not of the closing.
    name = 1 if path == STANDARD_OUTPUT else path
    with open(name, "wb", buffering=0, closefd=name != 1) as stream:

        def write(row: Row) -> None:
            data = f"{json_line(row)}\n".encode()
            while data:
                data = data[stream.write(data) :]

        yield write
