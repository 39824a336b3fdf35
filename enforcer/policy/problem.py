"""What is wrong with a policy text, with the place and the fix; all problems are told at once."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from enforcer.policy.ast import Position

SHOWN = 160
"""Of a longer line, how many characters are shown."""


class Severity(StrEnum):
    """An error keeps the policy from being loaded; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem. `text` is the source line it stands in, `length` how many columns it spans."""

    source: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR
    mend: str = ""
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        kind = "warning: " if self.severity is Severity.WARNING else ""
        place = f"{printable(self.source)}:{self.line}:{self.column}"
        lines = [f"{place}: {kind}{printable(self.message)}"]
        if self.text:
            lines += _pointed_at(self.text, self.column - 1, self.length)
        if self.mend:
            lines.append(f"    {printable(self.mend)}")
        return "\n".join(lines)


def printable(text: str) -> str:
    """The text with escapes for what a terminal obeys or does not show."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def character_name(character: str) -> str:
    """Code point and name, which tell apart what looks alike: `U+0430 CYRILLIC SMALL LETTER A`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _pointed_at(text: str, start: int, length: int) -> list[str]:
    """The part of a line around a place, and carets beneath it."""
    first = max(0, start - SHOWN // 2) if len(text) > SHOWN else 0
    part = text[first : first + SHOWN]
    before, marked = part[: start - first], part[start - first : start - first + length]
    shown = "".join(
        each if each.isprintable() else " " if each == "\t" else "\N{REPLACEMENT CHARACTER}"
        for each in part
    )
    missing = start - first - len(before)
    carets = " " * (_columns(before) + missing) + "^" * max(1, _columns(marked))
    return ["    " + shown, "    " + carets]


def _columns(text: str) -> int:
    """How wide a terminal shows the text."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


class PolicyError(Exception):
    """A policy that cannot be loaded; `problems` are in source order, each once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        once = dict.fromkeys(problems)
        self.problems = tuple(sorted(once, key=lambda each: (each.line, each.column)))
        super().__init__("\n".join(map(str, self.problems)))


class Problems:
    """Collects problems of one source text while parsing goes on."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self._lines = text.split("\n")
        self.found: list[Problem] = []

    def add(
        self,
        position: Position | None,
        message: str,
        mend: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Note a problem at `position`; None means the first line."""
        place = position or Position(1, 1)
        inside = 1 <= place.line <= len(self._lines)
        self.found.append(
            Problem(
                source=self.source,
                line=place.line,
                column=place.column,
                length=place.length,
                message=message,
                severity=severity,
                mend=mend,
                text=self._lines[place.line - 1].rstrip("\r") if inside else "",
            )
        )

    def raise_errors(self) -> None:
        """Raise PolicyError when an error was noted."""
        if any(problem.severity is Severity.ERROR for problem in self.found):
            raise PolicyError(self.found)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the known word nearest to `word`; empty when none is near.

    Near is a matter of edits: by the share of what is common, TIOCSTY is nearer to TIOCSCTTY than
    to TIOCSTI. A character beyond ASCII, which no known word has, is named.
    """
    near = sorted(
        difflib.get_close_matches(word, sorted(known), n=8), key=lambda each: _edits(word, each)
    )[:1]
    said = [f"`{each}` is {character_name(each)}" for each in word if not each.isascii()][:1]
    return "; ".join([*said, *(f"did you mean {each}?" for each in near)])


def _edits(word: str, other: str) -> int:
    """How many characters are changed, put in or left out."""
    matcher = difflib.SequenceMatcher(None, word, other, autojunk=False)
    return sum(
        max(end - start, other_end - other_start)
        for tag, start, end, other_start, other_end in matcher.get_opcodes()
        if tag != "equal"
    )
