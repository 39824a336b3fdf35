"""What forges show of a campaign: SARIF beside the code, Markdown beside the run."""

from __future__ import annotations

import json
from dataclasses import replace

from harness import tree
from harness.report.markdown import markdown
from harness.report.sarif import sarif
from tests.harness.test_results import BROKEN, CAMPAIGN, FALLEN, HELD, ROWS


def test_sarif() -> None:
    """A result for each case that is not as expected, with a rule that is declared and a file that
    forges find in the tree.
    """
    scenario = "race/path-race"
    odd = replace(FALLEN, scenario=scenario, catalogue=(), case_id="race/path-race[x]")
    (run,) = json.loads(sarif((*ROWS, odd), [CAMPAIGN]))["runs"]
    rules = {
        rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]
    }
    found = {each["partialFingerprints"]["case"]: each for each in run["results"]}
    assert set(found) == {FALLEN.case_id, BROKEN.case_id, odd.case_id}
    assert {each["level"] for each in found.values()} == {"error"}
    assert {each["ruleId"] for each in found.values()} == set(rules) == {"A1", "bypassed"}
    assert rules["A1"].startswith("notify-continue-path-race: ")
    (place,) = found["race/path-race[x]"]["locations"]
    uri = place["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == f"scenarios/{scenario}.yaml"
    assert "bypassed instead of held" in found[FALLEN.case_id]["message"]["text"]
    assert run["properties"]["machine"] == "Linux"
    assert json.loads(sarif((HELD,), [CAMPAIGN]))["runs"][0]["results"] == []


def test_the_scenario_of_a_result_is_a_file() -> None:
    """A forge places a result by the name of the scenario's file."""
    paths = (tree.OWN / "scenarios").glob("*/*.yaml")
    assert "race/path-race" in {
        str(path.relative_to(tree.OWN / "scenarios"))[:-5] for path in paths
    }


def test_markdown() -> None:
    """Counts, what is not as expected, a table of equal rows, and no markup out of reasons."""
    odd = replace(FALLEN, reason="a | b *c* <d>\nmore")
    text = markdown((HELD, odd), [CAMPAIGN])
    assert text.startswith("**2 cases, 1 not as expected**")
    assert r"bypassed instead of held: a \| b \*c\* \<d\>" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert {line.replace(r"\|", "").count("|") for line in table} == {5}
    assert "held x1 | **!** BYPASSED x1 |" in table[-1]
    assert "- machine: Linux" in text
