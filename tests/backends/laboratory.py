"""Runs one attack under a given backend, the way the local place does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_yaml
from enforcer.syscalls.privileges import CAPABILITIES
from harness.attack import load_attack
from harness.backends.life import Backend
from harness.build import build, build_source
from harness.evidence import attributed
from harness.model import Effect, Limits, Observation, RunKind
from harness.places import agent
from harness.places import isolation as walls
from harness.places.agent import Request, Run, run_isolated
from harness.places.layout import Layout, coverable_root
from harness.places.warming import warm
from harness.runner import GATE
from harness.scenario import substitute

ATTACKS = Path(__file__).resolve().parents[2] / "attacks"


def policy_of(name: str) -> str:
    """The text of one of the scenarios' policies, with its placeholders."""
    return (ATTACKS.parent / "scenarios" / "policies" / f"{name}.yaml").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An attack, a policy in YAML with placeholders, and the number of attempts."""

    attack: str
    policy: str
    variant: str = "default"
    abi: str = "x86_64"
    attempts: int = 1


def missing_lines(case: Case, seen: Observation, scratch: Path) -> int:
    """How many of a run's acts on the denied object its log does not name, where that counts.

    An attack of another kind reached the object, or did not: 1 or 0.
    """
    attack = load_attack(ATTACKS / f"{case.attack}.yaml")
    if attack.effect is not Effect.LOG:
        return int(seen.effect)
    is_direct = seen.kind is RunKind.DIRECT
    calls = attack.direct_calls(case.variant) if is_direct else attack.attack_calls(case.variant)
    layout = Layout(root=coverable_root() or scratch)
    told = attributed(calls, attack.sentinel.value, layout).told(seen.events)
    assert seen.effect, seen
    return max(0, seen.wins - told)


def observe(
    case: Case,
    confining: Backend,
    kinds: Sequence[RunKind],
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[RunKind, Observation]:
    """The observations of the runs `kinds` under `confining`."""
    attack = load_attack(ATTACKS / f"{case.attack}.yaml")
    layout = Layout(root=coverable_root() or scratch)
    text = substitute(case.policy, layout.placeholders())
    plan = confining.compile(prepared((parse_yaml(text, "test"),)), native().abis)
    monkeypatch.setattr(agent, "backend", lambda name: confining)
    warm(plan.mechanism)
    isolation = walls.available()
    seen = {}
    for kind in kinds:
        run = Run(
            kind=kind,
            backend=confining.name,
            plan=plan,
            mode=kind.value,
            attempts=case.attempts,
            # Where a log is judged, whose lines are counted, all attempts are made.
            stop=attack.effect is not Effect.LOG,
            command=(),
        )
        request = Request(
            layout=layout,
            limits=Limits(timeout_s=60, core_bytes=1 << 20),
            program=build(attack, case.abi),
            variant=case.variant,
            sentinel=attack.sentinel.value,
            effect=attack.effect,
            files={},
            runs=(run,),
            holds=tuple(CAPABILITIES[name] for name in attack.holds),
            gate=build_source(GATE, case.abi, include=GATE.parent) if confining.held else None,
        )
        seen[kind] = run_isolated(request, run, isolation)
    return seen
