"""--resume goes on with this tree's own campaign, and takes nothing for true that has changed.

And a case has one verdict, whether `harness run`, a resumed run or pytest gives it.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest

from enforcer.mechanisms.notify import MECHANISM as NOTIFY
from harness.model import VerdictKind
from harness.results import Origin, Store
from tests.harness.toys import (
    ACT,
    LEAKY,
    RACE,
    call,
    command,
    harness_run,
    results,
    scenario,
    small_tree,
)

LIVE = pytest.mark.skipif(
    bool(NOTIFY.probe()), reason=f"notify: {'; '.join(map(str, NOTIFY.probe()))}"
)


VERDICT = re.compile(rf"\b({'|'.join(VerdictKind)})(?=:| instead of )")


def interrupt(root: Path, *statements: str) -> None:
    """As if the last campaign had not come to its end, and `statements` had been so."""
    with contextlib.closing(sqlite3.connect(results(root))) as database:
        for statement in ("UPDATE campaign SET finished = NULL", *statements):
            database.execute(statement)
        database.commit()


def finished(root: Path) -> dict[tuple[str, str], float]:
    """When the result of each case of the one campaign came."""
    store = Store(results(root))
    (campaign,) = store.campaigns()
    found = {(row.scenario, row.backend): row.finished for row in store.rows(campaign.id)}
    store.close()
    return found


@LIVE
def test_what_has_changed_is_run_again(tmp_path: Path) -> None:
    """The policy, the attack's program or a module: its results are old, all others stand. The
    selection and the attempts are those that the campaign was begun with.
    """
    scenarios = {
        "replication/policy": scenario(ACT),
        "race/attack": scenario(RACE),
        "benign/modules": command("[echo, modules]"),
        "benign/machine": command("[echo, machine]"),
        "benign/unknown": command("[echo, unknown]"),
        "benign/same": command("[echo, same]"),
        "benign/other": command("[echo, other]"),
    }
    root = small_tree(tmp_path, scenarios)
    first = harness_run(
        root, "--attempts", "200", "-k", "policy or attack or modules or machine or unknown or same"
    )
    assert first.status == 0, first.stdout + first.stderr
    before = finished(root)
    path = root / "scenarios" / "replication" / "policy.yaml"
    path.write_text(path.read_text().replace("eacces", "eperm"))
    program = root / "attacks" / f"{RACE}.c"
    program.write_text(program.read_text() + "/* edited */\n")
    changed = "UPDATE result SET provenance = json_set(provenance, '$.{0}', 'x') "
    interrupt(
        root,
        *(
            f"{changed.format(each)} WHERE scenario = 'benign/{each}'"
            for each in ("modules", "machine")
        ),
        "UPDATE result SET provenance = 'null' WHERE scenario = 'benign/unknown'",
    )
    resumed = harness_run(root, "--resume")
    assert (resumed.status, resumed.verdicts) == (0, first.verdicts), resumed.stderr
    after = finished(root)
    assert {case for case in after if after[case] != before[case]} == {
        *(("replication/policy", name) for name in ("notify", LEAKY)),
        *(("race/attack", name) for name in ("notify", LEAKY)),
        *((f"benign/{name}", "notify") for name in ("modules", "machine", "unknown")),
    }
    assert "7 results of campaign 1 are run again" in resumed.stderr
    assert {row["attempts"] for row in resumed.rows if row["scenario"] == "race/attack"} == {200}


def test_whose_campaign_is_gone_on_with(tmp_path: Path) -> None:
    """Not another tree's, not one that is running, and none with other options than its own."""
    root = small_tree(tmp_path / "one", {"benign/fails": command("['false']")})
    other = small_tree(tmp_path / "other", {"benign/fails": command("['false']")})
    assert harness_run(root, "-k", "fails").status == 3
    again = ("--resume", "--results", str(results(root)))
    ended = harness_run(root, *again)
    assert (ended.status, ended.rows) == (2, ())
    assert "was not interrupted" in ended.stderr
    interrupt(root)
    foreign = harness_run(other, *again)
    assert (foreign.status, foreign.rows) == (2, ())
    assert "leave --resume out" in foreign.stderr
    narrower = harness_run(root, *again, "-k", "nothing")
    assert (narrower.status, narrower.rows) == (2, ())
    assert "the selection of campaign 1" in narrower.stderr
    store = Store(results(root))
    assert store.interrupted(str(root)) is not None
    running = harness_run(root, *again)
    store.close()
    assert (running.status, running.rows) == (2, ())
    assert "campaign 1 is still running" in running.stderr
    same = harness_run(root, *again, "-k", "fails")
    assert (same.status, len(same.rows)) == (3, 1)


