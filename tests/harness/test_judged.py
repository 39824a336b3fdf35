"""What may be inapplicable, by kind of machine: nothing else may be, and no typo hides anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import Status
from harness.cli.run import status_of
from harness.judged import (
    Excuse,
    JudgedError,
    load_excuses,
    machine_of,
    nothing_judged,
    unexcused,
)
from harness.model import VerdictKind
from harness.results import Row, row_of
from harness.runner import broken_result
from tests.harness.test_calibration import JOB

ROW = replace(
    row_of(broken_result(JOB, "this kernel lacks io_uring: switched off")),
    case_id="race/x[default-ptrace-x86_64-6.18]",
    verdict="inapplicable",
    as_expected=True,
    isolation="user namespace",
)
HELD = replace(ROW, case_id="race/y", verdict="held")
EXCUSE = Excuse(on="local/*", cases="race/x[default-*", because="io_uring")


def test_the_machine_is_the_place_and_its_walls() -> None:
    """As a list names it."""
    assert machine_of(ROW) == "local/user namespace"


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        ({}, True),
        ({"on": "local/user namespace"}, True),
        ({"on": "*"}, True),
        ({"on": "local"}, False),
        ({"on": "local/namespaces"}, False),
        ({"on": "snapshot/*"}, False),
        ({"cases": "race/x[default-ptrace-x86_64-6.18]"}, True),
        ({"cases": "race/x*"}, True),
        ({"cases": "*"}, True),
        ({"cases": "race/x"}, False),
        ({"cases": "x[default"}, False),
        ({"cases": "RACE/x*"}, False),
        ({"cases": "race/x[default-notify-*"}, False),
        ({"because": "this kernel lacks"}, True),
        ({"because": "lacks openat2"}, False),
    ],
)
def test_an_excuse_covers_what_it_names(change: dict[str, str], covered: bool) -> None:
    """Machine, case and reason must all fit; a bracket in an id is a bracket."""
    assert replace(EXCUSE, **change).covers(ROW) is covered


def test_only_what_is_inapplicable_needs_an_excuse() -> None:
    """Any one of them will do; without a list every such case is told."""
    other = replace(ROW, case_id="race/z")
    nothing = Excuse(on="nowhere", cases="*", because="")
    assert unexcused([ROW, HELD, other], [nothing, EXCUSE]) == [other]
    assert unexcused([ROW, HELD], [EXCUSE]) == []
    assert unexcused([ROW, HELD], []) == [ROW]


@pytest.mark.parametrize("kind", VerdictKind)
def test_nothing_is_judged_where_all_is_inapplicable(kind: VerdictKind) -> None:
    """One case with any other verdict says something of an enforcer."""
    assert nothing_judged([ROW, replace(ROW, verdict=kind.value)]) is (
        kind is VerdictKind.INAPPLICABLE
    )
    assert nothing_judged([])


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([], Status.BROKEN),
        ([ROW], Status.BROKEN),
        ([ROW, HELD], Status.EXPECTED),
        ([HELD, replace(HELD, as_expected=False)], Status.UNEXPECTED),
        ([HELD, replace(HELD, verdict="broken", as_expected=False)], Status.BROKEN),
        (
            [replace(HELD, as_expected=False), replace(HELD, verdict="broken", as_expected=False)],
            Status.BROKEN,
        ),
    ],
)
def test_the_status_of_a_run(rows: list[Row], status: Status) -> None:
    """Broken goes before unexpected, and nothing judged is no success."""
    assert status_of(rows) is status


def test_a_list_is_read(tmp_path: Path) -> None:
    """Every entry, in its order."""
    path = tmp_path / "list.yaml"
    path.write_text(
        "inapplicable:\n"
        '  - {on: "local/*", cases: "race/x[default-*", because: io_uring}\n'
        "  - on: '*'\n    cases: abi/*\n    because: the terminal\n"
    )
    assert load_excuses(path) == (
        EXCUSE,
        Excuse(on="*", cases="abi/*", because="the terminal"),
    )
    path.write_text("inapplicable: []\n")
    assert load_excuses(path) == ()


GOOD = "{on: '*', cases: '*', because: x}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"inapplicabel: [{GOOD}]\n", ["list.yaml:1:1: unknown key 'inapplicabel'"]),
        ("inapplicable: race/x\n", ["list.yaml:1:15: `inapplicable` is not a list"]),
        ("{}\n", ["`inapplicable` is not a list"]),
        ("- x\n", ["a list is a mapping"]),
        ("inapplicable: [\n", ["not YAML"]),
        ("inapplicable:\n  - race/x\n", ["list.yaml:2:5: an entry is not a mapping"]),
        (
            "inapplicable:\n  - {on: '*', case: '*', because: x}\n",
            ["list.yaml:2:15: unknown key 'case'", "list.yaml:2:5: `cases` is missing"],
        ),
        (
            "inapplicable:\n  - {on: '*', cases: '*'}\n",
            ["list.yaml:2:5: `because` is missing"],
        ),
        (
            "inapplicable:\n  - {on: '*', cases: '*', because: ''}\n",
            ["list.yaml:2:5: `because` is missing"],
        ),
        (
            "inapplicable:\n  - {on: '*', cases: [a], because: x}\n",
            ["list.yaml:2:22: a value of 'cases' is not a text"],
        ),
    ],
)
def test_mistakes_of_a_list(tmp_path: Path, text: str, said: list[str]) -> None:
    """Each is told with its place: an excuse that is read wrongly would excuse too much."""
    path = tmp_path / "list.yaml"
    path.write_text(text)
    with pytest.raises(JudgedError) as caught:
        load_excuses(path)
    for each in said:
        assert each in str(caught.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """And a file that is no text is one."""
    path = tmp_path / "list.yaml"
    path.write_text("inapplicable:\n  - x\n  - {on: y}\n")
    with pytest.raises(JudgedError) as caught:
        load_excuses(path)
    assert [line for line in str(caught.value).splitlines() if "list.yaml:" in line][1:]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(JudgedError, match="UTF-8"):
        load_excuses(path)
