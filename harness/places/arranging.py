"""What a backend has done outside of a run: by the agent, or by who has its machine in hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from enforcer.mechanisms.contract import LaunchError, Plan, Unavailable
from enforcer.mechanisms.preparing import Arranging, Ask, Stage
from harness.backends import backend
from harness.model import Observation, Outcome, RunKind


def nobody(question: Mapping[str, object]) -> Mapping[str, object]:
    """The answer where nobody has this machine in hand."""
    return {"error": "nobody outside of this machine is asked"}


def arranged(
    name: str,
    kind: RunKind,
    plan: Plan,
    ask: Ask,
    run: Callable[[Plan], Observation],
    stage: Stage,
) -> Observation:
    """One run of the backend `name`, with what that has to have done around it."""
    life = backend(name)
    if not isinstance(life, Arranging):
        return run(plan)
    try:
        with life.arrange(plan, ask, stage) as around:
            seen = run(around.plan)
            return replace(seen, events=(*seen.events, *around.tell(seen.events)))
    except Unavailable as error:
        return Observation(kind=kind, outcome=Outcome.UNAVAILABLE, detail=str(error))
    except (LaunchError, OSError) as error:
        detail = f"arranging for the backend: {error}"
        return Observation(kind=kind, outcome=Outcome.BROKEN, detail=detail)
