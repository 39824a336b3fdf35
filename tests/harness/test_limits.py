"""Limits of time: every attempt of a race adds to them, so that a slow machine breaks nothing."""

from __future__ import annotations

from dataclasses import replace

from harness import tree
from harness.attack import AttackKind, load_attacks
from harness.backends import names
from harness.model import Case, Limits
from harness.places.local import LocalPlace
from harness.places.starting import OWN_KERNEL_FACTOR, spacious
from harness.runner import ATTEMPT_S, Job, prepare
from harness.scenario import Known, load_scenario


def test_a_race_has_time_for_its_attempts() -> None:
    """The request has the scenario's limit and the attempts' time; what is no race has not."""
    attacks = load_attacks(tree.OWN / "attacks")
    where = tree.OWN / "scenarios"
    known = Known(attacks=attacks, backends=names())
    scenario = replace(
        load_scenario(where / "replication" / "page-end-string.yaml", where, known), features=()
    )
    attack = attacks["replication/page-end-string"]
    case = Case(
        scenario=scenario,
        variant="default",
        backend="ptrace",
        abi="x86_64",
        kernel="",
        place="local",
    )
    once = Job(case=case, attack=attack, attempts=1000)
    race = replace(once, attack=replace(attack, kind=AttackKind.RACE))
    place = LocalPlace()
    given = [prepare(job, place)["limits"] for job in (once, race)]
    place.close()
    seconds = [limits["timeout_s"] for limits in given if isinstance(limits, dict)]
    assert seconds[1] == seconds[0] + 1000 * ATTEMPT_S


def test_a_kernel_of_its_own_has_room() -> None:
    """No limit of memory and files, and of processes as many more as it has for each."""
    limits = Limits()
    room = spacious(limits)
    assert (room.memory_bytes, room.file_bytes) == (-1, -1)
    assert room.processes == limits.processes * OWN_KERNEL_FACTOR
    assert room.timeout_s == limits.timeout_s
