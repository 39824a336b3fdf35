"""Each defence of notify stops an attack that wins without it, and no other one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence, Options
from enforcer.mechanisms.notify import MECHANISM
from harness.backends.weak import Leaky
from harness.model import Outcome, RunKind
from tests.backends.laboratory import Case, observe, policy_of

CONNECTING_TO_ONE_PORT = policy_of("connect-allow-list")
READING_IN_ONE_DIRECTORY = policy_of("read-allow-list")
KINDS = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)
COPY, PIN, VERIFY = Defence.COPY, Defence.PIN, Defence.VERIFY
HELD_ATTEMPTS = 500
BUDGET = 20_000


def _backend(defences: frozenset[Defence]) -> Leaky:
    return Leaky(
        name="notify-defences",
        weakness="some defences off",
        enforcer=MECHANISM,
        repaired=MECHANISM,
        options=Options(defences=defences),
    )


@pytest.mark.parametrize(
    ("attack", "policy", "defences"),
    [
        ("race/path-race", READING_IN_ONE_DIRECTORY, {PIN}),
        ("race/sockaddr-race", CONNECTING_TO_ONE_PORT, {PIN}),
        ("race/cwd-race", READING_IN_ONE_DIRECTORY, {COPY}),
    ],
    ids=["copy-names", "copy-addresses", "pin-directory"],
)
def test_attack_wins_without_the_defence_and_loses_with_it(
    attack: str,
    policy: str,
    defences: set[Defence],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weakened supervisor still denies the direct attempt; with all defences nothing passes."""
    weak = Case(attack=attack, policy=policy, attempts=BUDGET)
    seen = observe(weak, _backend(frozenset(defences)), KINDS, tmp_path / "weak", monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome is Outcome.BLOCKED, seen[RunKind.DIRECT]
    assert seen[RunKind.ATTACK].effect, seen[RunKind.ATTACK]
    sound = Case(attack=attack, policy=policy, attempts=HELD_ATTEMPTS)
    seen = observe(sound, _backend(DEFAULT_DEFENCES), KINDS, tmp_path / "sound", monkeypatch)
    assert not seen[RunKind.ATTACK].effect, seen[RunKind.ATTACK]
    assert seen[RunKind.ATTACK].finished


def test_verify_detects_another_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging and opening apart, with `verify`: the swapped object is noticed, the caller ended."""
    # An exchange of links is judged as a rename and waits for the supervisor; a chdir does not.
    case = Case(attack="race/cwd-race", policy=READING_IN_ONE_DIRECTORY, attempts=BUDGET)
    seen = observe(case, _backend(frozenset({COPY, VERIFY})), KINDS, tmp_path, monkeypatch)
    attack = seen[RunKind.ATTACK]
    assert not attack.effect, attack
    assert "another object was opened than judged" in {e.get("reason") for e in attack.events}
