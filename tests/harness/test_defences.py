"""The table of defences and attacks: what is run, by what it is judged, how it is arranged."""

from __future__ import annotations

from dataclasses import replace

from enforcer.arch import native
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence
from harness import tree
from harness.attack import load_attacks
from harness.backends import names
from harness.cases import Selection
from harness.defences import COMBINATIONS, SETTINGS, Setting, cases, lines, reference
from harness.model import Case, Result, Verdict, VerdictKind
from harness.places.local import LocalPlace
from harness.runner import Job, prepare
from harness.scenario import Known, load_scenarios

ATTACKS = load_attacks(tree.OWN / "attacks")
SCENARIOS = load_scenarios(tree.OWN / "scenarios", Known(attacks=ATTACKS, backends=names()))
RACE = Selection(ours=("ptrace", "notify"), abis=(native().abis[0].name,), keywords=("path_race",))


def found() -> list[Case]:
    return cases(SCENARIOS, ATTACKS, RACE)


def test_every_combination_is_run_once() -> None:
    """All defences, each off, each alone and none, for both mechanisms; none comes first."""
    chosen = found()
    assert len({case.id for case in chosen}) == len(chosen) == len(SETTINGS)
    assert {(case.backend, case.defences) for case in chosen} == {
        (setting.mechanism, setting.on) for setting in SETTINGS
    }
    assert [case.leaky for case in chosen] == [True, True] + [False] * (len(chosen) - 2)
    assert {case.scenario.id for case in chosen} == {"race/path-race"}


def test_plans_have_the_defences_of_their_case() -> None:
    """What the agent is sent promises what the table says was on, and nothing else."""
    attack = ATTACKS["race/path-race"]
    place = LocalPlace()
    for case in found():
        runs = prepare(Job(case=case, attack=attack, attempts=1), place)["runs"]
        assert isinstance(runs, list)
        assert case.defences is not None
        assert runs[-1]["plan"]["data"]["defences"] == sorted(case.defences)


def test_labels_are_distinct() -> None:
    """Each says what is on, or what is off."""
    labels = [Setting(mechanism="ptrace", on=on).label for on in COMBINATIONS]
    assert len(set(labels)) == len(labels)
    assert {"all on", "all off", "no copy", "copy only"} <= set(labels)


def result(case: Case, wins: int) -> Result:
    kind = VerdictKind.BYPASSED if wins else VerdictKind.HELD
    return Result(case=case, verdict=Verdict(kind=kind, reason="", attempts=100, wins=wins))


def test_the_bare_mechanism_is_the_reference() -> None:
    """Of the same mechanism only, and only when it was run."""
    bare_ptrace, bare_notify = found()[:2]
    assert (bare_ptrace.backend, bare_notify.backend) == ("ptrace", "notify")
    sound = next(case for case in found() if case.defences == DEFAULT_DEFENCES)
    known = [result(bare_notify, 3), result(bare_ptrace, 7)]
    judged_by = reference(sound, known)
    assert judged_by is not None
    assert (judged_by.wins, judged_by.attempts) == (7, 100)
    assert reference(sound, known[:1]) is None


def test_lines_are_in_the_catalogues_order() -> None:
    """A1 before A14 and B1; every result is in the cell of its setting."""
    some = [
        result(replace(case, scenario=scenario, defences=frozenset({Defence.PIN}), leaky=False), 1)
        for case in found()[:1]
        for scenario in SCENARIOS
        if scenario.id in ("race/symlink-swap", "replication/page-end-string", "race/path-race")
    ]
    arranged = lines(some, ATTACKS)
    assert [line.attack.catalogue[0] for line in arranged] == ["A1", "A14", "B1"]
    pin_only = Setting(mechanism="ptrace", on=frozenset({Defence.PIN}))
    assert all(list(line.cells) == [pin_only] for line in arranged)
