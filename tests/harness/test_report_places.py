"""Places compared case by case."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import click.testing
import pytest
from rich.console import Console

from harness.cli.report import command
from harness.model import Case, Result, Scenario, Verdict, VerdictKind
from harness.report.places import Places, places, print_places
from harness.results import Origin, Row, Store, row_of

CASE = Case(
    scenario=Scenario(
        id="race/x", title="t", path=Path("x.yaml"), policy="", dialect="yaml", attack="race/x"
    ),
    variant="default",
    backend="ptrace",
    abi="x86_64",
    kernel="6.18",
    place="local",
)


def row(kind: VerdictKind, reason: str = "", **fields: str) -> Row:
    case = replace(CASE, **fields)  # type: ignore[arg-type]
    return row_of(Result(case=case, verdict=Verdict(kind=kind, reason=reason)))


ARM = {"abi": "arm", "kernel": "6.1", "place": "vm:arm"}
HERE = tuple(row(VerdictKind.HELD, backend=name) for name in ("ptrace", "notify", "landlock"))
LACKS = "needs Landlock ABI 6; this kernel has 2\nand more lines"
THERE = (
    row(VerdictKind.HELD, backend="ptrace", **ARM),
    row(VerdictKind.BYPASSED, "the effect was seen", backend="notify", **ARM),
    row(VerdictKind.INAPPLICABLE, LACKS, backend="landlock", **ARM),
    row(VerdictKind.HELD, backend="seccomp", **ARM),
)


def texts(found: Places) -> list[str]:
    return [
        f"{each.column}: {each.before} -> {each.after}: {each.reason}: {' '.join(each.cases)}"
        for each in found.differences
    ]


def test_what_differs_is_told_with_its_reason() -> None:
    """Whichever results came first; cases that ran in one place only are no difference."""
    expected = [
        "vm:arm arm 6.1: held -> bypassed: the effect was seen: race/x[default-notify]",
        "vm:arm arm 6.1: held -> inapplicable: needs Landlock ABI 6; this kernel has 2: "
        "race/x[default-landlock]",
    ]
    for rows in (HERE + THERE, THERE + HERE):
        found = places(rows)
        assert [column.name for column in found.columns] == ["local x86_64 6.18", "vm:arm arm 6.1"]
        assert texts(found) == expected


@pytest.mark.parametrize("kind", [VerdictKind.INAPPLICABLE, VerdictKind.BROKEN], ids=str)
def test_the_reason_is_that_of_the_side_without_a_verdict(kind: VerdictKind) -> None:
    """Where this machine cannot say, its own reason explains why another can."""
    here = row(kind, "this kernel lacks rings")
    found = places((here, row(VerdictKind.HELD, "no effect", **ARM)))
    assert texts(found) == [
        f"vm:arm arm 6.1: {kind} -> held: this kernel lacks rings: race/x[default-ptrace]"
    ]


def test_one_reason_is_told_once() -> None:
    """With all the cases that it explains."""
    variants = ("open", "openat")
    here = [row(VerdictKind.HELD, variant=variant) for variant in variants]
    there = [row(VerdictKind.INAPPLICABLE, LACKS, variant=variant, **ARM) for variant in variants]
    (difference,) = places([*here, *there]).differences
    assert difference.cases == ("race/x[open-ptrace]", "race/x[openat-ptrace]")


def test_a_case_counts_as_it_came_out_last() -> None:
    """A repeated run replaces what it repeats."""
    broken = row(VerdictKind.BROKEN, "two machines were lost", **ARM)
    again = row(VerdictKind.HELD, **ARM)
    assert places((*HERE, broken, again)).differences == ()
    assert len(places((*HERE, again, broken)).differences) == 1


def test_without_this_machine_the_first_place_is_the_reference() -> None:
    """Two kernels compared with each other."""
    newer = row(VerdictKind.BYPASSED, "seen", backend="ptrace", **{**ARM, "kernel": "7.2"})
    found = places((*THERE, newer))
    assert texts(found) == ["vm:arm arm 7.2: held -> bypassed: seen: race/x[default-ptrace]"]


def test_terminal() -> None:
    """A line for each place with its counts, then each difference and its cases."""
    to = Console(width=200, record=True, file=io.StringIO())
    print_places(to, places((*HERE, *THERE)))
    lines = [line.split() for line in to.export_text().splitlines()]
    assert ["place", "cases", "BYPASSED", "held", "n/a", "differ"] in lines
    assert ["local", "x86_64", "6.18", "3", "0", "3", "0", "0"] in lines
    assert ["vm:arm", "arm", "6.1", "4", "1", "2", "1", "2"] in lines
    assert ["race/x[default-landlock]"] in lines


@pytest.mark.parametrize(("there", "status"), [(THERE, 1), (THERE[:1], 0)], ids=["differ", "same"])
def test_campaigns_together(tmp_path: Path, there: tuple[Row, ...], status: int) -> None:
    """`--with` adds another campaign's results; the exit status says whether a verdict differs."""
    path = tmp_path / "results.sqlite"
    store = Store(path)
    for rows in (HERE, there):
        campaign = store.begin([], len(rows), Origin(root="", tree="", machine="")).id
        for each in rows:
            store.add(campaign, each)
    store.close()
    arguments = ["2", "--with", "1", "--places", "--json", "--results", str(path)]
    ran = click.testing.CliRunner().invoke(command, arguments)
    assert ran.exit_code == status
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["place"], each["cases"]) for each in records[:2]] == [
        ("local", 3),
        ("vm:arm", len(there)),
    ]
    differing = {each["after"] for each in records[2:]}
    assert differing == ({"bypassed", "inapplicable"} if status else set())
