"""Results: stored at once, resumed, compared, and reported in every form."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from harness.cli.progress import UNEXPECTED, Lines
from harness.cli.run import Run
from harness.model import (
    Case,
    Observation,
    Outcome,
    Provenance,
    Result,
    RunKind,
    Scenario,
    Verdict,
    VerdictKind,
)
from harness.odds import win_rate_bound
from harness.provenance import modules_digest
from harness.report.html import html
from harness.report.junit import junit
from harness.report.lines import json_line
from harness.report.markdown import markdown
from harness.report.matrix import SEVERITY, SHORT, Tone, matrix
from harness.report.sarif import sarif
from harness.report.terminal import WIDTH_OF_FILES, console, print_results
from harness.results import Campaign, Origin, ResultsError, Row, Store, default_path, row_of

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
ORIGIN = Origin(root="/tree", tree="revision 1", machine="Linux", selection="{}")
CAMPAIGN = Campaign(id=7, started=0.0, arguments="[]", cases=4, finished=3.0, **asdict(ORIGIN))


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


def test_modules_that_change_during_a_run_are_told(tmp_path: Path) -> None:
    """Once: what workers judge by other files than the run began with is measured by no reference
    of those.
    """
    said = io.StringIO()
    store = Store(tmp_path / "results.sqlite")
    shown = Lines(Console(file=said, width=80), 3, UNEXPECTED)
    campaign = store.begin(["run"], 3, ORIGIN)
    run = Run(store=store, campaign=campaign, write=lambda row: None, shown=shown)
    for modules, times in ((modules_digest(), 0), ("others", 1), ("others", 1)):
        belongs = Provenance(program="", policy="", modules=modules, machine="")
        run._take(replace(result("ptrace", VerdictKind.HELD), provenance=belongs))
        assert said.getvalue().count("files changed during the run: run it again") == times
    assert len(store.rows(campaign.id)) == 1


def test_a_store_survives_its_writer(tmp_path: Path) -> None:
    """Rows written before a kill are there for the next process, and the campaign is unfinished."""
    path = tmp_path / "deep" / "results.sqlite"
    writer = Store(path)
    campaign = writer.begin(["run"], 4, ORIGIN)
    writer.add(campaign.id, HELD)
    reader = Store(path)
    assert reader.rows(campaign.id) == (HELD,)
    assert reader.interrupted("/other") is None
    assert reader.interrupted("/tree") == campaign
    writer.finish(campaign.id)
    assert reader.interrupted("/tree") is None
    assert reader.last_of(HELD.case_id) == HELD
    writer.close()
    reader.close()


BEGIN = """
import sys
from pathlib import Path
from harness.results import Origin, Store
store = Store(Path(sys.argv[1]))
store.begin([], 1, Origin(root="/tree", tree="", machine=""))
print("begun", flush=True)
sys.stdin.read()
"""


def test_a_campaign_that_still_runs_is_not_joined(tmp_path: Path) -> None:
    """While its process lives it is refused; when that is killed it is an interrupted one."""
    path = tmp_path / "results.sqlite"
    words = [sys.executable, "-c", BEGIN, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        store = Store(path)
        with pytest.raises(ResultsError, match="campaign 1 is still running"):
            store.interrupted("/tree")
        other.kill()
    found = store.interrupted("/tree")
    store.close()
    assert found is not None
    assert found.id == 1


def test_a_row_knows_when_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, to the millisecond: references have an age."""
    monkeypatch.setattr("harness.results.time.time", lambda: 1234.56789)
    assert row_of(result("ptrace", VerdictKind.HELD)).finished == 1234.568


def test_where_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the user's state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "interposition-lab" / "results.sqlite"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_path() == Path("/home/somebody/.local/state/interposition-lab/results.sqlite")


def test_another_trees_campaign_may_run_meanwhile(tmp_path: Path) -> None:
    """Each campaign is marked for itself, in one file for all trees."""
    path = tmp_path / "results.sqlite"
    store = Store(path)
    left = store.begin([], 1, replace(ORIGIN, root="/other"))
    store.close()
    words = [sys.executable, "-c", BEGIN, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        store = Store(path)
        assert store.interrupted("/other") == left
        store.close()
        other.kill()


def test_each_campaign_has_its_rows(tmp_path: Path) -> None:
    """A case that is run again in one has its new result there, and the latest of all is found."""
    store = Store(tmp_path / "results.sqlite")
    first, second = (store.begin([], 2, ORIGIN).id for _ in range(2))
    again = replace(HELD, verdict="broken", reason="again")
    other = replace(HELD, verdict="bypassed")
    store.add(first, FALLEN)
    store.add(first, HELD)
    store.add(second, other)
    store.add(first, again)
    assert {row.case_id: row for row in store.rows(first)} == {
        FALLEN.case_id: FALLEN,
        HELD.case_id: again,
    }
    assert store.rows(second) == (other,)
    assert store.last_of(HELD.case_id) == other
    assert store.last_of("nothing") is None
    store.finish(first)
    assert [each.finished is None for each in store.campaigns()] == [True, False]
    store.close()


def test_results_of_an_older_version_are_put_aside(tmp_path: Path) -> None:
    """They have no provenance, so they are references to nothing; nothing of them is lost."""
    path = tmp_path / "results.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute("CREATE TABLE result (case_id TEXT)")
        older.execute("INSERT INTO result VALUES ('old')")
        older.execute("PRAGMA user_version = 1")
        older.commit()
    store = Store(path)
    assert store.campaigns() == ()
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "results.v1.sqlite")) as kept:
        assert kept.execute("SELECT * FROM result").fetchall() == [("old",)]


