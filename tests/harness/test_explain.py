"""`harness explain`: what a case needs, and which leaky race a race is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from enforcer.arch import native
from harness.backends import names
from harness.campaign import belongs
from harness.cases import Selection, expand
from harness.cli import cli
from harness.cli.load import Laboratory, laboratory
from harness.model import Case
from harness.places.local import kernel_release
from harness.results import Origin, Store, row_of
from harness.runner import Job, broken_result

BACKENDS = ("ptrace", "leaky-ptrace-bare")


def races(lab: Laboratory) -> dict[str, Case]:
    """The path race of ptrace and of the leaky backend that it is judged by."""
    selection = Selection(
        ours=names(), backends=BACKENDS, abis=(native().abis[0].name,), kernel=kernel_release()
    )
    scenarios = [lab.scenario("race/path-race")]
    return {case.backend: case for case in expand(scenarios, lab.attacks, selection)}


def explain(name: str, results: Path) -> str:
    told = CliRunner().invoke(
        cli, ["explain", name, "--results", str(results)], env={"COLUMNS": "200"}
    )
    assert told.exit_code == 0, told.output
    return told.output


def test_a_race_tells_its_reference(tmp_path: Path) -> None:
    """Whether it was measured, by which enforcer and when, and how many attempts that asks for."""
    lab = laboratory()
    found = races(lab)
    results = tmp_path / "results.sqlite"
    assert "not measured yet" in explain(found["ptrace"].id, results)
    leaky = found["leaky-ptrace-bare"]
    attack = lab.attacks["race/path-race"]
    job = Job(case=leaky, attack=attack, attempts=2000)
    won = replace(row_of(broken_result(job, "")), verdict="bypassed", attempts=2000, wins=2)
    store = Store(results)
    campaign = store.begin([], 1, Origin(root="/tree", tree="", machine=""))
    store.add(campaign.id, replace(won, provenance=belongs(job)))
    store.close()
    told = explain(found["ptrace"].id, results)
    assert (
        "leaky-ptrace-bare lost 2 of 2000 (campaign 1, 0 min ago), 38868 attempts are needed"
        in told
    )
    assert "38868 attempts in a full run" in told
    assert leaky.id not in told


def test_needs_are_told(tmp_path: Path) -> None:
    """The attack's and the scenario's, and whether they are here."""
    told = explain("subset/io-uring-open", tmp_path / "none")
    assert "needs: io_uring (" in told


def test_one_case_is_explained_alone(tmp_path: Path) -> None:
    """Of the backends, only its own."""
    case = races(laboratory())["ptrace"]
    told = explain(case.id, tmp_path / "none")
    assert "    ptrace: in full" in told
    assert "notify: " not in told


def test_either_spelling_is_understood(tmp_path: Path) -> None:
    """Of a scenario, of a case and of an attack that has no scenario of its name."""
    none = tmp_path / "none"
    assert explain("race/path_race", none) == explain("race/path-race", none)
    case = races(laboratory())["ptrace"].id
    assert explain(case.replace("-", "_"), none).startswith("race/path-race: ")
    alone = explain("subset/execveat", none)
    assert alone == explain("attacks/subset/execveat.yaml", none)
    assert "Attack subset/execveat: " in alone
    assert "harness explain subset/execveat-copy" in alone
