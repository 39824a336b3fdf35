"""Observations of a race that is held, to be changed one at a time, and the evidence of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from enforcer.mechanisms.contract import Cover, Extent, Inexpressible
from harness.evidence import Attributed
from harness.model import Observation, Outcome, Reference, RunKind
from harness.oracle import Evidence

ENFORCING = {"event": "enforcing", "tracer": 4, "Seccomp": "2"}
VALUES = {"filename": ["/srv/shut/object"]}
DENIED = {"event": "decision", "action": "deny", "call": "openat", "pid": 2, "values": VALUES}
PERMITTED = {**DENIED, "action": "permit"}
DETECTED = {**DENIED, "event": "detection", "action": "kill"}
KILLED = {**DENIED, "action": "kill"}
FAILED = {
    "event": "detection",
    "reason": "the tracer failed",
    "action": None,
    "error": "KeyError: 1",
}
END = {"event": "end", "judged": {"openat": 150}}
ACT = Attributed(calls=frozenset({"openat"}), denied="/srv/shut/object")
CONTROL = Observation(
    kind=RunKind.CONTROL, outcome=Outcome.EFFECT, effect=True, finished=True, attempts=1, wins=1
)
DIRECT_CONTROL = replace(CONTROL, kind=RunKind.DIRECT_CONTROL)
AGAIN = replace(CONTROL, kind=RunKind.CONTROL_AGAIN, repeats=2, effects=2)
BENIGN = replace(CONTROL, kind=RunKind.BENIGN, events=(ENFORCING,))
DIRECT = Observation(
    kind=RunKind.DIRECT,
    outcome=Outcome.BLOCKED,
    finished=True,
    errno=13,
    attempts=1,
    events=(ENFORCING, DENIED),
)
ATTACK = replace(DIRECT, kind=RunKind.ATTACK, attempts=100)
CRASHED = replace(ATTACK, finished=False, outcome=Outcome.CRASHED, attempts=0)
NOT_EVER = Inexpressible([Cover(rule=0, extent=Extent.NONE, reason="it reads memory")])
NOT_HERE = Inexpressible([Cover(rule=0, extent=Extent.NONE, reason="s390x", elsewhere=True)])
REFERENCE = Reference(backend="leaky-one", attempts=100, wins=50, source="this run")
ALL = {run.kind: run for run in (CONTROL, DIRECT_CONTROL, BENIGN, DIRECT, ATTACK, AGAIN)}


def evidence(*changes: Observation, without: RunKind | None = None, **fields: object) -> Evidence:
    """Evidence for held, with some runs exchanged or left out."""
    runs = {**ALL, **{run.kind: run for run in changes}}
    if without is not None:
        del runs[without]
    values: dict[str, object] = {"race": True, "attempts": 100, "reference": REFERENCE}
    values |= {"direct": ACT, "attack": ACT, **fields}
    return Evidence(observations=runs, **values)  # type: ignore[arg-type]


def log(*events: Mapping[str, object]) -> Observation:
    """The attack's run with exactly these events behind the witness."""
    return replace(ATTACK, events=(ENFORCING, *events))
