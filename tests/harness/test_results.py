"""Results: stored at once, resumed, compared, and reported in every form."""

from __future__ import annotations

import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from harness.model import (
    Case,
    Observation,
    Outcome,
    Result,
    RunKind,
    Scenario,
    Verdict,
    VerdictKind,
)
from harness.odds import win_rate_bound
from harness.report.html import html
from harness.report.junit import junit
from harness.report.lines import json_line
from harness.report.matrix import SEVERITY, SHORT, matrix
from harness.report.terminal import print_matrix, print_unexpected
from harness.results import ResultsError, Row, Store, row_of

SCENARIO = Scenario(
    id="race/x", title="t", path=Path("x.yaml"), policy="", dialect="yaml", attack="race/x"
)
CASE = Case(
    scenario=SCENARIO,
    variant="default",
    backend="ptrace",
    abi="x86_64",
    kernel="6.18",
    place="local",
    catalogue=("A1", "A2"),
)


def result(backend: str, kind: VerdictKind, **fields: object) -> Result:
    case = replace(CASE, backend=backend, leaky=backend.startswith("leaky"))
    verdict = Verdict(kind=kind, reason=f"<{kind}> & \x01", **fields)  # type: ignore[arg-type]
    seen = Observation(kind=RunKind.CONTROL, outcome=Outcome.EFFECT, events=({"event": "start"},))
    return Result(case=case, verdict=verdict, observations=(seen,), seconds=1.5)


HELD = row_of(result("ptrace", VerdictKind.HELD, attempts=2000, bound=0.0015))
LEAKY = row_of(result("leaky-ptrace", VerdictKind.BYPASSED, attempts=50, wins=2))
FALLEN = row_of(result("notify", VerdictKind.BYPASSED, attempts=2000, wins=7))
BROKEN = row_of(result("seccomp", VerdictKind.BROKEN))
ROWS = (HELD, LEAKY, FALLEN, BROKEN)


@pytest.mark.parametrize(
    ("backend", "kind", "expected"),
    [
        ("ptrace", VerdictKind.HELD, True),
        ("ptrace", VerdictKind.BYPASSED, False),
        ("ptrace", VerdictKind.INEXPRESSIBLE, False),
        ("ptrace", VerdictKind.INAPPLICABLE, True),
        ("ptrace", VerdictKind.BROKEN, False),
        ("leaky-x", VerdictKind.BYPASSED, True),
        ("leaky-x", VerdictKind.HELD, False),
        ("none", VerdictKind.NOT_ENFORCING, True),
    ],
)
def test_expected(backend: str, kind: VerdictKind, expected: bool) -> None:
    """Ours hold, leaky ones fall, the control enforces nothing; broken is never expected."""
    assert result(backend, kind).as_expected is expected


def test_what_an_architecture_cannot_express() -> None:
    """That is a verdict about the machine, whoever was expected to hold or to fall there."""
    for backend in ("ptrace", "leaky-x"):
        told = result(backend, VerdictKind.INEXPRESSIBLE)
        elsewhere = replace(told, verdict=replace(told.verdict, elsewhere=True))
        assert [told.as_expected, elsewhere.as_expected] == [False, True]


def test_a_known_weakness_is_strict() -> None:
    """A weakness that a scenario names must show: a held verdict there is unexpected too."""
    case = replace(CASE, scenario=replace(SCENARIO, known={"ptrace": "A1"}))
    for kind, expected in ((VerdictKind.BYPASSED, True), (VerdictKind.HELD, False)):
        found = Result(case=case, verdict=Verdict(kind=kind, reason=""))
        assert found.as_expected is expected


def test_a_store_survives_its_writer(tmp_path: Path) -> None:
    """Rows written before a kill are there for the next process, and the campaign is unfinished."""
    path = tmp_path / "deep" / "results.sqlite"
    writer = Store(path)
    campaign = writer.begin(["run"], 4)
    writer.add(campaign, HELD)
    reader = Store(path)
    assert reader.rows(campaign) == (HELD,)
    interrupted = reader.latest(unfinished=True)
    assert interrupted is not None
    assert interrupted.id == campaign
    writer.finish(campaign)
    assert reader.latest(unfinished=True) is None
    assert reader.last_of(HELD.case_id) == HELD
    writer.close()
    reader.close()


