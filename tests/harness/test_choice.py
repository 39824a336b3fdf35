"""Which places a wish means, what they are called, and what they are made with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from enforcer.arch import native
from harness.cases import local_abis
from harness.places import choice
from harness.places.choice import (
    QEMU_MIB,
    Driver,
    Target,
    Wish,
    boot_options,
    footprint_mib,
    ready,
    targets,
)
from harness.places.local import kernel_release
from harness.places.vm import VmPlace
from harness.places.vng import MEMORY_MIB, VngPlace
from harness.vm.machines import MACHINES
from harness.vm.qemu import Hardware

OWN = native().name
FOREIGN = "arm64" if OWN != "arm64" else "s390x"


def places(wish: Wish) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(target.name, target.kernel_name, target.abis) for target in targets(wish)]


MACHINE_ABIS = tuple(abi for abi in local_abis() if abi in MACHINES[OWN].abis)
LOCAL = ("local", kernel_release(), local_abis())
WISHES = {
    "nothing": (Wish(), [LOCAL]),
    "no machine": (Wish(driver=Driver.NONE), [LOCAL]),
    "this machine by name": (Wish(arches=(OWN,)), [("local", kernel_release(), (OWN,))]),
    "twice the same": (Wish(arches=(OWN, OWN)), [("local", kernel_release(), (OWN,))]),
    "the host's kernel": (Wish(kernels=("host",)), [LOCAL]),
    "another kernel": (Wish(kernels=("6.12",)), [(f"vm:{OWN}", "6.12", MACHINE_ABIS)]),
    "an image": (Wish(kernels=("/x/linux-6.9/",)), [(f"vm:{OWN}", "linux-6.9", MACHINE_ABIS)]),
    "a machine of this architecture": (
        Wish(driver=Driver.SNAPSHOT),
        [(f"vm:{OWN}", MACHINES[OWN].default_kernel, MACHINE_ABIS)],
    ),
    "virtme-ng": (
        Wish(driver=Driver.VNG, arches=(FOREIGN,)),
        [(f"vng:{FOREIGN}", MACHINES[FOREIGN].default_kernel, MACHINES[FOREIGN].abis[:1])],
    ),
    "an ABI": (Wish(abis=(OWN,)), [("local", kernel_release(), (OWN,))]),
}


@pytest.mark.skipif(OWN not in MACHINES, reason="no virtual machine for this architecture")
@pytest.mark.parametrize("name", WISHES)
def test_a_wish(name: str) -> None:
    """Its places in order, with their kernels and ABIs."""
    wish, wanted = WISHES[name]
    assert places(wish) == wanted


def test_a_wish_is_passed_on() -> None:
    """CPUs and root file system."""
    (target,) = targets(Wish(arches=(FOREIGN,), cpus=3, root="/some/where"))
    assert (target.cpus, target.root) == (3, "/some/where")


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({}, ""),
        ({"lsm": []}, ""),
        ({"lsm": ["landlock", "bpf"]}, "lsm=landlock,bpf"),
        ({"lsm": "landlock"}, "lsm=landlock"),
        ({"cmdline": "audit=1 quiet"}, "audit=1 quiet"),
        ({"lsm": ["bpf"], "cmdline": "audit=1"}, "lsm=bpf audit=1"),
    ],
)
def test_what_a_machine_is_booted_with(needs: dict[str, object], words: str) -> None:
    """Security modules in their order, then the other words."""
    assert boot_options(needs) == words


def test_what_a_machine_is_told_anyway_is_not_told_twice() -> None:
    """It would be booted and saved once more for the same command line."""
    needs = {"lsm": ["bpf"], "cmdline": "quiet syscall.x32=y audit=1"}
    assert boot_options(needs, (), "syscall.x32=y no_timer_check") == "lsm=bpf quiet audit=1"
    assert boot_options({"cmdline": "syscall.x32=y"}, (), "syscall.x32=y no_timer_check") == ""


def test_places_are_made_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its driver, this machine by none."""
    made: list[tuple[object, ...]] = []

    def note(*words: object, say: object, **more: object) -> None:
        made.append((*words, more))

    monkeypatch.setattr(choice, "vm_place", note)
    monkeypatch.setattr(choice, "vng_place", note)
    (local,) = targets(Wish())
    machine = Target(
        arch=FOREIGN, kernel="6.1", driver=Driver.SNAPSHOT, here=(), abis=(), cpus=3, root="/r"
    )
    machine = replace(machine, packages=("sandbox",), settled=("module",))
    ready(local, "quiet", print)
    ready(machine, "quiet", print)
    ready(replace(machine, driver=Driver.VNG), "quiet", print)
    assert made == [
        (
            FOREIGN,
            "6.1",
            {
                "hardware": Hardware(cpus=3),
                "append": "quiet",
                "packages": ("sandbox",),
                "settled": ("module",),
            },
        ),
        (FOREIGN, "6.1", {"append": "quiet", "root": "/r", "cpus": 3}),
    ]


def test_memory_of_machines_counts() -> None:
    """The guest's and QEMU's own; this machine takes none of its own."""
    base: Any = SimpleNamespace(hardware=SimpleNamespace(memory_mib=512))
    snapshot: Any = None
    assert footprint_mib(None) == 0
    copy = VmPlace(base=base, kernel="6.1", snapshot=snapshot, agent=2)
    assert footprint_mib(copy) == 512 + QEMU_MIB
    boot = VngPlace(arch=OWN, kernel="6.1", options=(), foreign=False, built_ns=0)
    assert footprint_mib(boot) == MEMORY_MIB + QEMU_MIB


def test_what_a_backend_needs_is_booted_as_well() -> None:
    """Beside the scenario's modules, or instead of the kernel's own."""
    assert boot_options({}, ("landlock", "selinux")) == "lsm=landlock,selinux"
    assert boot_options({"lsm": ["bpf"], "cmdline": "quiet"}, ("selinux",)) == (
        "lsm=bpf,selinux quiet"
    )
