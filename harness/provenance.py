"""What a result belongs to, as digests: where one differs, it is somebody else's result."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import enforcer
import harness
from harness import tree
from harness.attack import Attack
from harness.build import source_digest
from harness.model import Provenance, Scenario

DIGITS = 16
SUFFIXES = frozenset({".c", ".h", ".py", ".tsv", ".txt", ".yaml"})


def provenance(scenario: Scenario, attack: Attack | None, abi: str, machine: str) -> Provenance:
    """Of a case of this scenario on `machine`. Raises OSError for a program that is gone."""
    return Provenance(
        program=source_digest(attack, abi) if attack else "",
        policy=policy_digest(scenario),
        modules=modules_digest(),
        machine=machine,
    )


def policy_digest(scenario: Scenario) -> str:
    """The policy and whatever else the scenario gives its runs; what it expects does not count."""
    given = (
        scenario.dialect,
        scenario.policy.strip("\n"),
        scenario.command,
        scenario.direct,
        sorted(scenario.files.items()),
        scenario.features,
        sorted((key, str(value)) for key, value in scenario.needs.items()),
        str(scenario.limits),
        scenario.partial,
    )
    return _digest([json.dumps(given).encode()])


@functools.cache
def modules_digest() -> str:
    """The enforcer and the harness, leaky backends and tables of calls among them."""
    found: list[bytes] = []
    for package in (enforcer, harness):
        top = Path(str(package.__file__)).parent
        for path in sorted(top.rglob("*")):
            parts = path.relative_to(top).parts
            if path.suffix in SUFFIXES and not {"__pycache__", tree.SHIPPED.name} & {*parts}:
                found += [str(path.relative_to(top.parent)).encode(), path.read_bytes()]
    return _digest(found)


def _digest(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:DIGITS]
