"""Scenario files: every mistake at once, with file, line, column and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import tree
from harness.attack import load_attacks
from harness.backends import names
from harness.model import VerdictKind
from harness.places.choice import boot_options
from harness.places.features import FEATURES
from harness.scenario import (
    Known,
    ScenarioError,
    load_scenario,
    load_scenarios,
    scenario_files,
    substitute,
)

ROOT = tree.OWN
KNOWN = Known(attacks=load_attacks(ROOT / "attacks"), backends=names())
GOOD = """\
title: a title
attack: race/path-race
policy:
  default: permit
  rules:
    - deny[eacces]: fsread
      when: filename eq "${denied}"
"""


def load(tmp_path: Path, text: str) -> object:
    """The scenario of this text, or the messages of its mistakes."""
    path = tmp_path / "race" / "case.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    try:
        return load_scenario(path, tmp_path, KNOWN)
    except ScenarioError as error:
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.problems]


def test_a_scenario(tmp_path: Path) -> None:
    """What is left out means everything; the id is the path; placeholders stay in the policy."""
    scenario = load_scenario(_write(tmp_path, GOOD), tmp_path, KNOWN)
    assert scenario.id == "race/case"
    assert scenario.attack == "race/path-race"
    assert scenario.backends == scenario.abis == scenario.variants == ()
    assert "${denied}" in scenario.policy
    assert scenario.dialect == "yaml"


def test_a_sandbox_of_ones_own(tmp_path: Path) -> None:
    """A backend may be the file that describes it, from where ids start; expectations name it as
    reports do.
    """
    (tmp_path / "mine.yaml").write_text("")
    text = GOOD + "backends: [mine.yaml, ptrace]\nexpect: {mine/i386: bypassed}\n"
    scenario = load_scenario(_write(tmp_path, text), tmp_path, KNOWN)
    assert scenario.backends == (str(tmp_path / "mine.yaml"), "ptrace")
    assert scenario.expect == {"mine/i386": VerdictKind.BYPASSED}
    assert "there is no file other.yaml" in str(load(tmp_path, GOOD + "backends: [other.yaml]\n"))


def test_ids_have_one_spelling(tmp_path: Path) -> None:
    """As attacks have, whatever joins the words of the file's name."""
    path = _write(tmp_path, GOOD).rename(tmp_path / "race" / "one_case-more.yaml")
    assert load_scenario(path, tmp_path, KNOWN).id == "race/one-case-more"


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "race" / "case.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_historic_language(tmp_path: Path) -> None:
    """A block of text is a policy in the historic language."""
    text = """\
title: a title
attack: race/path-race
policy: |
  Policy: ${program}, Emulation: native
      native-fsread: filename eq "${denied}" then deny[eacces]
      native-read: permit
"""
    scenario = load_scenario(_write(tmp_path, text), tmp_path, KNOWN)
    assert scenario.dialect == "systrace"


