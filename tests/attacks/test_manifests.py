"""What the manifests say, and how their mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.syscalls import number
from harness.attack import (
    Attack,
    AttackClass,
    AttackKind,
    ManifestError,
    load_attack,
    load_attacks,
)
from harness.ways import EXECVEAT, Way
from harness.wideners import Widener
from tests.attacks.laboratory import ROOT

GOOD = """\
name: example
title: an example
catalogue: [A1]
effect: read
kind: deterministic
abis: [x86_64]
sentinel: file
direct_call: openat
source: [nobody]
"""

FIRST_SEVENTEEN = {
    "A1", "A2", "A3", "A4", "A8", "A14", "B1", "B3", "B4", "B8", "B9", "B11",
    "C2", "C5", "C7", "D1", "D7", "D14",
}  # fmt: skip

MISTAKES = [
    ("an unknown key", "sentinel:", "sentinal:", 7, 1, "sentinal"),
    ("a key given twice", "title: an example", "name: example", 2, 1, "twice"),
    ("a name unlike the file's", "name: example", "name: other", 1, 7, "'other'"),
    ("an id outside the catalogue", "[A1]", "[A1, A19]", 3, 17, "'A19'"),
    ("an unknown effect", "effect: read", "effect: reed", 4, 9, "'reed'"),
    ("an effect nobody sees", "sentinel: file", "sentinel: port", 7, 11, "effect read"),
    ("an unknown ABI", "[x86_64]", "[x86-64]", 6, 8, "'x86-64'"),
    ("a text for a list", "[nobody]", "nobody", 9, 9, "'source'"),
    ("a list for a text", "an example", "[an, example]", 2, 8, "'title'"),
    ("attempts of a certain thing", "[nobody]", "[nobody]\nattempts: {quick: 2}", 10, 11, "races"),
    ("an unknown way", "[nobody]", "[nobody]\nways: [opennat2]", 10, 8, "'opennat2'"),
    ("a way of another call", "[nobody]", "[nobody]\nways: [sendto]", 10, 7, "connect"),
    ("an unknown widener", "[nobody]", "[nobody]\nwideners: [filtr]", 10, 12, "'filtr'"),
    ("a widener of no race", "[nobody]", "[nobody]\nwideners: [filter]", 10, 11, "races"),
    ("a way given twice", "[nobody]", "[nobody]\nways: [warm, warm]", 10, 7, "twice"),
    ("an unknown call", "[nobody]", "[nobody]\nattack_call: opennat", 10, 14, "'opennat'"),
    ("an unknown direct call", "direct_call: openat", "direct_call: opennat", 8, 14, "'opennat'"),
    ("a variant's unknown call", "[nobody]", "[nobody]\nvariants: {a: opn}", 10, 15, "'opn'"),
    ("a variant like a way", "[nobody]", "[nobody]\nvariants: [a+b]", 10, 11, "'a+b'"),
    ("an unknown feature", "[nobody]", "[nobody]\nneeds: [io_urin]", 10, 9, "'io_urin'"),
    ("an empty text", "an example", "''", 2, 8, "empty"),
    ("broken YAML", "[A1]", "[A1", 4, 7, "not YAML"),
    ("no mapping", GOOD, "- name\n", 1, 1, "mapping"),
    ("a missing key", "title: an example\n", "", 1, 1, "'title' is missing"),
]


def write(directory: Path, text: str, *, attack_class: str = "race") -> Path:
    folder = directory / attack_class
    folder.mkdir(exist_ok=True)
    (folder / "example.c").write_text("int main(void) { return 0; }\n")
    manifest = folder / "example.yaml"
    manifest.write_text(text)
    return manifest


def test_every_program_has_its_manifest_and_every_manifest_its_program() -> None:
    """Files, manifests and loaded attacks are the same set, in directories named as the classes."""
    attacks = load_attacks(ROOT)
    programs = {path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("*/*.c")}
    assert {Path(name) for name in attacks} == programs
    assert {path.parts[0] for path in programs} <= set(AttackClass)
    assert len({attack.name for attack in attacks.values()}) == len(attacks)


def test_the_first_seventeen_are_there() -> None:
    """The attacks that the laboratory began with, by their catalogue ids."""
    found = {entry for attack in load_attacks(ROOT).values() for entry in attack.catalogue}
    assert found >= FIRST_SEVENTEEN


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*.c")), ids=lambda path: path.stem)
def test_a_program_makes_one_claim_briefly(path: Path) -> None:
    """At most 120 lines, a header with the claim and its catalogue ids, and no sleeping."""
    text = path.read_text()
    attack = load_attack(path.with_suffix(".yaml"))
    header = text[: text.index("*/")]
    assert text.count("\n") <= 120
    assert "Claim: " in header
    assert all(entry in header for entry in attack.catalogue)
    assert "sleep" not in text


def test_a_manifest_is_read(tmp_path: Path) -> None:
    """Every key lands in its field; what is left out has its default."""
    attack = load_attack(write(tmp_path, GOOD))
    assert attack.id == "race/example"
    assert attack.attack_class is AttackClass.RACE
    assert (attack.variants, attack.needs) == (("default",), ())
    assert (attack.attempts.default, attack.attempts.quick) == (1, 1)


def test_the_first_variant_goes_every_way(tmp_path: Path) -> None:
    """The others stay plain, so that a way more is one variant more."""
    text = GOOD + "variants: [b, a]\nways: [warm, openat2]\n"
    attack = load_attack(write(tmp_path, text))
    assert attack.expanded("x86_64") == ("b", "a", "b+warm", "b+openat2")


def test_a_way_is_left_out_where_its_call_does_not_exist(tmp_path: Path) -> None:
    """By the tables of numbers: open and creat are no calls of arm64, and rename is none of it."""
    attack = load_attack(write(tmp_path, GOOD + "ways: [open, openat2, creat, dirfd]\n"))
    assert attack.expanded("arm64") == ("default", "default+openat2", "default+dirfd")
    assert attack.expanded("i386") == attack.every_variant


CALLS = [
    ("plainly, the direct attempt's", "", "default", {"openat"}),
    ("by another call", "ways: [creat]", "default+creat", {"creat"}),
    ("by another name", "ways: [dirfd]", "default+dirfd", {"openat"}),
    ("its own", "attack_call: [linkat, openat]", "default", {"linkat", "openat"}),
    (
        "its own, one of them by another",
        "attack_call: [linkat, openat]\nways: [openat2]",
        "default+openat2",
        {"linkat", "openat2"},
    ),
    ("its variant's", "variants: {a: fchmodat, b: [utimensat, openat]}", "a", {"fchmodat"}),
    ("a list", "variants: {a: fchmodat, b: [utimensat, openat]}", "b", {"utimensat", "openat"}),
    ("an interpreter's too", "attack_call: execve\nways: [dirfd]", "default+dirfd", {*EXECVEAT}),
]


@pytest.mark.parametrize(
    ("lines", "variant", "calls"), [row[1:] for row in CALLS], ids=[row[0] for row in CALLS]
)
def test_the_calls_that_a_log_must_show(
    tmp_path: Path, lines: str, variant: str, calls: set[str]
) -> None:
    """The attack's follow the way, the direct attempt's never."""
    attack = load_attack(write(tmp_path, f"{GOOD}{lines}\n"))
    assert attack.attack_calls(variant) == calls
    assert attack.direct_calls(variant) == {"openat"}


@pytest.mark.parametrize("attack", load_attacks(ROOT).values(), ids=lambda attack: attack.id)
def test_an_attack_makes_calls_that_exist(attack: Attack) -> None:
    """On each of its ABIs, for every variant and way that is run there."""
    for abi in attack.abis:
        for variant in attack.expanded(abi):
            for call in attack.attack_calls(variant) | attack.direct_calls(variant):
                assert number(abi, call) is not None, (abi, variant, call)


def test_every_way_is_gone_by_some_attack() -> None:
    """Else nobody would notice what way.h makes of it."""
    assert {way for attack in load_attacks(ROOT).values() for way in attack.ways} == set(Way)


def test_every_widener_is_had_by_some_race() -> None:
    """Else nobody would notice what widen.h makes of it."""
    every = load_attacks(ROOT).values()
    assert {widener for attack in every for widener in attack.wideners} == set(Widener)


def test_a_widener_is_a_variant_with_a_class_and_a_need_of_its_own(tmp_path: Path) -> None:
    """The plain variant has neither; the attack shows the classes of all its wideners."""
    race = GOOD.replace("deterministic", AttackKind.RACE)
    attack = load_attack(write(tmp_path, race + "wideners: [filter, userfaultfd, one-cpu]\n"))
    assert attack.expanded("arm64")[1:] == attack.every_variant[1:]
    assert attack.every_class == ("A1", "A12", "A7")
    found = {each: (attack.classes(each), attack.needed(each)) for each in attack.every_variant}
    assert found == {
        "default": (("A1",), ()),
        "default+filter": (("A1", "A12"), ()),
        "default+userfaultfd": (("A1", "A7"), ("userfaultfd",)),
        "default+one-cpu": (("A1",), ()),
    }


def test_a_race_has_attempts(tmp_path: Path) -> None:
    """2,000 by default, 400 in a quick run, or what the manifest says."""

    def attempts(text: str) -> tuple[int, int]:
        found = load_attack(write(tmp_path, text)).attempts
        return found.default, found.quick

    race = GOOD.replace("deterministic", AttackKind.RACE)
    assert attempts(race) == (2_000, 400)
    assert attempts(race + "attempts: {quick: 7}\n") == (2_000, 7)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "said"),
    [mistake[1:] for mistake in MISTAKES],
    ids=[mistake[0] for mistake in MISTAKES],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, line: int, column: int, said: str
) -> None:
    """file:line:column of the wrong word, and what is wrong."""
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ManifestError) as caught:
        load_attack(path)
    assert any(
        str(problem).startswith(f"{path}:{line}:{column}: ") and said in problem.message
        for problem in caught.value.problems
    ), str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Two in one manifest, one in the directory's name."""
    text = GOOD.replace("effect: read", "effect: reed").replace("x86_64", "x87")
    path = write(tmp_path, text, attack_class="races")
    with pytest.raises(ManifestError) as caught:
        load_attacks(path.parent.parent)
    assert len(caught.value.problems) == 3


def test_a_program_without_a_manifest_is_a_mistake(tmp_path: Path) -> None:
    """It would never be run, and nobody would notice."""
    write(tmp_path, GOOD).unlink()
    with pytest.raises(ManifestError, match="no manifest"):
        load_attacks(tmp_path)


def test_attack_is_frozen(tmp_path: Path) -> None:
    """Loaded once, shared by all cases."""
    attack = load_attack(write(tmp_path, GOOD))
    assert isinstance(attack, Attack)
    with pytest.raises(AttributeError):
        attack.name = "other"  # type: ignore[misc]
