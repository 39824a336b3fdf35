"""Cases as JSON and back, so that a finding can be kept, shown, shared and tried again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum

from enforcer import call, condition
from enforcer.cbpf import spec
from enforcer.policy import ast
from harness.fuzz import cases, steps, worlds

_CLASSES: dict[str, type] = {
    found.__name__: found
    for module in (cases, steps, worlds, ast, call, condition, spec)
    for found in vars(module).values()
    if isinstance(found, type) and found.__module__ == module.__name__
}


class CaseError(ValueError):
    """The JSON is not that of a case."""


def to_json(value: object) -> object:
    """JSON values from which `from_json` makes an equal value."""
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "value": value.value}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    if dataclasses.is_dataclass(value) and type(value).__name__ in _CLASSES:
        fields = {each.name: to_json(getattr(value, each.name)) for each in _fields(value)}
        return {"class": type(value).__name__, **fields}
    raise CaseError(f"{value!r} has no JSON form")


def _fields(value: object) -> tuple[dataclasses.Field[object], ...]:
    """The fields that make a difference: positions and spellings do not."""
    assert dataclasses.is_dataclass(value)
    return tuple(each for each in dataclasses.fields(value) if each.compare)


def from_json(data: object) -> object:
    """The value. Raises CaseError."""
    if isinstance(data, list):
        return tuple(from_json(each) for each in data)
    if not isinstance(data, Mapping):
        return data
    try:
        if "bytes" in data:
            return bytes.fromhex(data["bytes"])
        if "enum" in data:
            return _CLASSES[data["enum"]](data["value"])
        found = _CLASSES[data["class"]]
        return found(**{key: from_json(each) for key, each in data.items() if key != "class"})
    except (KeyError, TypeError, ValueError) as error:
        raise CaseError(f"no case: {error}") from error
