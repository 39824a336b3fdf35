"""What a backend has done outside of a run: by the agent, or by who has the machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enforcer.mechanisms.contract import LaunchError, Plan, Unavailable
from enforcer.mechanisms.preparing import Arranged, Ask, Stage
from harness.backends.life import stage_of
from harness.model import Observation, Outcome, RunKind
from harness.places import arranging
from harness.places.layout import Layout
from harness.places.wire import NUMBER, Garbled, question_of

PLAN = Plan(mechanism="none", machine="x86_64", data={})
STAGE = stage_of(Layout(root=Path("/srv")), uid=1, gid=1, walled=True, disposable=True)


class Backend:
    """One that asks for something before a run."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.did: list[str] = []

    @contextlib.contextmanager
    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> Iterator[Arranged]:
        if self.failure:
            raise self.failure
        self.did.append(f"on {ask({'do': 1})['done']} {stage.disposable}")
        yield Arranged(
            plan=replace(plan, data={"told": True}),
            tell=lambda events: [{"event": "start", "seen": len(events)}],
        )
        self.did.append("off")


def carried_out(backend: Any, monkeypatch: pytest.MonkeyPatch) -> Observation:
    """A run of this backend whose own events are one."""

    def run(plan: Plan) -> Observation:
        backend.did.append("run" if plan.data else "run without the arranged plan")
        return Observation(kind=RunKind.ATTACK, outcome=Outcome.SILENT, events=({"event": "end"},))

    monkeypatch.setattr(arranging, "backend", lambda name: backend)
    return arranging.arranged("any", RunKind.ATTACK, PLAN, lambda _: {"done": "well"}, run, STAGE)


def test_it_is_on_around_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was asked answered, and what is told of the run behind its own events."""
    backend = Backend()
    seen = carried_out(backend, monkeypatch)
    assert backend.did == ["on well True", "run", "off"]
    assert [each["event"] for each in seen.events] == ["end", "start"]
    assert seen.events[1]["seen"] == 1


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Unavailable("no module"), Outcome.UNAVAILABLE),
        (LaunchError("not so"), Outcome.BROKEN),
        (OSError("no memory"), Outcome.BROKEN),
    ],
)
def test_what_cannot_be_arranged_is_no_run(
    failure: Exception, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no verdict on an enforcer comes of it."""
    backend = Backend(failure)
    seen = carried_out(backend, monkeypatch)
    assert (seen.outcome, backend.did) == (outcome, [])
    assert str(failure) in seen.detail


def test_nobody_outside_says_so() -> None:
    """On a machine that nobody has in hand."""
    assert "error" in arranging.nobody({"remove": []})


@pytest.mark.parametrize(
    ("said", "question"),
    [({"asked": {"remove": ["x"]}}, {"remove": ["x"]}), ({"observations": []}, None)],
)
def test_a_question_is_told_from_an_answer(
    said: dict[str, object], question: dict[str, object] | None
) -> None:
    """Both have the number of what was asked."""
    assert question_of(json.dumps({NUMBER: "7", **said}).encode(), "7") == question


@pytest.mark.parametrize("said", [{"asked": 3}, {NUMBER: "8", "asked": {}}])
def test_what_is_no_question_is_not_believed(said: dict[str, object]) -> None:
    """A target of the agent's user may write there, too."""
    with pytest.raises(Garbled):
        question_of(json.dumps({NUMBER: "7", **said}).encode(), "7")