def test_a_later_campaign_hides_an_interrupted_one(tmp_path: Path) -> None:
    """The last one of the tree counts: what was left behind it is not gone on with."""
    store = Store(tmp_path / "results.sqlite")
    first = store.begin([], 1, Origin(root="/tree", tree="", machine=""))
    later = store.begin([], 1, Origin(root="/tree", tree="", machine=""))
    elsewhere = store.begin([], 1, Origin(root="/other", tree="", machine=""))
    assert first.finished is None
    found = store.interrupted("/tree")
    assert found is not None
    assert found.id == later.id
    store.finish(later.id)
    assert store.interrupted("/tree") is None
    assert store.interrupted("/other") == elsewhere
    store.close()


def by_pytest(root: Path) -> dict[tuple[str, str], str]:
    """The verdicts of `pytest scenarios/`, as its report has them."""
    report = root / "report.xml"
    words = ("-q", "-p", "no:cacheprovider", f"--junitxml={report}", "scenarios")
    said = call(root, "pytest", *words)
    assert report.exists(), said.stdout + said.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = re.fullmatch(r"(\w+)\[(.*)-\w+\]", case.get("name", ""))
        assert name is not None
        id_ = case.get("classname", "").removeprefix("scenarios.").removesuffix(".yaml")
        verdict = name[1].replace("_", " ")
        for told in case:
            said_ = re.search(VERDICT, f"{told.get('message')} {told.text}")
            assert said_ is not None
            verdict = said_[1]
        found[id_.replace(".", "/"), name[2]] = verdict
    return found


@LIVE
def test_one_verdict_three_ways(tmp_path: Path) -> None:
    """`harness run`, a run that was interrupted in its middle, and pytest, from the same tree."""
    scenarios = {
        "replication/honest": scenario(ACT),
        "replication/typo": scenario(ACT, variant="typo"),
        "replication/nobody-lost": scenario(ACT, leaky=""),
        "replication/no-rules": scenario(
            ACT, leaky="", policy="policy: {default: permit, rules: []}\n"
        ),
        "benign/works": command("[echo, word]"),
        "benign/fails": command("['false']"),
    }
    root = small_tree(tmp_path, scenarios)
    run = harness_run(root)
    assert set(run.verdicts.values()) == set(VerdictKind) - {
        VerdictKind.OVERBLOCKED,
        VerdictKind.UNLOGGED,
        VerdictKind.INEXPRESSIBLE,
    }, run.stderr
    interrupt(
        root,
        "DELETE FROM result WHERE scenario IN "
        "('replication/honest', 'replication/nobody-lost', 'benign/works')",
    )
    resumed = harness_run(root, "--resume")
    assert resumed.verdicts == run.verdicts
    assert by_pytest(root) == run.verdicts


def test_a_place_that_cannot_be_prepared(tmp_path: Path) -> None:
    """It is said once; its cases are no results, and wait for --resume."""
    scenarios = {f"benign/{name}": command(f"[echo, {name}]") for name in ("one", "two")}
    root = small_tree(tmp_path, scenarios)
    (empty := tmp_path / "build").mkdir()
    for words in (("--kernel", f"{empty}/"), ("--resume",)):
        run = harness_run(root, *words)
        assert run.status == 3, run.stdout + run.stderr
        assert run.stderr.count("cannot be prepared") == 1
        assert "2 cases did not run; `harness run --resume` goes on" in run.stderr
        assert "BROKEN" not in run.stdout + run.stderr
    assert finished(root) == {}
