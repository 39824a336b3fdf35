"""The command lines that the texts give are understood by the commands that they call."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from enforcer.cli import cli as enforcer
from harness import tree
from harness.cli import cli as harness

PROGRAMS = {"harness": harness, "enforcer": enforcer}
TEXTS = sorted(
    path for place in (".", "docs", "attacks") for path in (tree.OWN / place).glob("*.md")
)
NUMBERS = ("CAMPAIGN", "N")
"""What stands for a number of the reader's."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"^    +((?:harness|enforcer) .*)$", re.MULTILINE)
_INLINE = re.compile(r"`((?:harness|enforcer) [^`]+)`")
EXCUSED = ("does not exist", "Missing argument", "Missing option")
"""Texts speak of files of the reader's, and of commands by their names alone."""


def command_lines(path: Path) -> Iterator[str]:
    """What follows a prompt: in blocks of shell, in indented lines, and within sentences."""
    text = path.read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        joined = block.replace("\\\n", " ")
        yield from (line for line in joined.splitlines() if line.startswith(tuple(PROGRAMS)))
    rest = _BLOCK.sub("", text)
    yield from _INDENTED.findall(rest)
    yield from (line.replace("\n", " ") for line in _INLINE.findall(rest))


LINES = [(path.name, line) for path in TEXTS for line in dict.fromkeys(command_lines(path))]


def words_of(line: str) -> list[str]:
    """The words of the first command: without a comment, a prose gap, a pipe or a redirection."""
    line = re.split(r"  +(?=[a-z#])|\s#\s", line)[0]
    line = re.sub(r"\[(--[^\]]*)\]", r"\1", line.replace("...", ""))
    words = ["1" if word in NUMBERS else word for word in shlex.split(line, comments=True)]
    end = next((at for at, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    return words[:end]


@pytest.mark.parametrize(("text", "line"), LINES, ids=[f"{text}: {line}" for text, line in LINES])
def test_a_command_line_is_understood(text: str, line: str) -> None:
    """Every command, option and choice exists; what it names need not."""
    program, *words = words_of(line)
    said = wrong_with(PROGRAMS[program], program, words)
    assert said is None or any(each in said for each in EXCUSED), f"{text}: {line}: {said}"


def wrong_with(
    command: click.Command, name: str, words: list[str], parent: click.Context | None = None
) -> str | None:
    """What the program would say of the words if it parsed them; nothing is carried out."""
    context = click.Context(command, info_name=name, parent=parent)
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(context, words[0])
        if below is None:
            return f"no such command {words[0]!r}"
        return wrong_with(below, words[0], words[1:], context)
    try:
        command.make_context(name, words, parent=parent)
    except click.exceptions.Exit:
        return None
    except click.UsageError as error:
        return error.format_message()
    return None


def test_the_texts_have_command_lines() -> None:
    """A pattern that finds nothing would prove nothing."""
    assert {"README.md", "vm.md", "fuzzing.md"} <= {text for text, _ in LINES}
    assert len(LINES) > 40
