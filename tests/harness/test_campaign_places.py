"""The places of a campaign: made once, side by side, and who follows whom into them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness import campaign
from harness.campaign import Places, booted_with
from harness.places.choice import Target
from harness.places.local import Place, PlaceError
from harness.runner import Job
from harness.vm.machines import MACHINES
from tests.harness.campaigning import COMMAND, GUEST, LOCAL, LOST, There, jobs, target


class Prepared:
    """Stands in for ready(): counts what is made, and cannot make riscv64."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def __call__(self, wanted: Target, append: str, say: Callable[[str], None]) -> Place | None:
        self.made.append((wanted.name, append))
        if wanted.arch is None:
            return None
        if wanted.arch == "riscv64":
            raise PlaceError("no kernel\nfetched")
        return There(f"{wanted.name} {append}")  # type: ignore[return-value]


def at(job: Job, where: Target, **needs: object) -> Job:
    """The job there, of a scenario with these needs."""
    scenario = replace(job.case.scenario, id=str(needs), needs=needs)
    case = replace(job.case, place=where.name, kernel=where.kernel_name, scenario=scenario)
    return replace(job, case=case)


def test_places_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each when its first job asks for it, one for each way of booting; jobs of one place come
    together; where there is none, that is said once, and its jobs come back as they are.
    """
    prepared, said, stages = Prepared(), list[str](), list[str]()
    monkeypatch.setattr(campaign, "ready", prepared)
    (job,) = jobs(COMMAND).values()
    wanted = [
        at(job, LOCAL, cmdline="quiet"),
        at(job, GUEST),
        at(job, LOST),
        at(job, GUEST, cmdline="quiet"),
        at(job, LOCAL),
        at(job, LOST),
        at(job, GUEST),
    ]
    places = Places((LOCAL, GUEST, LOST), said.append, stages.append)
    assert places.beside(wanted) == []
    placed, lost = places.placed(wanted)
    assert sorted(prepared.made) == [
        ("local", ""),
        ("vm:arm64", ""),
        ("vm:arm64", "quiet"),
        ("vm:riscv64", ""),
    ]
    machines = [each.place.machine if each.place else "" for each in placed]
    first, second = "machine of vm:arm64 ", "machine of vm:arm64 quiet"
    assert machines == ["", "", first, first, second]
    assert lost == [at(job, LOST)] * 2
    assert said == ["vm:riscv64 with kernel 6.12 cannot be prepared: no kernel\nfetched"]
    assert stages[-1] == ""
    assert "preparing vm:arm64 6.12" in stages
    again = places.beside(wanted)
    assert [each.place.machine if each.place else "" for each in again] == [
        *("", first, second, "", first)
    ]
    assert places.placed(wanted) == (placed, lost)
    assert len(prepared.made) == 4
    elsewhere = at(job, GUEST, lsm=["landlock"])
    assert places.beside([elsewhere]) == []


def test_places_are_made_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """One machine that boots leaves the other processors to others; what fails fails here."""
    both = threading.Barrier(2, timeout=20)

    def ready(wanted: Target, append: str, say: Callable[[str], None]) -> None:
        both.wait()
        if append:
            raise KeyError(append)

    monkeypatch.setattr(campaign, "ready", ready)
    monkeypatch.setattr(campaign, "processors", lambda: 2)
    (job,) = jobs(COMMAND).values()
    with pytest.raises(KeyError, match="quiet"):
        Places((GUEST,), print, print).placed([at(job, GUEST), at(job, GUEST, cmdline="quiet")])


def test_a_machine_is_not_booted_for_what_all_are_told() -> None:
    """Neither is this one for anything."""
    (job,) = jobs(COMMAND).values()
    there = target("x86_64", "7.2")
    own = MACHINES["x86_64"].append
    assert own
    wanted = [
        booted_with(at(job, where, cmdline=f"{own} quiet"), where) for where in (there, LOCAL)
    ]
    assert wanted == ["quiet", ""]


def test_leaky_ones_follow_what_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the machine that the backend of a case wants to be booted otherwise."""
    monkeypatch.setattr(campaign, "ready", Prepared())
    monkeypatch.setattr(campaign, "boot_of", lambda name: ("selinux",) if name == "notify" else ())
    (job,) = jobs(COMMAND).values()
    judged = at(replace(job, case=replace(job.case, backend="notify")), GUEST)
    leaky = at(replace(job, case=replace(job.case, backend="leaky-preload")), GUEST)
    places = Places((GUEST,), print, print)
    (placed,), _ = places.placed([judged])
    (beside,) = places.beside([leaky])
    assert placed.place is beside.place is not None
