"""Scenarios of a campaign, their jobs, and the places and pools that it must not begin."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from enforcer.arch import native
from harness import tree
from harness.attack import load_attacks
from harness.campaign import jobs_of
from harness.cases import Selection
from harness.model import Provenance, Scenario
from harness.places.choice import Driver, Target
from harness.runner import Job

ATTACKS = load_attacks(tree.OWN / "attacks")
ACT, RACE = ATTACKS["replication/name-forms"], ATTACKS["race/path-race"]
ABI = native().abis[0].name
LEAKY = "leaky-ptrace-bare"
SCENARIO = Scenario(
    id="race/x",
    title="t",
    path=Path("x.yaml"),
    policy="",
    dialect="yaml",
    attack=RACE.id,
    leaky=(LEAKY,),
)
OF_ACT = replace(SCENARIO, id="act/x", attack=ACT.id, variants=("dots",))
COMMAND = replace(SCENARIO, id="benign/x", attack=None, command=("true",), leaky=())
CHOSEN = Selection(ours=("ptrace",), abis=(ABI,), kernel="6.18")
HERE = Provenance(program="p", policy="q", modules="m", machine="h")


def jobs(
    *scenarios: Scenario, attempts: int | None = None, quick: bool = False
) -> dict[tuple[str, str], Job]:
    found = jobs_of(scenarios, ATTACKS, CHOSEN, attempts=attempts, quick=quick)
    return {(job.case.scenario.id, job.case.backend): job for job in found}


def target(arch: str | None, kernel: str | None = None) -> Target:
    return Target(arch=arch, kernel=kernel, driver=Driver.SNAPSHOT, here=(ABI,), abis=(ABI,))


class There:
    """A place that is only looked at."""

    def __init__(self, name: str) -> None:
        self.machine = f"machine of {name}"


LOCAL, GUEST, LOST = target(None), target("arm64", "6.12"), target("riscv64", "6.12")


def no_executor() -> Executor:
    raise AssertionError("nothing is to be started")