@pytest.mark.parametrize("place", ["/dev/null/state", "/proc/state"])
def test_a_directory_that_cannot_be_made_is_named(place: str) -> None:
    """With the reason and both ways out."""
    said = rf"^no results at {place}/.* cannot be made: .*XDG_STATE_HOME.*--results"
    with pytest.raises(ResultsError, match=said):
        Store(Path(place) / "results.sqlite")


def test_two_campaigns_are_compared(tmp_path: Path) -> None:
    """Only what differs is told, and what ran in one of them only."""
    store = Store(tmp_path / "results.sqlite")
    first, second = (store.begin([], 2, ORIGIN).id for _ in range(2))
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
        "case scenario attack catalogue classes variant widener backend arch kernel place "
        "version release isolation verdict expected as_expected known reason "
        "attempts wins bound seconds provenance"
    )
    assert line["catalogue"] == ["A1", "A2"]
    assert line["classes"] == ["A1 notify-continue-path-race", "A2 ptrace-entry-path-race"]
    assert line["bound"] == 0.0015


def test_junit() -> None:
    """Unexpected verdicts are failures, broken ones errors, and the text is well-formed XML."""
    root = ElementTree.fromstring(junit((*ROWS, replace(HELD, scenario="race/y")), [CAMPAIGN]))
    assert [root.get(each) for each in ("tests", "failures", "errors", "skipped")] == [*"5110"]
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    assert suite.find("testcase/failure") is not None


def test_junit_skips_what_was_not_meant() -> None:
    """A case that its scenario expects to be inexpressible passed; an inapplicable one did not."""
    meant = replace(HELD, verdict="inexpressible", expected="inexpressible")
    other = replace(HELD, verdict="inapplicable", case_id="race/x[other]")
    root = ElementTree.fromstring(junit((meant, other), [CAMPAIGN]))
    assert [root.get(each) for each in ("tests", "failures", "errors", "skipped")] == [*"2001"]


def test_one_bad_case_marks_its_cell() -> None:
    """Beside cases that are as expected, in whichever order."""
    fallen = replace(FALLEN, backend=HELD.backend)
    for rows in ((HELD, fallen), (fallen, HELD)):
        (line,) = matrix(rows).lines
        cell = line.cells[HELD.backend]
        assert (cell.as_expected, cell.tone, cell.worst) == (False, Tone.BAD, VerdictKind.BYPASSED)


def terminal_text(rows: tuple[Row, ...], width: int = 200) -> str:
    to = Console(width=width, record=True, file=io.StringIO())
    print_results(to, rows, [CAMPAIGN])
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


def test_one_reason_is_told_once() -> None:
    """On the terminal, in the summary and on the page; another reason has its own paragraph."""
    alike = tuple(
        replace(FALLEN, case_id=f"race/x[{number}]", reason="the same") for number in range(8)
    )
    rows = (*alike, replace(FALLEN, case_id="race/x[other]", reason="another"))
    text = terminal_text(rows)
    for form in (text, markdown(rows, [CAMPAIGN])):
        assert (form.count("the same\n"), form.count("another\n")) == (1, 1)
        assert form.count("bypassed instead of held: ") == 2
    assert "    race/x[4]\n    and 3 more, for the same reason:" in text
    assert "race/x[5]" not in text
    page = html(rows, "Campaign 1", [CAMPAIGN]).partition("Legend")[0]
    assert page.count("instead of held<br>") == 2


def test_every_form_leads_to_the_classes() -> None:
    """By name: JUnit in a property, HTML in a section, the terminal by the command that tells all.
    What a newer laboratory stored keeps its id.
    """
    suite = ElementTree.fromstring(junit(ROWS, [CAMPAIGN]))[0]
    found = [each.get("value") for each in suite.findall("testcase/properties/property")]
    assert found[:2] == ["A1 notify-continue-path-race", "A2 ptrace-entry-path-race"]
    page = html(ROWS, "Campaign 1", [CAMPAIGN])
    assert '<a href="#A2">' in page
    assert '<dt id="A2"><b>A2 ptrace-entry-path-race</b>' in page
    text = terminal_text(ROWS)
    assert "a class of the catalogue: harness explain A1" in text
    assert "A2 ptrace-entry-path-race: harness explain A2" in text
    newer = (replace(HELD, catalogue=("Z9",)),)
    assert json.loads(json_line(newer[0]))["classes"] == ["Z9"]
    assert '<dt id="Z9">' not in html(newer, "Campaign 1", [CAMPAIGN])


LONG = tuple(
    replace(row, attack="replication/a-name-that-is-never-cut", variant=variant)
    for row in ROWS
    for variant in ("default", "other")
)