MISTAKES = [
    ("unknown key", GOOD + "backend: [ptrace]\n", "8:1: unknown key 'backend'", "backends"),
    ("twice", GOOD + "title: again\n", "8:1: 'title' is given twice", "leave one out"),
    ("no title", GOOD.replace("title: a title\n", ""), "1:1: `title` is missing", "title: ..."),
    (
        "unknown attack",
        GOOD.replace("path-race", "path-rase"),
        "2:9: there is no attack 'race/path-rase'",
        "did you mean race/path-race?",
    ),
    (
        "unknown backend",
        GOOD + "backends: [ptrase]\n",
        "8:12: there is no backend 'ptrase'",
        "did you mean ptrace?",
    ),
    ("unknown variant", GOOD + "variants: [x]\n", "8:12: race/path-race has no variant 'x'", ""),
    ("unknown abi", GOOD + "abis: [i686]\n", "8:8: 'i686' is no ABI", "i386"),
    (
        "unknown verdict",
        GOOD + "expect: {ptrace: helt}\n",
        "8:18: 'helt' is no verdict",
        "did you mean held?",
    ),
    (
        "unknown weakness",
        GOOD + "known: {ptrace: Z9}\n",
        "8:17: 'Z9' is not an id of the catalogue",
        "",
    ),
    (
        "unknown limit",
        GOOD + "limits: {timeout: 3}\n",
        "8:10: unknown limit 'timeout'",
        "timeout_s",
    ),
    (
        "unknown feature",
        GOOD + "needs: [ia32, io_urin]\n",
        "8:15: 'io_urin' is no feature that can be probed",
        "did you mean io_uring?",
    ),
    (
        "a feature like no other",
        GOOD + "needs: {features: [magic]}\n",
        "8:20: 'magic' is no feature that can be probed",
        "write one of " + ", ".join(sorted(FEATURES)),
    ),
    ("unknown need", GOOD + "needs: {lsn: [x]}\n", "8:9: unknown need 'lsn'", "did you mean lsm?"),
    ("no number", GOOD + "limits: {timeout_s: x}\n", "8:21: 'x' is not a number", ""),
    ("no count", GOOD + "attempts: 0\n", "8:11: '0' is no count", ""),
    (
        "unknown placeholder",
        GOOD.replace("${denied}", "${deny}"),
        "unknown placeholder ${deny}",
        "did you mean denied?",
    ),
    (
        "attack and command",
        GOOD + "command: [ls]\n",
        "1:1: a scenario has either `attack` or `command`",
        "",
    ),
    ("no policy", "title: x\nattack: race/path-race\n", "either `policy` or `policy_file`", ""),
    (
        "missing policy file",
        "title: x\nattack: race/path-race\npolicy_file: no.yaml\n",
        "3:14: there is no file",
        "",
    ),
    (
        "mistake in the policy, in its place",
        GOOD.replace("fsread", "fsred"),
        "6:21:",
        "did you mean fsread?",
    ),
    ("no mapping", "- a\n- b\n", "1:1: a scenario is a mapping", ""),
    ("no YAML", "title: [a\n", "not YAML", ""),
    ("a tab", "title:\t- a: b\n\tc", "not YAML", ""),
    ("control character", "title: \x01\n", "not YAML", ""),
]


@pytest.mark.parametrize(
    ("text", "message", "mend"),
    [pytest.param(*rest, id=name) for name, *rest in MISTAKES],
)
def test_mistakes(tmp_path: Path, text: str, message: str, mend: str) -> None:
    """Each mistake names its place and, where one is near, the fix."""
    found = load(tmp_path, text)
    assert isinstance(found, list)
    assert any(message in each and mend in each for each in found), found
    assert all(each.startswith("race/case.yaml:") for each in found)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Two mistakes in each of two files are four problems of one exception."""
    for name in ("one", "two"):
        path = tmp_path / "race" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(GOOD + "titel: x\nattempts: many\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenarios(tmp_path, KNOWN)
    assert len(caught.value.problems) == 4


def test_needs(tmp_path: Path) -> None:
    """A list names features; a mapping has them beside what a machine is booted with."""
    scenario = load_scenario(_write(tmp_path, GOOD + "needs: [ia32]\n"), tmp_path, KNOWN)
    assert (scenario.features, scenario.needs) == (("ia32",), {})
    text = GOOD + "needs: {features: [ia32], lsm: [apparmor, landlock], cmdline: a b}\n"
    scenario = load_scenario(_write(tmp_path, text), tmp_path, KNOWN)
    assert scenario.features == ("ia32",)
    assert boot_options(scenario.needs) == "lsm=apparmor,landlock a b"


def test_substitution() -> None:
    """Known names are replaced, others stay."""
    assert substitute("${a} ${b} $a", {"a": "1"}) == "1 ${b} $a"


def test_our_own_scenarios() -> None:
    """At least 40 scenarios load; every attack defeats a leaky backend, and each of those falls."""
    scenarios = load_scenarios(ROOT / "scenarios", KNOWN)
    assert len(scenarios) >= 40
    assert len(scenarios) == len(scenario_files(ROOT / "scenarios"))
    assert {scenario.attack for scenario in scenarios} >= set(KNOWN.attacks)
    defeated = {scenario.attack for scenario in scenarios if scenario.leaky}
    assert defeated >= set(KNOWN.attacks)
    used = {name for scenario in scenarios for name in scenario.leaky}
    assert used == {name for name in names() if name.startswith("leaky-")}


def test_expectations_by_abi(tmp_path: Path) -> None:
    """`backend/abi` is more special than `backend`, and that than `default`."""
    text = GOOD + "expect: {default: held, seccomp: inexpressible, seccomp/i386: bypassed}\n"
    scenario = load_scenario(_write(tmp_path, text), tmp_path, KNOWN)
    assert scenario.expect["seccomp/i386"] is VerdictKind.BYPASSED
