"""Campaigns find, shrink, keep, replay and promote; the command line says all of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import Phase, find, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS
from harness.cli.fuzz import command
from harness.fuzz import findings
from harness.fuzz.benchmark import hunt
from harness.fuzz.campaign import Budget, Finding, run_campaign
from harness.fuzz.cases import FilterCase, filter_cases
from harness.fuzz.findings import FindingError, keep, load, promote, replay
from harness.fuzz.mutants import MUTANTS, planted
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.registry import PROPERTIES
from harness.fuzz.show import policy_text
from harness.fuzz.wire import CaseError, from_json, to_json

LAST = MUTANTS["last-clause-wins"]


def test_a_finding_is_minimal_kept_once_and_can_be_replayed(tmp_path: Path) -> None:
    """The shrunk case breaks the property while the mistake is planted and holds without it."""
    with planted(LAST):
        campaign = run_campaign(PROPERTIES["compiler"], Budget(examples=50), number=1)
        (finding,) = campaign.findings
        kept, new = keep(finding, tmp_path)
        assert new
        assert not keep(finding, tmp_path)[1]
        assert replay(load(kept.path)).text == finding.text()
    assert isinstance(finding.case, FilterCase)
    assert len(finding.case.policy.rules) <= 1
    assert finding.text().startswith(policy_text(finding.case.policy).rstrip() + "\n")
    assert all(f"\n{word}" in finding.text() for word in ("call:", "expected:", "got:"))
    assert replay(findings.find(kept.id[:12], tmp_path)).text == ""
    assert load(promote(kept, tmp_path / "examples")).case == finding.case


def test_a_campaign_can_be_repeated() -> None:
    """The same seed finds the same thing after as many examples."""
    first, again = (hunt(LAST, Budget(examples=50), 3) for _ in range(2))
    assert (first.examples, first.text) == (again.examples, again.text)


@pytest.mark.parametrize("target", PROPERTIES.values(), ids=PROPERTIES.keys())
def test_cases_survive_json(target: Property[Any]) -> None:
    """Every kind of case can be written down."""

    def check(case: object, tally: Tally) -> None:
        assert from_json(json.loads(json.dumps(to_json(case)))) == case

    assert not run_campaign(replace(target, check=check, search=None), Budget(examples=5)).findings


def test_only_cases_have_a_json_form() -> None:
    """Anything else is refused."""
    with pytest.raises(CaseError):
        to_json(object())
    with pytest.raises(CaseError):
        from_json({"class": "Popen"})


def test_a_missing_finding_is_an_error(tmp_path: Path) -> None:
    """The message says where it was looked for."""
    with pytest.raises(FindingError, match=str(tmp_path)):
        findings.find("nothing", tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FindingError, match="no finding"):
        load(tmp_path / "x.json")


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding is printed with both answers and the command that replays it; status 1."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    runner = CliRunner()
    with planted(LAST):
        result = runner.invoke(command, ["compiler", "--examples", "30", "--seed", "1"])
        assert result.exit_code == 1, result.output
        assert "BROKEN" in result.output
        (again,) = [line for line in result.output.splitlines() if "fuzz replay" in line]
        name = again.split()[-1]
        assert runner.invoke(command, ["replay", name]).exit_code == 1
    held = runner.invoke(command, ["replay", name])
    assert (held.exit_code, held.output) == (0, f"{name}: the property holds\n")
    assert name in runner.invoke(command, ["findings"]).output
    assert runner.invoke(command, ["memory", "--examples", "5"]).exit_code == 0
    wrong = runner.invoke(command, ["compilr"])
    assert wrong.exit_code == 2
    assert "did you mean compiler" in wrong.output


@pytest.mark.parametrize(
    ("now", "status", "said"),
    [
        pytest.param(Mismatch(got="odd", third_party="other"), 0, "about other:\n", id="theirs"),
        pytest.param(Mismatch(got="odd"), 1, "got:     odd", id="ours by now"),
        pytest.param(ValueError("crash"), 1, "crash", id="a crash of ours"),
        pytest.param(None, 0, "the property holds", id="gone"),
    ],
)
def test_a_third_partys_finding_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    now: Exception | None,
    status: int,
    said: str,
) -> None:
    """Whose fault it is now decides, not whose it was; one of others is told and fails nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tried = []

    def check(case: object, tally: Tally) -> None:
        tried.append(case)
        if now is not None:
            raise now

    target = PROPERTIES["compiler"]
    monkeypatch.setitem(PROPERTIES, target.name, replace(target, check=check))
    policy = find(filter_cases(), lambda case: True, settings=settings(database=None))
    was = Mismatch(got="odd", third_party="other")
    finding = Finding(target=target.name, case=policy, error=was, examples=1, seconds=0.0)
    kept, _ = keep(finding, findings.fuzz_directory() / "findings")
    result = CliRunner().invoke(command, ["replay", kept.id])
    assert (result.exit_code, tried) == (status, [policy]), result.output
    assert said in result.output


@pytest.mark.parametrize("abi", ABIS)
def test_filter_cases_cover_every_abi(abi: str) -> None:
    """Big-endian and 32-bit ones too: a case with each can be drawn."""
    few = settings(max_examples=2000, phases=[Phase.generate], database=None, derandomize=False)
    abis = filter_cases().map(lambda case: case.abis)
    assert abi in find(abis, lambda found: abi in found, settings=few, random=Random(0))


def test_loaded_modules_change_no_example(tmp_path: Path) -> None:
    """A seed stands for the same examples whatever tests ran in this process before."""

    def drawn() -> list[int]:
        found: list[int] = []

        def check(case: int, tally: Tally) -> None:
            found.append(case)

        target = Property(name="n", claim="", group="", cases=st.integers(), check=check)
        run_campaign(target, Budget(examples=400), number=1)
        return found

    before = drawn()
    source = tmp_path / "loaded_later.py"
    source.write_text("".join(f"a{n} = {10**9 + n * 7}\n" for n in range(500)))
    spec = importlib.util.spec_from_file_location("loaded_later", source)
    assert spec is not None
    sys.modules["loaded_later"] = importlib.util.module_from_spec(spec)
    try:
        assert drawn() == before
    finally:
        del sys.modules["loaded_later"]


def test_every_property_test_tries_the_same_examples() -> None:
    """No test of a landing depends on chance or on what failed before."""
    assert settings().derandomize
    assert settings().database is None
