"""Facts about the tree: enums equal files equal documents, and nothing is left lying about."""

from __future__ import annotations

import re

import pytest

from enforcer.mechanisms.contract import MechanismName, PreparedName, module_of
from harness.model import Outcome, VerdictKind
from tests.repo.sources import ROOT, texts

README = (ROOT / "README.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
CATALOGUE_ID = re.compile(r"[ABCD][0-9]{1,2}")


def test_every_mechanism_is_a_module_and_the_reverse() -> None:
    """The two sets of names and enforcer/mechanisms hold the same."""
    directory = ROOT / "enforcer" / "mechanisms"
    shared = {
        "__init__",
        "contract",
        "filter_spec",
        "frame",
        "preparing",
        "security_module",
        "whole_calls",
    }
    files = {path.stem for path in directory.glob("*.py")}
    packages = {path.parent.name for path in directory.glob("*/__init__.py")}
    names = {module_of(name).rpartition(".")[2] for name in (*MechanismName, *PreparedName)}
    assert (files | packages) - shared == names


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_the_glossary_defines_every_verdict(kind: VerdictKind) -> None:
    """Each verdict has a row of its own in GLOSSARY.md."""
    assert re.search(rf"^\| {kind.value} \|", GLOSSARY, re.MULTILINE)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_glossary_names_every_outcome(outcome: Outcome) -> None:
    """The glossary's row of `outcome` lists each of them."""
    (row,) = re.findall(r"^\| outcome \|.*$", GLOSSARY, re.MULTILINE)
    assert outcome.value in row


def test_the_readme_names_the_two_commands_that_exist() -> None:
    """README's commands are executable files of ci/, and the landing script calls both."""
    landing = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("ci/quickstart", "ci/test"):
        assert f"./{command}" in README
        assert (ROOT / command).stat().st_mode & 0o111
        assert command in landing


@pytest.mark.parametrize("program", sorted((ROOT / "attacks").glob("*/*.c")), ids=lambda p: p.stem)
def test_every_attack_is_two_files_and_a_scenario(program) -> None:  # type: ignore[no-untyped-def]
    """NAME.c stands beside NAME.yaml, and some scenario runs it."""
    name = f"{program.parent.name}/{program.stem}"
    assert program.with_suffix(".yaml").exists()
    scenarios = (ROOT / "scenarios").glob("*/*.yaml")
    assert any(f"attack: {name}\n" in path.read_text(encoding="utf-8") for path in scenarios)


def test_the_tree_names_no_machine_and_no_registry() -> None:
    """No absolute path of a developer's machine, no address of a package index or mirror."""
    forbidden = re.compile(
        "|".join(
            (
                r"/wor" + "k/",
                r"/roo" + r"t/\.",
                r"pypi\.or" + "g",
                r"deb\.debia" + "n",
            )
        )
    )
    found = [
        f"{path}:{number}"
        for path in texts()
        for number, line in enumerate(
            (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1
        )
        if forbidden.search(line)
    ]
    assert found == []


def test_no_marker_of_unfinished_work_is_left() -> None:
    """No marker of something left to do, and no stub, in the tree."""
    markers = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + "X|Not" + r"Implemented" + "Error)\b")
    found = [
        f"{path}:{number}"
        for path in texts()
        for number, line in enumerate(
            (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1
        )
        if markers.search(line)
    ]
    assert found == []
