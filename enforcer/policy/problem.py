"""What is wrong with a policy text, with the place and the mend; all problems are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from enforcer.policy.ast import Position


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
        lines = [f"{self.source}:{self.line}:{self.column}: {kind}{self.message}"]
        if self.text:
            shown = self.text.expandtabs(1)
            width = max(1, min(self.length, len(shown) - self.column + 1))
            lines += [f"    {shown}", "    " + " " * (self.column - 1) + "^" * width]
        if self.mend:
            lines.append(f"    {self.mend}")
        return "\n".join(lines)


class PolicyError(Exception):
    """A policy that cannot be loaded; `problems` are in source order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: (each.line, each.column)))
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
    """`did you mean X?` for the known word nearest to `word`; empty when none is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
