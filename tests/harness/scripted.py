"""A place that gives the observations that a test wrote, and jobs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from enforcer.arch import native
from harness import tree
from harness.attack import load_attacks
from harness.model import (
    Case,
    Limits,
    Observation,
    Outcome,
    Reference,
    RunKind,
    Scenario,
)
from harness.places.isolation import Isolation
from harness.places.layout import Layout
from harness.places.local import Answer
from harness.runner import Job

ATTACKS = load_attacks(tree.OWN / "attacks")
ACT, RACE = ATTACKS["replication/name-forms"], ATTACKS["race/path-race"]
ABI = native().abis[0].name
POLICY = """\
policy: /bin/true
default: permit
rules:
  - deny[eacces]: openat
    when: filename eq "${denied}"
"""
SCENARIO = Scenario(
    id="x/y",
    title="t",
    path=Path("y.yaml"),
    policy=POLICY,
    dialect="yaml",
    attack=ACT.id,
    limits=Limits(timeout_s=10.0),
)
CASE = Case(
    scenario=SCENARIO, variant="dots", backend="ptrace", abi=ABI, kernel="6.18", place="local"
)
LOST = Reference(backend="leaky-ptrace-bare", attempts=1, wins=1, source="this run")
JOB = Job(case=CASE, attack=ACT, attempts=1, most=1, reference=LOST)
OF_RACE = replace(
    JOB,
    case=replace(CASE, variant="default", scenario=replace(SCENARIO, attack=RACE.id)),
    attack=RACE,
    attempts=100,
    reference=Reference(backend="leaky-ptrace-bare", attempts=100, wins=50, source="this run"),
)
COMMAND_SCENARIO = replace(SCENARIO, attack=None, command=("cat", "${allowed}"))
COMMAND = Job(case=replace(CASE, scenario=COMMAND_SCENARIO), attack=None, attempts=1)
WITH_DIRECT = replace(
    COMMAND,
    case=replace(
        CASE, scenario=replace(COMMAND_SCENARIO, direct=("cat", "${denied}"), files={"a": "${dir}"})
    ),
)
ENFORCING = {"event": "enforcing", "tracer": 3, "Seccomp": "2"}
DENIED = {
    "event": "decision",
    "action": "deny",
    "call": "openat",
    "pid": 2,
    "values": {"filename": ["/srv/shut/object"]},
}
END = {"event": "end", "judged": {"openat": 100}}
EFFECT = Observation(
    kind=RunKind.CONTROL,
    outcome=Outcome.EFFECT,
    effect=True,
    finished=True,
    attempts=1,
    wins=1,
    effects=1,
    events=(ENFORCING,),
)
REFUSED = Observation(
    kind=RunKind.DIRECT,
    outcome=Outcome.BLOCKED,
    finished=True,
    errno=13,
    attempts=100,
    events=(ENFORCING, DENIED, END),
)
KILLED = replace(REFUSED, outcome=Outcome.CRASHED, finished=False, signal=9, detail="killed")
RUNS = {
    **{kind: replace(EFFECT, kind=kind) for kind in RunKind},
    RunKind.DIRECT: REFUSED,
    RunKind.ATTACK: replace(REFUSED, kind=RunKind.ATTACK),
}


class Scripted:
    """A place that answers every request with these observations, or with an error."""

    name, kernel, abis, machine = "local", "6.18", native().abis, "m"

    def __init__(
        self,
        observations: Mapping[RunKind, Observation] = RUNS,
        *,
        error: Exception | None = None,
        patience: float = 1.0,
        isolation: Isolation = Isolation.USER,
    ) -> None:
        self.observations = observations
        self.error = error
        self.patience = patience
        self.isolation = isolation
        self.asked: list[tuple[Mapping[str, Any], float]] = []

    def layout(self) -> Layout:
        return Layout(root=Path("/srv"))

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        self.asked.append((request, timeout_s))
        if self.error is not None:
            raise self.error
        return Answer(observations=tuple(self.observations.values()), isolation=self.isolation)

    def close(self) -> None:
        """Nothing was opened."""
