"""Shell scripts as attack programs: one unconfined run of each, asked of a place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.model import Limits, Observation, RunKind
from harness.places.local import LocalPlace

READ_BOTH = """#!/bin/sh
mode=$1
for word; do case $word in
    denied=*) denied=${word#denied=};; allowed=*) allowed=${word#allowed=};;
    nonce=*) nonce=${word#nonce=};;
esac; done
test "$mode" = benign && denied=$allowed
echo "DATA $(cat "$denied")"
echo "TOKEN $nonce attempts=1 wins=1 errno=0"
"""


@pytest.fixture(scope="module")
def place() -> Iterator[LocalPlace]:
    local = LocalPlace()
    yield local
    local.close()


def ask(
    place: LocalPlace,
    tmp_path: Path,
    script: str,
    *,
    kind: RunKind = RunKind.CONTROL,
    sentinel: str = "file",
    effect: str = "read",
    limits: Limits | None = None,
) -> Observation:
    """One run of a shell script as the attack program, unconfined."""
    request = request_of(place, tmp_path, script, kind, sentinel, effect, limits or Limits())
    return place.run(request, 60).observations[0]


def request_of(
    place: LocalPlace,
    tmp_path: Path,
    script: str,
    kind: RunKind,
    sentinel: str,
    effect: str,
    limits: Limits,
) -> dict[str, object]:
    program = tmp_path / "program"
    program.write_text(script)
    plan = {"mechanism": "none", "machine": "x86_64", "data": {}}
    mode = "benign" if kind is RunKind.BENIGN else "attack"
    return {
        "layout": place.layout().to_json(),
        "limits": asdict(limits),
        "program": str(program),
        "variant": "default",
        "sentinel": sentinel,
        "effect": effect,
        "files": {},
        "runs": [
            {
                "kind": kind.value,
                "backend": "none",
                "plan": plan,
                "mode": mode,
                "attempts": 1,
                "stop": True,
                "command": [],
            }
        ],
    }
