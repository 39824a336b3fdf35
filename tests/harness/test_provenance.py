"""What a result belongs to: whatever could change its verdict, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

import enforcer
import harness
from harness import tree
from harness.attack import load_attacks
from harness.build import source_digest
from harness.model import Limits, Scenario, VerdictKind
from harness.provenance import modules_digest, policy_digest, provenance

ATTACK = load_attacks(tree.OWN / "attacks")["replication/name-forms"]
SCENARIO = Scenario(
    id="x/y",
    title="t",
    path=Path("y.yaml"),
    policy="\n\ndefault: permit\nrules: []\n",
    dialect="yaml",
    attack=ATTACK.id,
)
OTHER = {
    "policy": "\n\ndefault: deny\nrules: []\n",
    "dialect": "systrace",
    "command": ("true",),
    "direct": ("cat", "${denied}"),
    "files": {"a": "content"},
    "features": ("io_uring",),
    "needs": {"cmdline": "quiet"},
    "limits": Limits(timeout_s=1.0),
    "partial": ("seccomp",),
}
SAME = {
    "id": "x/z",
    "title": "another",
    "path": Path("z.yaml"),
    "attack": None,
    "variants": ("dots",),
    "backends": ("ptrace",),
    "leaky": ("leaky-ptrace-bare",),
    "abis": ("i386",),
    "attempts": 9,
    "expect": {"default": VerdictKind.BYPASSED},
    "known": {"ptrace": "A1"},
    "logged": ("ptrace",),
}
"""What selects cases or says what is expected of them, and what has a digest of its own."""


def test_every_field_is_thought_of() -> None:
    """A field of a scenario changes its runs or does not; a new one belongs to either table."""
    assert {field.name for field in fields(Scenario)} == OTHER.keys() | SAME.keys()


@pytest.mark.parametrize("name", [*OTHER, *SAME])
def test_a_policy_is_all_that_its_runs_are_given(name: str) -> None:
    """One that differs in any of that is another; what is expected of it is not of it."""
    other = replace(SCENARIO, **{name: (OTHER | SAME)[name]})  # type: ignore[arg-type]
    assert (policy_digest(other) != policy_digest(SCENARIO)) is (name in OTHER)


def test_files_differ_by_content_too() -> None:
    """Names, contents, and not the order in which they are written."""
    digests = {
        policy_digest(replace(SCENARIO, files=files))
        for files in ({"a": "x", "b": "y"}, {"b": "y", "a": "x"}, {"a": "y", "b": "x"}, {"a": "x"})
    }
    assert len(digests) == 3


def test_where_a_policy_stands_does_not_count() -> None:
    """Inline it has the lines before it, for its errors' sake."""
    moved = replace(SCENARIO, policy="\n" * 9 + SCENARIO.policy)
    assert policy_digest(moved) == policy_digest(SCENARIO)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Small packages in the place of ours."""
    for package in (enforcer, harness):
        init = tmp_path / package.__name__ / "__init__.py"
        (init.parent / "sub" / "__pycache__").mkdir(parents=True)
        init.write_text("")
        (init.parent / "sub" / "module.py").write_text("x = 1\n")
        monkeypatch.setattr(package, "__file__", str(init))
    modules_digest.cache_clear()
    yield tmp_path
    modules_digest.cache_clear()


@pytest.mark.parametrize("package", ["enforcer", "harness"])
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("sub/module.py", True),
        ("sub/new.py", True),
        ("sub/launcher.c", True),
        ("sub/launcher.h", True),
        ("sub/model.txt", True),
        ("sub/numbers.tsv", True),
        ("sub/sandbox.yaml", True),
        ("sub/notes.md", False),
        ("sub/__pycache__/module.py", False),
    ],
)
def test_modules_are_code_and_tables(packages: Path, package: str, name: str, counts: bool) -> None:
    """Of both packages: whatever is read when a case is prepared, run or judged."""
    before = modules_digest()
    (packages / package / name).write_text("x = 2\n")
    modules_digest.cache_clear()
    assert (modules_digest() != before) is counts


def test_a_module_that_moves_is_another(packages: Path) -> None:
    """Its name counts, not its content alone."""
    before = modules_digest()
    module = packages / "enforcer" / "sub" / "module.py"
    module.rename(module.with_name("moved.py"))
    modules_digest.cache_clear()
    assert modules_digest() != before


def test_a_provenance_has_all_four() -> None:
    """Program, policy, modules, machine; a command has no program of ours."""
    found = provenance(SCENARIO, ATTACK, "x86_64", "here")
    assert found.program == source_digest(ATTACK, "x86_64") != source_digest(ATTACK, "i386")
    assert (found.policy, found.modules) == (policy_digest(SCENARIO), modules_digest())
    assert found.machine == "here"
    assert provenance(SCENARIO, None, "x86_64", "here") == replace(found, program="")


def test_a_program_is_its_source_and_its_headers(tmp_path: Path) -> None:
    """Each header counts, used or not; a program that is gone is no program."""
    source, include = tmp_path / "class" / "a.c", tmp_path / "include"
    source.parent.mkdir()
    include.mkdir()
    source.write_text("int main(void) { return 0; }\n")
    (include / "a.h").write_text("/* one */\n")
    attack = replace(ATTACK, program=source)
    digests = [source_digest(attack, "x86_64")]
    (include / "a.h").write_text("/* two */\n")
    digests.append(source_digest(attack, "x86_64"))
    (include / "b.h").write_text("")
    digests.append(source_digest(attack, "x86_64"))
    source.write_text("int main(void) { return 1; }\n")
    digests.append(source_digest(attack, "x86_64"))
    assert len(set(digests)) == 4
    source.unlink()
    with pytest.raises(FileNotFoundError):
        provenance(SCENARIO, attack, "x86_64", "here")