def test_two_campaigns_are_compared(tmp_path: Path) -> None:
    """Only what differs is told, and what ran in one of them only."""
    store = Store(tmp_path / "results.sqlite")
    first, second = store.begin([], 2), store.begin([], 2)
    store.add(first, HELD)
    store.add(second, replace(HELD, verdict="bypassed"))
    store.add(second, LEAKY)
    store.add(first, FALLEN)
    store.add(second, FALLEN)
    changes = {change.case_id: (change.before, change.after) for change in store.compare(1, 2)}
    assert changes == {HELD.case_id: ("held", "bypassed"), LEAKY.case_id: ("", "bypassed")}
    store.close()


def test_a_spoiled_file_is_one_clear_error(tmp_path: Path) -> None:
    """Neither a file of another kind nor one of another version is overwritten."""
    spoiled = tmp_path / "spoiled"
    spoiled.write_bytes(b"no database" * 100)
    with pytest.raises(ResultsError, match="move the file away"):
        Store(spoiled)
    newer = tmp_path / "newer"
    database = sqlite3.connect(newer)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ResultsError, match="another version"):
        Store(newer)


def test_json_keys() -> None:
    """One object a line with exactly the agreed keys."""
    line = json.loads(json_line(HELD))
    assert " ".join(line) == (
        "scenario attack catalogue backend arch kernel place verdict reason attempts wins bound "
        "seconds"
    )
    assert line["catalogue"] == ["A1", "A2"]
    assert line["bound"] == 0.0015


def test_junit() -> None:
    """Unexpected verdicts are failures, broken ones errors, and the text is well-formed XML."""
    suite = ElementTree.fromstring(junit(ROWS))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    assert suite.find("testcase/failure") is not None


def terminal_text(rows: tuple[Row, ...]) -> str:
    to = Console(width=200, record=True, file=io.StringIO())
    print_matrix(to, rows)
    print_unexpected(to, rows)
    return to.export_text()


def test_terminal() -> None:
    """The matrix has a column for each backend, one for all leaky ones, counts and a legend."""
    text = terminal_text(ROWS)
    header, line = text.splitlines()[:2]
    assert header.split() == ["attack", "catalogue", "ptrace", "seccomp", "notify", "leaky"]
    assert line.split()[:3] == ["race/x", "A1", "A2"]
    assert "BYPASSED 7/2000 !" in line
    assert "2/50" in line
    assert "bypassed instead of held: race/x[default-notify-x86_64-6.18]" in text


def test_bounds_are_rounded_up() -> None:
    """No form shows less than 20,000 attempts without a win prove, which is 0.014978 %."""
    rows = (replace(HELD, attempts=20_000, bound=win_rate_bound(20_000)),)
    assert " <0.015%" in terminal_text(rows)
    assert "&lt;0.015%" in html(rows, "Campaign 1")
    assert "win rate below 0.015%, one-sided 95 %" in html(rows, "Campaign 1")


def test_html() -> None:
    """The page has every reason, escaped."""
    page = html(ROWS, "Campaign 1")
    assert "&lt;held&gt; &amp;" in page
    assert "<held>" not in page
    assert page.count("<td") == 1 + 4


def test_every_verdict_has_its_place() -> None:
    """The matrix knows all verdicts, and the worst of a cell comes first."""
    assert set(SEVERITY) == set(SHORT) == set(VerdictKind)
    worst = matrix([HELD, replace(HELD, variant="v", verdict="bypassed")]).lines[0]
    assert worst.cells["ptrace"].worst is VerdictKind.BYPASSED


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """What cannot be stored is an error with its mend; what was stored before is still there."""
    store = Store(tmp_path / "results.sqlite")
    campaign = store.begin(["run"], 2)
    row = HELD
    store.add(campaign, row)
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ResultsError, match="full; make room"):
        store.add(campaign, replace(row, case_id="large", reason="x" * 100_000))
    assert store.rows(campaign) == (row,)
    store.close()
