"""Restored copies of a real arm machine: they answer, they differ, they die cleanly."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.model import Result, RunKind, VerdictKind
from harness.places.choice import Wish, targets
from harness.places.local import PlaceError
from harness.places.vm import VmPlace, vm_place
from harness.vm.qemu import LostVM
from harness.vm.snapshot import restored, save
from tests.vm.verdicts import verdict_of

pytestmark = pytest.mark.vm

LEAKY = "leaky-seccomp-deny-list"
"""Refuses openat and knows no rings."""


@pytest.fixture(scope="module")
def place() -> VmPlace:
    """An arm machine, fetched, booted and saved as far as needed."""
    return vm_place("arm", say=lambda text: print(text, file=sys.stderr))


def _verdict(place: VmPlace, backend: str, keyword: str, beside: str | None = None) -> Result:
    (target,) = targets(Wish(arches=("arm",)))
    return verdict_of(place, target, backend, keyword, beside=beside)


def test_a_case_that_holds(place: VmPlace) -> None:
    """Control, benign twin, direct attempt and attack run in the guest."""
    result = _verdict(place, "seccomp", "io_uring_open[", LEAKY)
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason
    assert {run.kind for run in result.observations} == set(RunKind)
    assert (result.case.abi, result.case.place) == ("arm", "vm:arm")


def test_a_case_that_falls(place: VmPlace) -> None:
    """A deny list without rings is defeated there too."""
    result = _verdict(place, LEAKY, "io_uring_open[")
    assert result.verdict.kind is VerdictKind.BYPASSED, result.verdict.reason


def test_tens_of_megabytes_pass_unchanged(place: VmPlace) -> None:
    """Every byte value, in both directions, and through a file."""
    payload = bytes(range(256)) * (20 << 12)
    with restored(place.base, place.snapshot) as guest:
        done = guest.run(["/bin/cat"], stdin=payload, timeout_s=120)
        assert bytes(done.stdout) == payload
        guest.put("/run/payload", payload, 0o644)
        done = guest.run(["/bin/cat", "/run/payload"], timeout_s=120)
        assert bytes(done.stdout) == payload


def test_exit_statuses_and_streams_are_kept_apart(place: VmPlace) -> None:
    """As if the program ran here."""
    with restored(place.base, place.snapshot) as guest:
        done = guest.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])
        assert (bytes(done.stdout), bytes(done.stderr)) == (b"out\n", b"err\n")
        assert done.status is not None
        assert os.waitstatus_to_exitcode(done.status) == 7


def test_copies_differ(place: VmPlace) -> None:
    """Randomness and clock are a copy's own; addresses are every copy's (norandmaps)."""
    seen = []
    for _ in range(2):
        with restored(place.base, place.snapshot) as guest:
            random = guest.run(["/bin/sh", "-c", "cat /proc/sys/kernel/random/uuid"]).stdout
            layout = guest.run(["/bin/cat", "/proc/self/maps"]).stdout
            now = int(guest.run(["/bin/date", "+%s"]).stdout)
            seen.append((bytes(random), bytes(layout)))
            assert abs(now - int(time.time())) < 30
    (first, second) = seen
    assert first[0] != second[0]
    assert first[1] == second[1]


def test_a_killed_machine_is_noticed(place: VmPlace) -> None:
    """LostVM at once, not after a time-out."""
    with restored(place.base, place.snapshot) as guest:
        running = guest.start(["/bin/sleep", "1000"])
        os.kill(guest.qemu.pid, signal.SIGKILL)
        with pytest.raises(LostVM):
            guest.wait(running, 60)


def test_a_lost_machine_is_broken_and_no_verdict(
    place: VmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle is never asked about a guest that died."""

    def lose(self: VmPlace, asked: object) -> None:
        with restored(self.base, self.snapshot) as guest:
            os.kill(guest.qemu.pid, signal.SIGKILL)
            guest.ping(b"", 10)

    monkeypatch.setattr(VmPlace, "_run_each", lose)
    result = _verdict(place, "seccomp", "io_uring_open[")
    assert result.verdict.kind is VerdictKind.BROKEN
    with pytest.raises(PlaceError, match="lost"):
        place.run({"program": None}, 10)


@pytest.mark.parametrize("part", ["state", "memory"])
def test_a_damaged_snapshot_is_made_anew(place: VmPlace, part: str) -> None:
    """Noticed by the next run before its first copy, and said."""
    path = place.snapshot / part
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 4096)
    said: list[str] = []
    again = vm_place("arm", say=said.append)
    assert any("damaged" in text for text in said)
    with restored(again.base, again.snapshot) as guest:
        assert guest.ping(b"alive") == b"alive"


def test_damage_in_mid_run_is_mended(place: VmPlace) -> None:
    """The copy does not come to life, the snapshot is made again, the case has its verdict."""
    state = place.snapshot / "state"
    state.write_bytes(state.read_bytes()[:1000])
    result = _verdict(place, "seccomp", "io_uring_open[", LEAKY)
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason


def test_makers_share_one_snapshot(place: VmPlace) -> None:
    """Several workers that save the same base boot it once."""
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(lambda _: save(place.base, lambda guest: None), range(2)))
    assert found == {place.snapshot}