@pytest.mark.parametrize("width", [50, 80])
def test_a_narrow_terminal(width: int) -> None:
    """What is too wide for a table is a paragraph an attack: whole names, nothing wider."""
    text = terminal_text(LONG, width)
    matrix_text, legend, *_ = text.split("\n\n")
    first, *cells = matrix_text.splitlines()
    assert first == "replication/a-name-that-is-never-cut  A1 A2"
    said = re.split(r"   +", " ".join(cells).strip())
    assert [part.split()[0] for part in said] == ["ptrace", "seccomp", "notify", "leaky"]
    assert said[2] == "notify BYPASSED x2 14/4000 !"
    assert max(map(len, [*cells, *legend.splitlines()])) <= width


def test_a_wide_terminal() -> None:
    """The same results have one line."""
    header, line = terminal_text(LONG).splitlines()[:2]
    assert header.split()[:2] == ["attack", "catalogue"]
    assert "BYPASSED x2 14/4000 !" in line


def test_the_legend_has_what_stands_there_and_nothing_else() -> None:
    """Each mark beside a verdict, where the matrix has it."""
    whole = terminal_text(LONG)
    held = terminal_text((replace(HELD, bound=None, attempts=1),))
    for mark in ("xN", "w/a", "<x%", "!  "):
        assert f" {mark}" in whole.split("\n\n")[1]
        assert f" {mark}" not in held.split("\n\n")[1]


def test_the_summary_counts_and_says_how_to_see_more() -> None:
    """Cases, those not as expected, and a scenario among these to ask about."""
    _, _, ending = terminal_text(ROWS).rpartition("\n\n")
    assert ending.startswith("4 cases: 2 as expected, 2 not\n")
    assert "harness explain race/x" in ending
    assert "harness report -o matrix.html" in ending


def test_a_pipe_is_as_wide_as_the_terminal_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS, else the size of the terminal of the errors; a file has long lines."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.isatty", lambda descriptor: descriptor == 2)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((63, 20)))
    with contextlib.redirect_stdout(io.StringIO()):
        assert console().width == 63
        monkeypatch.setattr("os.isatty", lambda descriptor: False)
        assert console().width == WIDTH_OF_FILES
        monkeypatch.setenv("COLUMNS", "71")
        assert console().width == 71


def test_bounds_are_rounded_up() -> None:
    """No form shows less than 20,000 attempts without a win prove, which is 0.014978 %."""
    rows = (replace(HELD, attempts=20_000, bound=win_rate_bound(20_000)),)
    assert " <0.015%" in terminal_text(rows)
    assert "&lt;0.015%" in html(rows, "Campaign 1", [CAMPAIGN])
    assert "win rate below 0.015%, one-sided 95 %" in html(rows, "Campaign 1", [CAMPAIGN])


def test_every_form_says_where_results_come_from() -> None:
    """Date, tree, machine, kernel, versions and isolation stand in each report."""
    told: dict[str, object] = {
        "events": [{"event": "start", "kernel": "6.18.44", "version": "box 1.2"}]
    }
    rows = tuple(replace(row, isolation="plain", observations=(told,)) for row in ROWS)
    suite = ElementTree.fromstring(junit(rows, [CAMPAIGN]))[0]
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties["tree"] == "/tree, revision 1"
    assert properties["machine"] == "Linux"
    assert properties["isolation"] == "plain (4)"
    assert properties["kernels"] == "Linux 6.18.44 (local) (4)"
    version = "ptrace: box 1.2 (1)"
    for text in (
        terminal_text(rows),
        html(rows, "Campaign 7", [CAMPAIGN]),
        markdown(rows, [CAMPAIGN]),
        sarif(rows, [CAMPAIGN]),
    ):
        for part in ("7, 19", "/tree, revision 1", "Linux 6.18.44", version, "plain (4)"):
            assert part in text
    line = json.loads(json_line(rows[0]))
    assert (line["isolation"], line["version"], line["release"]) == ("plain", "box 1.2", "6.18.44")


def test_html() -> None:
    """The page has every reason, escaped."""
    page = html(ROWS, "Campaign 1", [CAMPAIGN])
    assert "&lt;held&gt; &amp;" in page
    assert "<held>" not in page
    assert page.count("<td") == 1 + 4


def test_every_verdict_has_its_place() -> None:
    """The matrix knows all verdicts, and the worst of a cell comes first."""
    assert set(SEVERITY) == set(SHORT) == set(VerdictKind)
    worst = matrix([HELD, replace(HELD, variant="v", verdict="bypassed")]).lines[0]
    assert worst.cells["ptrace"].worst is VerdictKind.BYPASSED


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """What cannot be stored is an error with its fix; what was stored before is still there."""
    store = Store(tmp_path / "results.sqlite")
    campaign = store.begin(["run"], 2, ORIGIN).id
    row = HELD
    store.add(campaign, row)
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ResultsError, match="full; make room"):
        store.add(campaign, replace(row, case_id="large", reason="x" * 100_000))
    assert store.rows(campaign) == (row,)
    store.close()
