"""The control of every attack: without an enforcer each mode does what it says."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from enforcer.arch import native
from harness.attack import Attack, AttackKind, load_attacks
from harness.wideners import widener_of
from tests.attacks.laboratory import ROOT, run_unconfined

OWN = [abi.name for abi in native().abis]
CASES = [
    pytest.param(attack, abi, variant, id=f"{attack.name}-{abi}-{variant}")
    for attack in load_attacks(ROOT).values()
    for abi in attack.abis
    if abi in OWN
    for variant in attack.expanded(abi)
    if widener_of(variant) is None  # the same race, with more time: test_race.py
]
ABSENT = {errno.ENOSYS, errno.EPERM, errno.EIO}


@pytest.mark.parametrize(("attack", "abi", "variant"), CASES)
def test_benign_reaches_the_twin_only(
    attack: Attack, abi: str, variant: str, tmp_path: Path
) -> None:
    """The permitted twin is reached at every try, the denied object never."""
    seen = run_unconfined(attack, abi, variant, "benign", tmp_path)
    assert seen.served
    assert not seen.reached
    assert (seen.wins, seen.errno) == (seen.attempts, 0)


@pytest.mark.parametrize(("attack", "abi", "variant"), CASES)
def test_direct_reaches_the_sentinel(
    attack: Attack, abi: str, variant: str, tmp_path: Path
) -> None:
    """One plain act, seen from outside."""
    seen = run_unconfined(attack, abi, variant, "direct", tmp_path)
    if seen.errno in ABSENT and attack.needs:
        pytest.skip(f"this kernel lacks one of {', '.join(attack.needs)}")
    assert seen.reached
    assert (seen.attempts, seen.wins, seen.errno) == (1, 1, 0)


@pytest.mark.parametrize(("attack", "abi", "variant"), CASES)
def test_attack_shows_its_effect(attack: Attack, abi: str, variant: str, tmp_path: Path) -> None:
    """The sentinel is reached; a race wins some of its attempts, not all."""
    seen = run_unconfined(attack, abi, variant, "attack", tmp_path)
    if seen.errno in ABSENT and attack.needs:
        pytest.skip(f"this kernel lacks one of {', '.join(attack.needs)}")
    assert seen.reached
    assert 1 <= seen.wins <= seen.attempts
    if attack.kind is AttackKind.RACE:
        again = (
            run_unconfined(attack, abi, variant, "attack", tmp_path / str(turn))
            for turn in range(5)
        )
        assert any(each.wins < each.attempts for each in (seen, *again))
