"""Man pages: one for every command, with every option that it has."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from enforcer.cli import cli as enforcer
from harness.cli import cli as harness


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pages") / "man1"
    said = CliRunner().invoke(harness, ["manual", str(directory)])
    assert said.exit_code == 0, said.output
    return directory


@pytest.mark.parametrize(("name", "group"), [("harness", harness), ("enforcer", enforcer)])
def test_every_command_has_a_page(pages: Path, name: str, group: click.Group) -> None:
    """Also those below others; a page has the options of its command and their help."""
    context = click.Context(group, info_name=name)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        page = (pages / f"{name}-{word}.1").read_text()
        plain = page.replace("\\-", "-").replace("\\", "")
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in plain
                first = re.split(r"[`'.]", parameter.help or "")[0]
                assert first in plain
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                assert (pages / f"{name}-{word}-{below}.1").exists()


def test_a_page_names_its_program(pages: Path) -> None:
    """As man(7) wants it: a title and the sections NAME, SYNOPSIS and OPTIONS."""
    page = (pages / "harness-run.1").read_text()
    assert page.startswith('.TH "HARNESS RUN" "1"')
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"):
        assert f".SH {section}" in page
