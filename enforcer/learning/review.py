"""A person goes through the proposed rules, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TextIO

from enforcer.events import printable
from enforcer.policy.ast import Rule

HELP = "y: permit, n: leave out, a: permit this and the rest, q: leave out this and the rest"


def review(
    binary: str, rules: Mapping[str, Rule], answers: TextIO, questions: TextIO
) -> dict[str, Rule]:
    """The rules that were accepted. The end of the answers leaves out the rest."""
    if rules:
        questions.write(f"{HELP}\n")
    kept: dict[str, Rule] = {}
    left = iter(rules.items())
    for number, (line, rule) in enumerate(left, 1):
        match _answer(f"{binary} {number}/{len(rules)}", line.strip(), answers, questions):
            case "y":
                kept[line] = rule
            case "a":
                return {**kept, line: rule, **dict(left)}
            case "q":
                return kept
    return kept


def _answer(place: str, line: str, answers: TextIO, questions: TextIO) -> str:
    for question in _questions(place, line):
        questions.write(question)
        questions.flush()
        answer = answers.readline()
        if not answer:
            return "q"
        word = answer.strip().lower()[:1]
        if word in ("y", "n", "a", "q"):
            return word
    raise AssertionError("questions have no end")


def _questions(place: str, line: str) -> Iterator[str]:
    yield f"{place}: {printable(line)}\n[y/n/a/q] "
    while True:
        yield f"{HELP}\n[y/n/a/q] "
