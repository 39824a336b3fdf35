"""Words of a text with their places, and a reader that takes them one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from enforcer.condition import WORD
from enforcer.policy.ast import Position
from enforcer.policy.problem import Problems

_NUMBER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]{1,40})|0b([01]{1,80})|([0-9]{1,40}))\Z")
DEEPEST = 50
"""Parentheses within parentheses: more is no filter that anybody wrote."""


@dataclass(frozen=True)
class Word:
    """One word; `kind` is the name of the pattern that found it, empty at the end of the text."""

    kind: str
    text: str
    position: Position


class Stuck(Exception):
    """The text cannot be read on; why is among the problems."""


def words(pattern: re.Pattern[str], text: str, problems: Problems) -> Iterator[Word]:
    """The words of `text`; what is named SKIP or COMMENT is left out. Raises Stuck."""
    line, start, place = 1, 0, 0
    while place < len(text):
        found = pattern.match(text, place)
        if found is None or found.end() == place:
            message = f"`{text[place]}` means nothing here"
            if text.startswith("/*", place):
                message = "a comment that is not closed"
            problems.add(Position(line, place - start + 1), message)
            raise Stuck
        kind = found.lastgroup or ""
        if kind not in ("SKIP", "COMMENT"):
            yield Word(kind, found[0], Position(line, place - start + 1, len(found[0])))
        breaks = found[0].count("\n")
        if breaks:
            line += breaks
            start = place + found[0].rindex("\n") + 1
        place = found.end()
    yield Word("", "", Position(line, place - start + 1))


class Reader:
    """Takes words in order."""

    def __init__(self, found: list[Word], problems: Problems) -> None:
        self._words = found
        self.place = 0
        self.problems = problems

    @property
    def next(self) -> Word:
        return self._words[self.place]

    def take(self) -> Word:
        """The next word; the last one, which is empty, again and again."""
        word = self.next
        if word.kind:
            self.place += 1
        return word

    def accept(self, *texts: str) -> Word | None:
        """The next word if it is one of these."""
        return self.take() if self.next.kind and self.next.text in texts else None

    def expect(self, text: str, after: str = "") -> Word:
        """The next word, which must be this one. Raises Stuck."""
        word = self.accept(text)
        if word is None:
            self.fail(f"`{text}` is missing" + (f" after {after}" if after else ""))
        return word

    def fail(self, message: str, mend: str = "", at: Word | None = None) -> NoReturn:
        """Note a mistake at a word. Raises Stuck."""
        word = at or self.next
        found = f", not `{word.text[:40]}`" if word.text and at is None else ""
        self.problems.add(word.position, message + found, mend)
        raise Stuck

    def skip_past(self, *texts: str) -> None:
        """Go on behind the next of these words, or at the end."""
        while self.next.kind and self.take().text not in texts:
            pass


def parse_number(text: str, *, octal: bool = True) -> int | None:
    """A number in decimal, 0x, 0b or (with a leading zero) octal, as unsigned 64 bits."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    sign, hexadecimal, binary, decimal = found.groups()
    try:
        if hexadecimal:
            value = int(hexadecimal, 16)
        elif binary:
            value = int(binary, 2)
        else:
            value = int(decimal, 8 if octal and len(decimal) > 1 and decimal[0] == "0" else 10)
    except ValueError:
        return None
    value = -value if sign else value
    return value & WORD if -(1 << 63) <= value <= WORD else None


MOST_BYTES = 1 << 20


def included(path: Path, chain: Sequence[Path]) -> str:
    """The text of an included file; `chain` are the files by which one came to it.

    Raises OSError with the reason for one that cannot be read, or that is in the chain itself.
    """
    try:
        resolved = path.resolve()
        if resolved in {each.resolve() for each in chain}:
            ring = " -> ".join(each.name for each in (*chain, path))
            raise OSError(0, f"in a circle: {ring}; take one of them out")
        if not path.is_file():
            raise OSError(0, f"{'a directory' if path.is_dir() else 'no file'} at {resolved}")
        if path.stat().st_size > MOST_BYTES:
            raise OSError(0, "more than 1 MiB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OSError(0, "not UTF-8") from None
    except (ValueError, RuntimeError):
        raise OSError(0, "a zero byte, or links in a circle") from None
