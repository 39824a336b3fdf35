"""Each leaky backend is a real enforcer with one hole: an attack goes through that hole only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attack import AttackKind, load_attacks
from harness.backends import backend, leaky_names, names
from harness.backends.weak import Leaky
from harness.cases import variants_of
from harness.model import Outcome, RunKind
from harness.places.features import lacking
from harness.scenario import Known, load_scenarios
from harness.ways import parted
from tests.backends.laboratory import ATTACKS, Case, missing_lines, observe

ENDED = (Outcome.BLOCKED, Outcome.EFFECT)
"""How a direct attempt ends: denied, or permitted and in the log (missing_lines)."""
KINDS = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)

BUDGET = 20_000
MENDED_ATTEMPTS = 500
NATIVE = "x86_64"
ALSO_I386 = {
    "race/path-race",
    "race/rewrite-race",
    "replication/page-end-string",
    "machinery/supervisor-kill",
    "indirect/script-interpreter",
}


def cases(*, mended: bool = False) -> Iterator[tuple[str, Case]]:
    """Every leaky backend of every scenario with each of its variants, and with one way. `mended`:
    but those that lose without their weakness too, as the scenario says of their mechanism.
    """
    attacks = load_attacks(ATTACKS)
    known = Known(attacks=attacks, backends=names())
    for scenario in load_scenarios(ATTACKS.parent / "scenarios", known):
        if not scenario.leaky or scenario.attack is None or scenario.dialect != "yaml":
            continue
        attack = attacks[scenario.attack]
        both = {NATIVE, "i386"} if attack.id in ALSO_I386 else {NATIVE}
        for name in scenario.leaky:
            loses = scenario.known if mended else {}
            if backend(name).mechanism in loses:
                continue
            for abi in sorted(both & set(attack.abis) or {"i386"}):
                for variant in variants_of(scenario, attack, abi, most_ways=1):
                    if f"{backend(name).mechanism}/{parted(variant)[0]}" in loses:
                        continue
                    yield (
                        name,
                        Case(
                            attack=attack.id,
                            policy=scenario.policy,
                            variant=variant,
                            abi=abi,
                            attempts=BUDGET if attack.kind is AttackKind.RACE else 1,
                        ),
                    )


def ids(found: Iterable[tuple[str, Case]]) -> list[str]:
    return [f"{name}-{case.attack}-{case.variant}-{case.abi}" for name, case in found]


CASES = list(cases())
MENDED = list(cases(mended=True))


def test_every_leaky_backend_and_every_attack_has_a_case() -> None:
    """No leaky backend and no attack is without a scenario in which the one falls to the other."""
    assert {name for name, _ in CASES} == set(leaky_names())
    assert {case.attack for _, case in CASES} == set(load_attacks(ATTACKS))


@pytest.mark.parametrize("name", leaky_names())
def test_a_leaky_backend_says_what_is_wrong_with_it(name: str) -> None:
    """Its name, that it is leaky, and the weakness in words."""
    found = backend(name)
    assert isinstance(found, Leaky)
    assert (found.name, found.leaky) == (name, True)
    assert found.weakness


def need(case: Case) -> None:
    """Skip where the kernel lacks what the attack is about."""
    absent = lacking(load_attacks(ATTACKS)[case.attack].needs)
    if absent:
        pytest.skip(f"this kernel lacks {absent}")


@pytest.mark.parametrize(("name", "case"), CASES, ids=ids(CASES))
def test_a_leaky_backend_falls_to_its_attack_only(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin passes, the direct attempt is denied, the attack reaches the sentinel.

    Where the act is permitted and to be logged: the direct one is in the log, the other is not.
    """
    need(case)
    seen = observe(case, backend(name), KINDS, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert not missing_lines(case, seen[RunKind.DIRECT], tmp_path), seen[RunKind.DIRECT]
    assert seen[RunKind.DIRECT].outcome in ENDED, seen[RunKind.DIRECT]
    assert missing_lines(case, seen[RunKind.ATTACK], tmp_path), seen[RunKind.ATTACK]


@pytest.mark.parametrize(("name", "case"), MENDED, ids=ids(MENDED))
def test_mended_it_holds(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its one weakness the same attack is stopped and the twin still passes."""
    need(case)
    found = backend(name)
    assert isinstance(found, Leaky)
    case = replace(case, attempts=min(case.attempts, MENDED_ATTEMPTS))
    seen = observe(case, found.mended(), KINDS, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome in ENDED, seen[RunKind.DIRECT]
    attack = seen[RunKind.ATTACK]
    assert not missing_lines(case, attack, tmp_path), attack
    assert attack.outcome not in (Outcome.BROKEN, Outcome.UNSUPPORTED, Outcome.HUNG), attack
