"""docs/reference.md has every key that files may have, every field and status, and no others."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pytest

from enforcer.events import EventKind
from enforcer.policy import yaml_form
from harness import attack, scenario, tree
from harness.cli import Status
from harness.model import Limits
from harness.report.lines import json_line
from tests.harness.test_results import HELD

REFERENCE = tree.OWN / "docs" / "reference.md"
SUPERVISORS = ("enforcer/supervision/journal.py", "enforcer/supervision/target.py")


def tables(section: str) -> list[set[str]]:
    """The words in the first column of each table of a section."""
    text = REFERENCE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [
        {word for row in rows for word in words(row)}
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        for rows in [table.splitlines()[2:]]
    ]


def words(row: str) -> list[str]:
    first = row.split("|")[1].strip()
    return re.findall(r"`([^`]+)`", first) or [first]


TELLING = ("_caller", "decision_fields")
"""Functions that give a dictionary of such fields."""


def emitted() -> set[str]:
    """The fields that a supervisor's events are given in the code that writes them."""
    found: set[str] = set()
    for name in SUPERVISORS:
        module = ast.parse((tree.OWN / name).read_text(encoding="utf-8"))
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "emit":
                found |= {each.arg for each in node.keywords if each.arg}
            if isinstance(node, ast.FunctionDef) and node.name in TELLING:
                found |= _keys(ast.walk(node))
    return found


def _keys(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        str(key.value)
        for node in nodes
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }


@pytest.mark.parametrize(
    ("section", "place", "known"),
    [
        ("Policy (YAML)", 0, yaml_form._KEYS),
        ("Policy (YAML)", 1, (*yaml_form._ACTIONS, *yaml_form._RULE_KEYS)),
        ("Scenario", 0, scenario.KEYS),
        ("Scenario", 1, [field.name for field in fields(Limits)]),
        ("Attack", 0, (*attack._REQUIRED, *attack._OPTIONAL)),
        ("Events", 0, list(EventKind)),
        ("Events", 1, {"event", "time", *emitted()}),
        ("Exit status", 0, [str(status.value) for status in Status]),
    ],
)
def test_the_reference_is_whole(section: str, place: int, known: Iterable[str]) -> None:
    """What a table has is what the program knows."""
    assert tables(section)[place] == set(known)


def test_every_key_of_a_result_is_in_the_reference() -> None:
    """As programs read them."""
    assert tables("Results")[0] == set(json.loads(json_line(HELD)))


def test_the_supervisors_events_were_found() -> None:
    """An extraction that finds nothing would prove nothing."""
    assert {"call", "rule", "program", "judged", "defences"} <= emitted()
    assert all(Path(tree.OWN / name).exists() for name in SUPERVISORS)
