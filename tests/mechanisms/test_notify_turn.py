"""Whose turn it is to receive held calls."""

from __future__ import annotations

import threading

from enforcer.mechanisms.notify.turn import Turn


def test_one_has_the_turn() -> None:
    """Who wants it waits until whoever has it passes it on."""
    turn, first, second = Turn(), object(), object()
    turn.take(first)
    assert turn.holder is first
    taken = threading.Event()

    def take() -> None:
        turn.take(second)
        taken.set()

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    assert not taken.is_set()
    assert turn.holder is first
    turn.pass_on(first)
    waiting.join()
    assert turn.holder is second


def test_a_turn_is_passed_on_once() -> None:
    """Who has lost it meanwhile, to the session that found the act slow, frees nobody else's."""
    turn, first, second = Turn(), object(), object()
    turn.take(first)
    turn.pass_on(first)
    turn.take(second)
    turn.pass_on(first)
    assert turn.holder is second
