"""Which cases the user's words choose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.syscalls import number
from harness.attack import Attack, load_attacks
from harness.backends import names
from harness.cases import Selection, expand, matches, variants_of
from harness.cli.load import our_backends
from harness.model import Scenario, VerdictKind
from harness.scenario import Known, load_scenarios

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = load_attacks(ROOT / "attacks")
SCENARIOS = load_scenarios(ROOT / "scenarios", Known(attacks=ATTACKS, backends=names()))
KILL = ATTACKS["machinery/supervisor-kill"]


@pytest.mark.parametrize(
    ("keywords", "chosen"),
    [
        ((), True),
        (("path_race",), True),
        (("path-race",), True),
        (("x86-64",), True),
        (("PATH_RACE", "ptrace"), True),
        (("path_race", "notify"), False),
        (("cwd_race or path_race",), True),
        (("cwd_race or symlink", "ptrace"), False),
        (("cwd_race or path_race", "notify or ptrace"), True),
    ],
)
def test_all_keywords_and_one_of_their_alternatives(
    keywords: tuple[str, ...], chosen: bool
) -> None:
    """Repeated keywords narrow, alternatives within one widen."""
    assert matches("race/path-race[ptrace-x86_64]", keywords) is chosen


def test_a_keyword_may_name_the_attack() -> None:
    """A scenario of another name is found by the attack that it uses."""
    (found,) = (each for each in SCENARIOS if each.id == "machinery/supervisor-stop")
    assert found.attack == KILL.id
    for word, is_found in ((KILL.id, True), ("supervisor_kill", True), ("path-race", False)):
        chosen = Selection(ours=("ptrace",), keywords=(word,))
        assert bool(expand((found,), ATTACKS, chosen)) is is_found


def scenario(*variants: str, known: dict[str, str] | None = None) -> Scenario:
    """One of an attack that can kill, stop or limit, the first in several ways."""
    (found,) = (each for each in SCENARIOS if each.id == "machinery/supervisor-stop")
    return replace(found, variants=variants, known=known or {}, leaky=())


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        ((), KILL.every_variant),
        (("stop",), ("stop",)),
        (("stop", "kill"), tuple(each for each in KILL.every_variant if each != "limit")),
        (("kill+warm",), ("kill+warm",)),
        (("kill", "kill+warm"), ("kill", "kill+warm")),
    ],
)
def test_a_variant_that_a_scenario_names_stands_for_its_ways(
    named: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    """But where the scenario names ways of it itself."""
    assert variants_of(scenario(*named), KILL, "x86_64") == taken


def test_wideners_are_run_where_a_scenario_names_them() -> None:
    """They stand in no matrix by themselves, whatever else is named."""
    race = ATTACKS["race/path-race"]
    plain = variants_of(scenario(), race, "x86_64")
    assert plain == ("default", *(f"default+{way}" for way in race.ways))
    assert variants_of(scenario("default"), race, "x86_64") == plain
    named = ("default+filter", "default+one-cpu")
    assert variants_of(scenario(*named), race, "x86_64") == named


def test_a_way_without_its_call_is_not_expanded() -> None:
    """arm64 has no open."""
    assert number("arm64", "open") is None
    (found,) = set(KILL.expanded("x86_64")) - set(variants_of(scenario(), KILL, "arm64"))
    assert found == "kill+open"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=lambda attack: attack.id)
def test_a_quick_run_takes_the_plain_variants_and_one_way(attack: Attack) -> None:
    """On the first ABI; on the others no way."""
    plain = scenario()
    taken = variants_of(plain, attack, attack.abis[0], most_ways=1)
    assert taken[: len(attack.variants)] == attack.variants
    assert len(taken) == len(attack.variants) + bool(attack.ways)
    assert set(taken) <= set(attack.every_variant)
    assert variants_of(plain, attack, attack.abis[0], most_ways=0) == attack.variants


def test_a_quick_run_takes_ways_on_one_abi_only() -> None:
    """The same cases but for the ways, of which each attack keeps one on its first ABI."""
    both = Selection(ours=("ptrace",), kernel="6.18", here=("x86_64", "i386"))
    every = expand([scenario()], ATTACKS, both)
    quick = expand([scenario()], ATTACKS, replace(both, quick=True))
    assert {case.id for case in quick} < {case.id for case in every}
    assert [case.abi for case in quick if "+" in case.variant] == ["x86_64"]
    assert [case.variant for case in quick if case.abi == "i386"] == [*KILL.variants]


def test_the_quick_ways_of_all_attacks_differ() -> None:
    """Each attack takes another of those that many have."""
    ways = {
        variant.partition("+")[2]
        for attack in ATTACKS.values()
        for variant in variants_of(scenario(), attack, attack.abis[0], most_ways=1)
    }
    assert ways >= {"open", "openat2", "relative", "dirfd", "warm", "sendmsg"}


@pytest.mark.parametrize(
    ("known", "weak"),
    [
        ({"ptrace": "D14"}, {"kill", "kill+warm", "kill+open"}),
        ({"ptrace/kill": "D14"}, {"kill"}),
        ({"ptrace/kill+warm": "D14"}, {"kill+warm"}),
        ({"ptrace/open": "D14"}, {"kill+open"}),
        ({"ptrace/x86_64": "D14"}, {"kill", "kill+warm", "kill+open"}),
        ({"ptrace/i386": "D14", "notify": "D14"}, set()),
    ],
)
def test_a_weakness_is_of_a_backend_or_of_one_variant_way_or_abi(
    known: dict[str, str], weak: set[str]
) -> None:
    """`known` and `expect` name the narrowest that they mean."""
    found = scenario("kill", "kill+warm", "kill+open", known=known)
    chosen = Selection(ours=("ptrace",), kernel="6.18", here=("x86_64",))
    cases = expand([found], ATTACKS, chosen)
    assert {case.variant for case in cases if case.weakness} == weak
    expecting = replace(found, known={}, expect=dict.fromkeys(known, VerdictKind.BYPASSED))
    bypassed = {
        case.variant
        for case in expand([expecting], ATTACKS, chosen)
        if case.expected is VerdictKind.BYPASSED
    }
    assert bypassed == weak


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("replication/name-forms", VerdictKind.NOT_ENFORCING),
        ("machinery/hook-overwrite", VerdictKind.HELD),
        ("benign/shell-paths", VerdictKind.HELD),
    ],
)
def test_a_description_says_what_attacks_get_of_it(name: str, expected: VerdictKind) -> None:
    """Where a scenario has no word of its own, and never of a command."""
    (found,) = (each for each in SCENARIOS if each.id == name)
    cases = expand((found,), ATTACKS, Selection(ours=(), backends=("preload",)))
    assert {case.expected for case in cases} == {expected}
    for case in expand((found,), ATTACKS, Selection(ours=("ptrace",))):
        assert case.leaky or case.expected is VerdictKind.HELD


def test_every_attack_that_can_be_held_has_a_leaky_enforcer() -> None:
    """Under the policy of its own scenario; where the policy itself has the hole, or each of ours
    is known to lose, nothing holds.
    """
    lacking = {each.id for each in SCENARIOS if each.attack and not each.leaky}
    lost = {each.id for each in SCENARIOS if each.expect.get("default") is VerdictKind.BYPASSED}
    known = {
        each.id
        for each in SCENARIOS
        if {*each.known}
        | {name for name, kind in each.expect.items() if kind is VerdictKind.INEXPRESSIBLE}
        >= set(each.backends or our_backends())
    }
    assert lost <= lacking <= lost | known
