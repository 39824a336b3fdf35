"""virtme-ng's guests: status and streams end to end, a case with its verdict, clear refusals."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from harness import process
from harness.cli.load import chosen_targets
from harness.model import RunKind, VerdictKind
from harness.places.choice import Driver, Wish
from harness.places.local import PlaceError
from harness.places.vng import VngPlace, vng_place
from harness.vm.machines import MACHINES
from tests.vm.verdicts import verdict_of

KERNEL = "6.1"
FOREIGN = "arm64" if native().name != "arm64" else "riscv64"


@pytest.fixture(scope="module")
def place() -> VngPlace:
    """This machine's architecture, Debian's kernel; one CPU, because nothing races here."""
    if shutil.which("udevadm") is None:
        pytest.skip("virtme-ng's guests need udev")
    return vng_place(native().name, KERNEL, cpus=1, say=lambda text: print(text, file=sys.stderr))


@pytest.mark.vm
def test_status_and_streams_are_the_commands(place: VngPlace) -> None:
    """What goes in comes out, apart, and the exit status is not that of the boot."""
    words = ("sh", "-c", "cat; uname -r; echo error >&2; exit 7")
    done = place.execute(words, stdin="from the host\n", timeout_s=900, shared=None)
    assert done.status == 7, done.describe()
    first, release = done.stdout.splitlines()
    assert first == "from the host"
    assert release.startswith(KERNEL + ".")
    assert "error" in done.stderr.splitlines()


@pytest.mark.vm
def test_a_case_that_holds(place: VngPlace) -> None:
    """Control, benign twin, direct attempt and attack run on the developer's kernel."""
    wish = Wish(arches=(native().name,), kernels=(KERNEL,), driver=Driver.VNG)
    (target,) = chosen_targets(wish)
    leaky = "leaky-seccomp-deny-list"
    result = verdict_of(place, target, "seccomp", "io_uring_open[", beside=leaky)
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason
    assert {run.kind for run in result.observations} == set(RunKind)
    assert result.case.place == f"vng:{native().name}"


@pytest.mark.parametrize("tree", [False, True], ids=["a program", "a tree"])
def test_what_is_started_ends_with_us(tmp_path: Path, *, tree: bool) -> None:
    """kill -9 of the starter: no process is left to hold the pipe open."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    more = "sleep 1000 &" if tree else ""
    words = ("sh", "-c", f"exec 3> '{pipe}'; {more} echo ready >&3; exec sleep 1000")

    def start() -> int:
        return process.run(process.alone(words) if tree else words, timeout_s=100).status

    starter = process.fork(start)
    with pipe.open() as stream:
        assert stream.readline() == "ready\n"
        os.kill(starter, signal.SIGKILL)
        process.wait(starter)
        assert stream.read() == ""


def _say(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel without modules, for a machine that needs no QEMU."""
    monkeypatch.setattr("harness.places.vng.known_bad", lambda *arguments: None)
    found = tmp_path / "vmlinuz"
    found.write_bytes(b"kernel")
    return found


def test_a_foreign_guest_has_a_root_of_its_own(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made of Debian's packages unless one is named."""
    monkeypatch.setattr("harness.places.vng.fetch_tree", lambda machine, say: Path("/made"))
    for named, used in ((None, "/made"), ("/mine", "/mine")):
        options = vng_place(FOREIGN, str(image), root=named, say=_say).options
        assert options[options.index("--root") + 1] == used


def test_a_kernel_that_cannot_have_the_root_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's cloud kernels have no 9p: the guest would hang without a word."""
    image = tmp_path / "boot" / "vmlinuz-6.1.0-cloud"
    modules = tmp_path / "lib" / "modules" / "6.1.0-cloud"
    for path in (image.parent, modules):
        path.mkdir(parents=True)
    image.write_bytes(b"kernel")
    (modules / "modules.dep").write_text("kernel/fs/overlayfs/overlay.ko:\n")
    monkeypatch.setattr("harness.places.vng.known_bad", lambda *arguments: None)
    with pytest.raises(PlaceError, match="no 9p"):
        vng_place(FOREIGN, str(image), root=str(tmp_path), say=_say)
    (modules / "modules.builtin").write_text("kernel/fs/9p/9p.ko\n")
    options = vng_place(FOREIGN, str(image), root=str(tmp_path), say=_say).options
    assert options[options.index("-r") + 1] == str(image)
    assert options[options.index("--arch") + 1] == MACHINES[FOREIGN].debian
