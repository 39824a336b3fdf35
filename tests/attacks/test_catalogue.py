"""The catalogue of classes: what stands in the file, how its mistakes are told, the page of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.attack import load_attacks
from harness.catalogue import CatalogueError, Entry, Without, catalogue, load_catalogue, order
from harness.cli import cli
from harness.report.coverage import GROUPS, State, coverage, covered, summary
from tests.attacks.laboratory import ROOT

ATTACKS = load_attacks(ROOT)
PUBLISHED = {"A": 18, "B": 23, "C": 32, "D": 36}
"""What the catalogue began with; more may be appended, nothing is taken away."""

ENTRY = """\
A1:
  name: one
  starred: true
  claim: it
  falls: pt
  holds: LL
  oracle: READ
  determinism: D
  sources: [a book]
"""
SECOND = ENTRY.replace("A1", "A2").replace("one", "two")

MISTAKES = {
    "no id": (ENTRY.replace("A1", "1A"), 2, "'1A' is not an id"),
    "a gap": (ENTRY + SECOND.replace("A2", "A3"), 11, "A3 is out of order"),
    "not from one": (SECOND, 2, "A2 is out of order"),
    "an id given twice": (ENTRY + SECOND.replace("A2", "A1"), 10, "given twice"),
    "a name given twice": (ENTRY + SECOND.replace("two", "one"), 11, "A1 has the name 'one', too"),
    "no name": (ENTRY.replace("one", "One"), 2, "'One' is not a name"),
    "an unknown key": (ENTRY.replace("claim", "clam"), 4, "unknown key 'clam'"),
    "a missing key": (ENTRY.replace("  falls: pt\n", ""), 2, "A1 lacks 'falls'"),
    "another mark": (ENTRY.replace("true", "yes"), 3, "'yes' is no mark"),
    "no mapping": ("A1: one\n", 1, "not a mapping"),
    "no evidence": (ENTRY + "  without: {reason: so}\n", 10, "lacks 'evidence'"),
    "an odd word without": (
        ENTRY + "  without: {reason: so, evidence: it, why: not}\n",
        10,
        "unknown key 'why'",
    ),
    "no text": (ENTRY.replace("claim: it", "claim: [it]"), 4, "not a text"),
    "no YAML": ("A1: [", 1, "not YAML"),
}


def write(where: Path, text: str) -> Path:
    path = where / "catalogue.yaml"
    path.write_text(text)
    return path


def test_the_published_classes_are_there() -> None:
    """109 of them, forty starred, each group without a gap; appended ones come behind."""
    found = catalogue()
    counts = Counter(id[0] for id in found)
    assert {group: min(counts[group], first) for group, first in PUBLISHED.items()} == PUBLISHED
    first = [entry for id, entry in found.items() if order(id)[1] <= PUBLISHED.get(id[0], 0)]
    assert (len(first), sum(entry.starred for entry in first)) == (109, 40)
    assert found["B10"].name == "rename-parent"
    assert set(counts) == set(GROUPS)


def test_an_entry_is_read(tmp_path: Path) -> None:
    """Every key lands in its field; what is left out has its default."""
    text = ENTRY + "  needs: root\n  without: {reason: so, evidence: a page}\n" + SECOND
    one, two = load_catalogue(write(tmp_path, text)).values()
    assert one == Entry(
        id="A1",
        name="one",
        starred=True,
        claim="it",
        falls="pt",
        holds="LL",
        oracle="READ",
        needs="root",
        determinism="D",
        sources=("a book",),
        without=Without(reason="so", evidence="a page"),
    )
    assert (two.id, two.needs, two.without) == ("A2", "", None)


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, line: int, said: str) -> None:
    """file:line of the wrong word, and what is wrong."""
    path = write(tmp_path, text)
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(path)
    assert any(
        str(problem).startswith(f"{path}:{line}:") and said in problem.message
        for problem in caught.value.problems
    ), str(caught.value)


def test_ids_have_an_order() -> None:
    """By group and number, not letter by letter."""
    assert sorted(["B1", "A10", "A2"], key=order) == ["A2", "A10", "B1"]


def test_a_class_is_attacked_left_out_with_its_reason_or_open() -> None:
    """An attack that cites it comes first: a reason not to have one is then moot."""
    race, entry = replace(ATTACKS["race/path-race"], wideners=()), catalogue()["A1"]
    without = Without(reason="no such hardware", evidence="a page")
    classes = covered(
        {
            "A1": replace(entry, without=without),
            "A2": replace(entry, starred=False),
            "A5": replace(entry, without=without),
            "A6": entry,
        },
        [race],
    )
    assert [(each.state, each.said) for each in classes] == [
        (State.ATTACKED, "race/path-race"),
        (State.ATTACKED, "race/path-race"),
        (State.WITHOUT, "none: no such hardware (a page)"),
        (State.OPEN, "open"),
    ]
    assert summary(classes) == "2 of 4 classes have attacks, of the 3 starred ones 1."


def test_the_page_says_what_the_files_say() -> None:
    """attacks/COVERAGE.md is made of the catalogue and the manifests."""
    made = coverage(covered(catalogue(), ATTACKS.values()))
    mend = "make it anew: harness list --catalogue --markdown > attacks/COVERAGE.md"
    assert (ROOT / "COVERAGE.md").read_text(encoding="utf-8") == made, mend


def told(*words: str, status: int = 0) -> str:
    found = CliRunner().invoke(cli, words, env={"COLUMNS": "200"})
    assert found.exit_code == status, found.output
    return found.output


LINKS = ["indirect/earlier-link", "indirect/hardlink-alias"]
"""The attacks of B8."""


def test_the_catalogue_is_listed() -> None:
    """As a table with the sum, as JSON with all that is known, and by words of the claims."""
    table = told("list", "--catalogue")
    assert re.search(rf"^B8 +★ +hardlink-alias +{', '.join(LINKS)} *$", table, re.MULTILINE)
    assert summary(covered(catalogue(), ATTACKS.values())) in table
    assert told("list", "catalogue") == table
    (record,) = map(json.loads, told("list", "--catalogue", "--json", "-k", "B8 ").splitlines())
    assert record["claim"] == catalogue()["B8"].claim
    assert (record["state"], record["attacks"]) == ("attacked", LINKS)
    assert "symlink-swap-race" not in told("list", "--catalogue", "-k", "link() the denied")


def test_a_page_is_of_everything() -> None:
    """--markdown with a choice, or of what has no page, is a mistake of usage."""
    assert told("list", "--catalogue", "--markdown").startswith("# Coverage of the catalogue\n")
    for words in (("backends",), ("--catalogue", "--json"), ("attacks", "-k", "race")):
        assert "goes with catalogue, attacks, scenarios, systems alone" in told(
            "list", "--markdown", *words, status=2
        )


def test_the_attacks_page_is_current() -> None:
    """docs/attacks.md is made of manifests, programs and scenarios."""
    made = told("list", "attacks", "--markdown")
    mend = "make it anew: harness list attacks --markdown > docs/attacks.md"
    assert (ROOT.parent / "docs" / "attacks.md").read_text(encoding="utf-8") == made, mend


def test_an_attack_is_told_whole() -> None:
    """Claim and interleaving as the program has them, classes, who falls, who is known to."""
    page = told("list", "attacks", "--markdown")
    of_it = page.split("### metadata\n")[1].split("\n### ")[0]
    entry = ATTACKS["subset/metadata"]
    for part in (
        "Claim: ",
        "- classes: C18\n",
        "- falls: leaky-notify-content-only\n",
        "- known weaknesses: apparmor, times (C18), landlock (C18), tomoyo, times (C18)\n",
        "- scenarios: subset/metadata\n",
        *entry.source,
    ):
        assert part in of_it, part
    assert page.count("\n### ") == len(ATTACKS)


def test_the_known_bypasses_are_current() -> None:
    """docs/limits.md has each `known` of the scenarios, with its class and claim."""
    made = told("list", "scenarios", "--markdown")
    mend = "put it there anew: harness list scenarios --markdown"
    assert made in (ROOT.parent / "docs" / "limits.md").read_text(encoding="utf-8"), mend
    claim = catalogue()["C25"].claim
    assert f"| notify | indirect/descriptor-import-permitted | C25 fd-import | {claim} |" in made, (
        made
    )


@pytest.mark.parametrize("name", ["B8", "hardlink-alias"])
def test_a_class_is_explained(name: str) -> None:
    """By id or name: claim, who falls and holds, sources, the attack here and its scenarios."""
    entry = catalogue()["B8"]
    text = " ".join(told("explain", name).split())
    for part in (entry.claim, entry.falls, entry.holds, entry.needs, *entry.sources):
        assert part in text
    assert "B8 hardlink-alias (starred)" in text
    assert f"here: {', '.join(LINKS)} harness explain indirect/" in text


def test_evidence_that_names_a_file_of_the_tree_names_one_that_is_there() -> None:
    """A reason to be without an attack rests on tests and scenarios that exist."""
    named = [
        path
        for entry in catalogue().values()
        if entry.without
        for path in re.findall(r"tests/[\w/]+\.py", entry.without.evidence)
    ]
    assert len(named) > 2
    assert [path for path in named if not (ROOT.parent / path).is_file()] == []


def test_an_attack_leads_to_its_classes() -> None:
    """What explains a scenario names the class of its attack and the command that tells all."""
    text = told("explain", "indirect/hardlink-alias")
    assert "class B8 hardlink-alias: harness explain B8" in text
