"""Tokens of expressions, predicates and systrace rules, each with its place in the source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from enforcer.policy.ast import Position
from enforcer.policy.problem import character_name


class TokenKind(StrEnum):
    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True)
class Token:
    """`text` is the word, number or sign as written; of a STRING the unescaped content."""

    kind: TokenKind
    text: str
    position: Position

    def is_sign(self, *signs: str) -> bool:
        return self.kind is TokenKind.SIGN and self.text in signs

    def is_word(self, *words: str) -> bool:
        return self.kind is TokenKind.NAME and self.text in words

    def __str__(self) -> str:
        return "the end" if self.kind is TokenKind.END else f"`{self.text}`"


@dataclass(frozen=True)
class Fragment:
    """A piece of text with the place of every character, and of its end."""

    text: str
    places: Sequence[tuple[int, int]]

    def position(self, start: int, end: int) -> Position:
        """The place of text[start:end]; what crosses a line's end is cut there."""
        line, column = self.places[min(start, len(self.places) - 1)]
        last_line, last_column = self.places[max(start, end - 1)] if end > start else (line, column)
        return Position(line, column, last_column - column + 1 if last_line == line else 1)


def fragment_of(text: str, line: int = 1, column: int = 1) -> Fragment:
    """`text` as it stands at this place of its source."""
    places: list[tuple[int, int]] = []
    for character in text:
        places.append((line, column))
        line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
    return Fragment(text, [*places, (line, column)])


class SyntaxProblem(Exception):
    """The text cannot be read on from here."""

    def __init__(self, position: Position, message: str, mend: str = "") -> None:
        self.position = position
        self.message = message
        self.mend = mend
        super().__init__(message)


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
  | (?P<name>[_$A-Za-z](?:[A-Za-z0-9_.$]|-(?!>))*)
  | (?P<number>0[xX][0-9A-Fa-f]+|[0-9]++(?![A-Za-z_]))
  | (?P<sign>->|==|!=|<=|>=|[=<>()\[\],&|:-])
    """,
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(.)")
ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r"}


def tokenize(fragment: Fragment, *, any_escape: bool = False) -> list[Token]:
    """The tokens, END last. Raises SyntaxProblem at the first character that starts none.

    `any_escape`: a backslash before any other character goes, as in systrace (lex.l).
    """
    tokens: list[Token] = []
    text, start = fragment.text, 0
    while start < len(text):
        found = _TOKEN.match(text, start)
        if found is None:
            raise _unreadable(fragment, start)
        kind = found.lastgroup
        if kind == "string":
            content = _unescape(fragment, start, found.group(), any_escape=any_escape)
            tokens.append(Token(TokenKind.STRING, content, fragment.position(start, found.end())))
        elif kind != "space":
            tokens.append(
                Token(TokenKind(str(kind)), found.group(), fragment.position(start, found.end()))
            )
        start = found.end()
    end = len(text.rstrip())
    tokens.append(Token(TokenKind.END, "", fragment.position(end, end)))
    return tokens


def quote(text: str) -> str:
    """`text` as a string token."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


def _unescape(fragment: Fragment, start: int, quoted: str, *, any_escape: bool) -> str:
    def replace(found: re.Match[str]) -> str:
        known = ESCAPES.get(found.group(1), found.group(1) if any_escape else None)
        if known is None:
            place = start + 1 + found.start()
            raise SyntaxProblem(
                fragment.position(place, place + 2),
                f"unknown escape `{found.group()}` in a string",
                'known are \\\\ \\" \\n \\r; write \\\\ for one backslash',
            )
        return known

    return ESCAPE.sub(replace, quoted[1:-1])


def _unreadable(fragment: Fragment, start: int) -> SyntaxProblem:
    character = fragment.text[start]
    if character == '"':
        end = fragment.text.find("\n", start)
        place = fragment.position(start, len(fragment.text) if end < 0 else end)
        return SyntaxProblem(place, "this string has no end", 'close it with "')
    if character in _OTHER_QUOTES:
        return SyntaxProblem(
            fragment.position(start, start + 1), "strings stand in double quotes", 'write "..."'
        )
    place = fragment.position(start, start + 1)
    if character.isdigit():
        return SyntaxProblem(place, "this is not a number", "write 123 or 0x7b")
    named = "" if character.isascii() else f", {character_name(character)}"
    return SyntaxProblem(place, f"unexpected character {character!r}{named}")


_OTHER_QUOTES = frozenset("'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb")
