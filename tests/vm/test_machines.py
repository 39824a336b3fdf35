"""The machine table and what is made of it: command lines, targets, accelerators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.arch import ARCHES, native
from harness.cases import local_abis
from harness.places.choice import Driver, Wish, boot_options, targets
from harness.places.local import PlaceError
from harness.vm import accelerator as accelerators
from harness.vm import qemu
from harness.vm.images import Kernel
from harness.vm.machines import KNOWN_BAD, MACHINES, Machine
from harness.vm.qemu import Hardware, LostVM, command_line

KERNEL = Kernel(name="k", release="6.1", image=Path("/k/image"), modules=None)
FOREIGN = "arm" if native().name != "arm" else "riscv64"


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_a_machine_agrees_with_the_arch_records(machine: Machine) -> None:
    """Same name, Debian's port and ABIs, the native one first; its default kernel exists."""
    record = ARCHES[machine.arch]
    assert machine.debian == record.debian
    assert set(machine.abis) <= {abi.name for abi in record.abis}
    assert machine.abis[0] == record.native.name
    assert machine.default_kernel in machine.kernels


def test_every_architecture_has_a_machine() -> None:
    """What the enforcer has a record of can be run."""
    assert set(MACHINES) == set(ARCHES)


def test_known_bad_pairs_are_of_the_table() -> None:
    """A pair that names no kernel of the table would never apply."""
    for name, kernel, _ in KNOWN_BAD:
        assert kernel in MACHINES[name].kernels


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_copies_have_private_memory(machine: Machine) -> None:
    """The saved machine shares its memory file; a copy writes nothing back to it."""
    lines = {
        restore: command_line(
            machine,
            Hardware(),
            kernel=KERNEL,
            initramfs=Path("/i"),
            root=Path("/r"),
            memory=Path("/m"),
            sockets=Path("/s"),
            restore=restore,
        )
        for restore in (False, True)
    }
    assert any("share=on" in word for word in lines[False])
    assert any("share=off" in word for word in lines[True])
    for words in lines.values():
        booted = words[words.index("-kernel") :] if "-kernel" in words else []
        assert bool(booted) == (words is lines[False] or machine.boots_from_rom)
        del words[len(words) - len(booted) :]
    assert lines[True][-2:] == ["-incoming", "defer"]
    assert [a for a, b in zip(lines[False], lines[True][:-2], strict=True) if a != b] == [
        next(word for word in lines[False] if "share=on" in word)
    ]


def test_boot_options_reach_the_kernel() -> None:
    """LSM line and further words of a scenario."""
    line = command_line(
        MACHINES["arm"],
        Hardware(),
        kernel=KERNEL,
        initramfs=Path("/i"),
        root=Path("/r"),
        memory=Path("/m"),
        sockets=Path("/s"),
        append=boot_options({"lsm": ["landlock", "apparmor"], "cmdline": "audit=1"}),
    )
    assert "lsm=landlock,apparmor audit=1" in line[line.index("-append") + 1]
    assert boot_options({}) == ""


def test_this_machine_runs_its_own_programs() -> None:
    """No architecture asked for: one place, this machine, all its ABIs."""
    (target,) = targets(Wish())
    assert (target.arch, target.abis) == (None, local_abis())


def test_a_foreign_architecture_gets_a_machine() -> None:
    """And keeps this machine for what it runs itself."""
    here, there = targets(Wish(arches=(native().native.name, FOREIGN)))
    assert here.arch is None
    assert (there.arch, there.driver, there.abis) == (FOREIGN, Driver.SNAPSHOT, (FOREIGN,))
    assert there.kernel_name == MACHINES[FOREIGN].default_kernel


def test_kernels_multiply() -> None:
    """Each kernel is a place of its own; `host` is this machine."""
    found = targets(Wish(kernels=("6.1", "7.2", "host")))
    assert [target.kernel_name for target in found[1:]] == ["6.1", "7.2"]
    assert found[0].arch is None
    assert len({target.key for target in found}) == 3


@pytest.mark.parametrize(
    ("wish", "mend"),
    [
        pytest.param(Wish(arches=(FOREIGN,), driver=Driver.NONE), "--vm none", id="foreign"),
        pytest.param(Wish(kernels=("6.1",), driver=Driver.NONE), "--vm none", id="kernel"),
        pytest.param(Wish(arches=("vax",)), "choose from", id="arch"),
        pytest.param(Wish(abis=("vax",)), "runs no vax programs", id="abi"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(wish: Wish, mend: str) -> None:
    """The error names what to change."""
    with pytest.raises(PlaceError, match=mend):
        targets(wish)


@pytest.mark.parametrize(
    ("lost", "answer"),
    [pytest.param(True, "tcg", id="hangs"), pytest.param(False, "kvm", id="runs")],
)
def test_hardware_is_used_only_where_a_guest_ran(
    lost: bool, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's presence proves nothing; the probe is asked once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerators, "DEVICE", device)
    monkeypatch.setattr(accelerators, "version", lambda binary: (7, 2))
    probes: list[str] = []

    def boots(base: object, timeout_s: float) -> None:
        probes.append("probe")
        if lost:
            raise LostVM("hangs")

    monkeypatch.setattr(accelerators, "boots", boots)
    machine = replace(MACHINES["x86_64"], machines=frozenset({native().name, "x86_64"}))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for _ in range(2):
        assert accelerators.accelerator(machine, KERNEL, tmp_path) == answer
    assert probes == ["probe"]
    assert accelerators.accelerator(MACHINES["s390x"], KERNEL, tmp_path) == "tcg"


def test_a_missing_qemu_names_the_fix() -> None:
    """Not a traceback."""
    with pytest.raises(qemu.NoQemu, match="harness vm install"):
        qemu.version("qemu-system-that-is-not-there")
