"""How far a POSIX extended regular expression has come in a text whose end is not known yet.

Python's `re` cannot say it. So the expression becomes the usual automaton (Thompson, 1968), whose
states after a beginning tell everything about what may follow.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from enforcer.policy.patterns import translate_ere

_MOST_STATES = 4096
_MOST_KNOWN = 1024
_UNIT = re.compile(r"\\.|\[\^?\]?(?:\[:.*?:\]|[^\]])*\]|\{[^}]*\}|.", re.DOTALL)


class TooLarge(Exception):
    """The automaton would have too many states."""


class _Part(NamedTuple):
    """A piece of the automaton: where it begins, and the state behind it."""

    first: int
    last: int


class States:
    """One expression, as `re.search` of `translate_ere` takes it. Raises TooLarge."""

    def __init__(self, pattern: str) -> None:
        self._steps: list[tuple[str, int] | None] = []
        self._empty: list[list[int]] = []
        self._only_first: set[int] = set()
        self._only_last: set[int] = set()
        self._units: list[str] = _UNIT.findall(pattern)
        self._place = 0
        part = self._choice()
        self._start, self._end = part
        self._live = self._leading_to_end()
        self._behind: dict[str, set[int]] = {}

    def after(self, text: str) -> frozenset[int] | bool:
        """What is known behind `text`: True: found whatever follows; False: never; else states.

        Equal states mean that whatever follows decides the same.
        """
        directory = text[: text.rfind("/", 0, -1) + 1]
        known = self._behind.get(directory)
        if known is None:
            if len(self._behind) >= _MOST_KNOWN:
                self._behind.clear()
            known = self._moved(self._closed({self._start}, is_first=True), directory)
            self._behind[directory] = known
        states = self._moved(known, text[len(directory) :])
        if self._end in states:
            return True
        return frozenset(states & self._live) or False

    def _moved(self, states: set[int], text: str) -> set[int]:
        """The states behind `text`; once the end is among them it stays."""
        for character in text:
            if self._end in states:
                break
            moved = {self._start}
            for state in states:
                step = self._steps[state]
                if step is not None and _fits(step[0], character):
                    moved.add(step[1])
            states = self._closed(moved, is_first=False)
        return states

    def _closed(self, states: set[int], *, is_first: bool) -> set[int]:
        """The states that can be come to from these without a character of the text."""
        todo, found = list(states), set(states)
        while todo:
            state = todo.pop()
            if state in self._only_last or (state in self._only_first and not is_first):
                continue
            for further in self._empty[state]:
                if further not in found:
                    found.add(further)
                    todo.append(further)
        return found

    def _leading_to_end(self) -> set[int]:
        before: dict[int, list[int]] = {}
        for state, (step, empty) in enumerate(zip(self._steps, self._empty, strict=True)):
            if state in self._only_first:
                continue  # text was read before: no beginning is to come any more
            for further in (*empty, *(() if step is None else (step[1],))):
                before.setdefault(further, []).append(state)
        found, todo = {self._end}, [self._end]
        while todo:
            for state in before.get(todo.pop(), ()):
                if state not in found:
                    found.add(state)
                    todo.append(state)
        return found

    def _state(self) -> int:
        if len(self._steps) >= _MOST_STATES:
            raise TooLarge
        self._steps.append(None)
        self._empty.append([])
        return len(self._steps) - 1

    def _peek(self) -> str:
        return self._units[self._place] if self._place < len(self._units) else ""

    def _choice(self) -> _Part:
        part = self._sequence()
        while self._peek() == "|":
            self._place += 1
            other = self._sequence()
            first, last = self._state(), self._state()
            self._empty[first] += [part.first, other.first]
            self._empty[part.last].append(last)
            self._empty[other.last].append(last)
            part = _Part(first, last)
        return part

    def _sequence(self) -> _Part:
        first = last = self._state()
        while self._peek() not in ("", "|", ")"):
            begin = self._place
            part = self._repeated(begin)
            self._empty[last].append(part.first)
            last = part.last
        return _Part(first, last)

    def _repeated(self, begin: int) -> _Part:
        """One unit or group, with what may stand behind it: `*`, `+`, `?` or `{n,m}`."""
        part = self._single()
        behind = self._peek()
        if behind[:1] not in ("*", "+", "?", "{") or not behind:
            return part
        end = self._place + 1
        least, most = _bounds(behind)
        first = last = self._state()
        for count in range(least if most is None else most):
            if count or least == 0:
                self._place = begin
                part = self._single()
            self._empty[last].append(part.first)
            if count >= least:
                self._empty[last].append(part.last)
            last = part.last
        if most is None:
            self._place = begin
            loop, again = self._state(), self._single()
            self._empty[last].append(loop)
            self._empty[loop].append(again.first)
            self._empty[again.last].append(loop)
            last = loop
        self._place = end
        return _Part(first, last)

    def _single(self) -> _Part:
        unit = self._peek()
        self._place += 1
        if unit == "(":
            part = self._choice()
            self._place += 1
            return part
        first, last = self._state(), self._state()
        if unit in ("^", "$"):
            (self._only_first if unit == "^" else self._only_last).add(first)
            self._empty[first].append(last)
        else:
            self._steps[first] = (unit, last)
        return _Part(first, last)


def _bounds(behind: str) -> tuple[int, int | None]:
    """How often a unit is repeated at least and at most (None: without end)."""
    if behind == "*":
        return 0, None
    if behind == "+":
        return 1, None
    if behind == "?":
        return 0, 1
    least, comma, most = behind[1:-1].partition(",")
    if not comma:
        return int(least), int(least)
    return int(least), int(most) if most else None


@cache
def _unit_test(unit: str) -> re.Pattern[str]:
    return re.compile(translate_ere(unit))


@cache
def _fits(unit: str, character: str) -> bool:
    return _unit_test(unit).fullmatch(character) is not None
