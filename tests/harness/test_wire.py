"""Answers: believed with the number of their question and in the right shape, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from harness.model import Observation, Outcome, RunKind
from harness.places.local import PlaceError, answer_of, numbered
from harness.places.wire import (
    Garbled,
    decode,
    decode_observation,
    encode_observation,
    fresh_number,
    parse_observation,
)

SEEN = Observation(
    kind=RunKind.CONTROL,
    outcome=Outcome.EFFECT,
    effect=True,
    exit_status=0,
    finished=True,
    events=({"event": "start", "deep": {"er": [1, None]}},),
    seconds=0.5,
)
RAW: dict[str, Any] = json.loads(json.dumps(asdict(SEEN)))


def test_an_observation_comes_back_as_it_was() -> None:
    """Through the pipe of its run, with the run's number."""
    number = fresh_number()
    assert decode_observation(encode_observation(number, SEEN), number) == SEEN


def test_whole_seconds_are_seconds() -> None:
    """JSON has one kind of number."""
    found = parse_observation(RAW | {"seconds": 2})
    assert type(found.seconds) is float
    assert found.seconds == 2.0


MISSHAPEN: dict[str, object] = {
    "no object": [],
    "nothing": None,
    "a field less": {key: value for key, value in RAW.items() if key != "wins"},
    "a field more": RAW | {"verdict": "held"},
    "an unknown outcome": RAW | {"outcome": "held"},
    "an outcome that is a list": RAW | {"outcome": ["effect"]},
    "an unknown kind": RAW | {"kind": "Control"},
    "a kind that is nothing": RAW | {"kind": None},
    "an effect that is a number": RAW | {"effect": 1},
    "an effect that is a word": RAW | {"effect": "true"},
    "an effect that is nothing": RAW | {"effect": None},
    "attempts that are a flag": RAW | {"attempts": True},
    "attempts in part": RAW | {"attempts": 1.5},
    "attempts in words": RAW | {"attempts": "1"},
    "attempts that are nothing": RAW | {"attempts": None},
    "an exit status in words": RAW | {"exit_status": "0"},
    "an exit status that is a flag": RAW | {"exit_status": False},
    "output that is a number": RAW | {"stdout": 1},
    "output that is nothing": RAW | {"stdout": None},
    "events that are an object": RAW | {"events": {}},
    "events that are words": RAW | {"events": "none"},
    "an event that is a word": RAW | {"events": ["start"]},
    "an event that is a list": RAW | {"events": [[]]},
    "seconds in words": RAW | {"seconds": "1"},
    "seconds that are a flag": RAW | {"seconds": True},
    "seconds without end": RAW | {"seconds": float("inf")},
}


@pytest.mark.parametrize("name", MISSHAPEN)
def test_no_observation(name: str) -> None:
    """Every field is there, none besides, each of its own type."""
    with pytest.raises(Garbled):
        parse_observation(MISSHAPEN[name])


@pytest.mark.parametrize("field", ["exit_status", "signal"])
def test_what_may_be_absent(field: str) -> None:
    """Nothing, or of its type."""
    assert getattr(parse_observation(RAW | {field: None}), field) is None
    assert getattr(parse_observation(RAW | {field: 9}), field) == 9


ASKED: Mapping[str, Any] = {"number": "5eed", "runs": [{"kind": "control"}, {"kind": "attack"}]}
ANSWER = {"number": "5eed", "isolation": "plain", "observations": [RAW]}
LATER = RAW | {"kind": "attack"}
AGAIN = RAW | {"kind": "control again"}
LACKING = RAW | {"outcome": "unavailable"}


def told(**changes: object) -> bytes:
    return json.dumps(ANSWER | changes).encode()


GOOD = {
    "the first run": [RAW],
    "both runs": [RAW, LATER],
    "a control behind them": [RAW, LATER, AGAIN],
    "a control behind the first": [RAW, AGAIN],
    "a kernel that lacks something": [LACKING],
}


@pytest.mark.parametrize("name", GOOD)
def test_an_answer(name: str) -> None:
    """The runs in order, of which the last may be left out."""
    found = answer_of(told(observations=GOOD[name]), ASKED)
    assert found.observations == tuple(map(parse_observation, GOOD[name]))
    assert found.isolation == "plain"


WRONG = {
    "nothing": b"",
    "no JSON": b"garbage",
    "no text": b"\xff\xfe",
    "half a line": told()[:-1],
    "two answers": told() + told(),
    "nested without end": b"[" * 100_000,
    "a list": b"[]",
    "no number in JSON": told(observations=[RAW | {"seconds": float("nan")}]),
    "no number in an event": told(observations=[RAW | {"events": [{"cpu_s": float("nan")}]}]),
    "another number": told(number="5eee"),
    "a number less": told(number=None),
    "a longer number": told(number="5eed5"),
    "no observations": told(observations=[]),
    "observations that are nothing": told(observations=None),
    "observations that are one": told(observations=RAW),
    "an observation of another shape": told(observations=[RAW | {"more": 1}]),
    "another isolation": told(isolation="none"),
    "no isolation": told(isolation=None),
    "a run that nobody asked for": told(observations=[RAW | {"kind": "benign"}]),
    "the second run alone": told(observations=[LATER]),
    "the runs in another order": told(observations=[LATER, RAW]),
    "more runs than asked for": told(observations=[RAW, LATER, LATER]),
    "a control amid them": told(observations=[RAW, AGAIN, LATER]),
    "two controls behind them": told(observations=[RAW, AGAIN, AGAIN]),
    "lacking, and a run": told(observations=[LACKING, RAW]),
    "a refusal with another number": json.dumps({"number": 1, "error": "KeyError"}).encode(),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_answer(name: str) -> None:
    """The place has failed, whatever else it seems to say: nothing but PlaceError comes of it."""
    with pytest.raises(PlaceError, match="not believed"):
        answer_of(WRONG[name], ASKED)


def test_a_refusal_says_why() -> None:
    """The agent's own error is passed on."""
    refusal = json.dumps({"number": "5eed", "isolation": "plain", "error": "KeyError: runs"})
    with pytest.raises(PlaceError, match="refused the case: KeyError: runs"):
        answer_of(refusal.encode(), ASKED)


def test_a_cut_observation_is_none() -> None:
    """An init that is killed while it writes has said nothing."""
    whole = encode_observation("5eed", SEEN)
    for end in (len(whole) - 1, 10, 0):
        with pytest.raises(Garbled):
            decode_observation(whole[:end], "5eed")


def test_an_observation_of_another_run_is_none() -> None:
    """Its number is."""
    with pytest.raises(Garbled, match="number"):
        decode_observation(encode_observation("5eee", SEEN), "5eed")


def test_nobody_can_guess_a_number() -> None:
    """128 bits, each question's own, and the request is otherwise as it was."""
    asked = [numbered({"runs": [1]}) for _ in range(50)]
    assert len({each["number"] for each in asked}) == 50
    assert {len(str(each["number"])) for each in asked} == {32}
    assert all(each["runs"] == [1] for each in asked)
    with pytest.raises(Garbled):
        decode(b'{"number": ""}', str(asked[0]["number"]))
