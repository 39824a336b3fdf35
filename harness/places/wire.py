"""What an agent answers, one JSON object a line, believed only with the number of its question.

A target of the agent's own user may write into the pipes that the answers come through. So each
question has a number that nobody can guess, and whatever does not repeat it is no answer.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum

from harness.model import Observation
from harness.places.sentinels import fresh_nonce

NUMBER = "number"
OBSERVATION = "observation"
ASKED = "asked"
"""What an agent asks of who has its machine, before its answer (`question_of`)."""
_HINTS = typing.get_type_hints(Observation)


class Garbled(ValueError):
    """Not an answer to the question; the text is the end of a sentence."""


def fresh_number() -> str:
    """A number for one question."""
    return fresh_nonce()


def decode(line: bytes, number: str) -> dict[str, object]:
    """The answer to question `number`. Raises Garbled."""
    try:
        found = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Garbled(f"it is no JSON: {line[:200]!r}") from None
    if not isinstance(found, dict):
        raise Garbled(f"it is no object: {line[:200]!r}")
    if found.get(NUMBER) != number:
        raise Garbled(f"it has not the question's number: {line[:200]!r}")
    return found


def question_of(line: bytes, number: str) -> dict[str, object] | None:
    """What the agent asks while it carries out question `number`; None: it is its answer.

    Raises Garbled.
    """
    asked = decode(line, number).get(ASKED)
    if asked is None or isinstance(asked, dict):
        return asked
    raise Garbled(f"its question is {str(asked)[:200]!r}")


def encode_observation(number: str, observation: Observation) -> bytes:
    """A whole line; see `decode_observation`."""
    return json.dumps({NUMBER: number, OBSERVATION: asdict(observation)}).encode() + b"\n"


def decode_observation(line: bytes, number: str) -> Observation:
    """What the first process of run `number` saw. Raises Garbled."""
    if not line.endswith(b"\n"):
        raise Garbled(f"it is cut short: {line[-200:]!r}")
    return parse_observation(decode(line, number).get(OBSERVATION))


def parse_observation(raw: object) -> Observation:
    """The inverse of asdict: every field there, none besides, each of its type. Raises Garbled."""
    if not isinstance(raw, dict) or raw.keys() != _HINTS.keys():
        raise Garbled(f"it has not the fields of an observation: {str(raw)[:200]}")
    return Observation(**{name: _checked(name, raw[name], hint) for name, hint in _HINTS.items()})


def _checked(name: str, value: object, hint: typing.Any) -> typing.Any:
    """`value` as the annotation `hint` says. Raises Garbled."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case types.UnionType:
            if value is None:
                return None
            return _checked(name, value, arguments[0])
        case kind if kind is tuple and isinstance(value, list):
            return tuple(_checked(name, each, arguments[0]) for each in value)
        case kind if kind is Mapping and isinstance(value, dict):
            return {key: _checked(name, each, arguments[1]) for key, each in value.items()}
        case None if hint is object:
            return value
        case None if hint is float and type(value) in (int, float):
            number = float(typing.cast("float", value))
            if math.isfinite(number):
                return number
        case None if issubclass(hint, StrEnum) and value in list(hint):
            return hint(value)
        # Not isinstance: True is an int.
        case None if type(value) is hint:
            return value
    raise Garbled(f"its {name} is {str(value)[:200]!r}")


def _no_constant(name: str) -> typing.NoReturn:
    raise ValueError(name)
