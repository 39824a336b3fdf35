"""Which places a run uses: this machine, or virtual machines for what it does not run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from enforcer.arch import arch, native
from harness.cases import local_abis
from harness.places.local import Place, PlaceError, kernel_release
from harness.places.vm import VmPlace, vm_place
from harness.places.vng import MEMORY_MIB as VNG_MIB
from harness.places.vng import vng_place
from harness.vm.machines import MACHINES
from harness.vm.qemu import Hardware

HOST = "host"
QEMU_MIB = 128  # of a machine, beside its guest's memory

Say = Callable[[str], None]


class Driver(StrEnum):
    """SNAPSHOT: restored copies of a base machine. VNG: virtme-ng. NONE: no virtual machine."""

    SNAPSHOT = "snapshot"
    VNG = "vng"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for. Empty tuples and None mean the default.

    `packages` are Debian's that guests are to have: those of others' sandboxes.
    """

    arches: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    driver: Driver | None = None
    abis: tuple[str, ...] = ()
    cpus: int = 2
    root: str | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """One place. `arch` is None for this machine, `kernel` None for the machine table's default.

    `here` are the ABIs whose programs it runs, `abis` those that were asked for, `packages` the
    Debian packages that a guest has beside the usual ones. `whole`: it is there only for backends
    that change a whole machine; `settled` are those among them that are judged there.
    """

    arch: str | None
    kernel: str | None
    driver: Driver
    here: tuple[str, ...]
    abis: tuple[str, ...]
    cpus: int = 2
    root: str | None = None
    packages: tuple[str, ...] = ()
    whole: bool = False
    settled: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As results call it."""
        if self.arch is None:
            return "local"
        return f"{'vng' if self.driver is Driver.VNG else 'vm'}:{self.arch}"

    @property
    def key(self) -> tuple[str, str]:
        """Unique among the targets of a run."""
        return self.name, self.kernel_name

    @property
    def kernel_name(self) -> str:
        """As results call it."""
        if self.arch is None:
            return kernel_release()
        return (self.kernel or MACHINES[self.arch].default_kernel).rstrip("/").rpartition("/")[2]


def targets(wish: Wish) -> tuple[Target, ...]:
    """The places for a wish, this machine first. Raises PlaceError with the fix."""
    names = tuple(dict.fromkeys(map(_arch, wish.arches)))
    local: list[str] = []
    machines: list[Target] = []
    for name in names or (native().name,):
        for kernel in wish.kernels or (None,):
            if _is_local(name, kernel, wish.driver):
                local += [name] if names else local_abis()
            else:
                machines.append(_machine(name, kernel, wish, named=bool(names)))
    found = machines
    if local:
        abis = wish.abis or tuple(dict.fromkeys(local))
        here = Target(arch=None, kernel=None, driver=Driver.NONE, here=local_abis(), abis=abis)
        found = [here, *machines]
    for target in found:
        wrong = [abi for abi in target.abis if abi not in target.here]
        if wrong:
            known = ", ".join(target.here)
            raise PlaceError(f"{target.name} runs no {wrong[0]} programs; it runs {known}")
    return tuple(found)


def _arch(name: str) -> str:
    try:
        return arch(name).name
    except KeyError as error:
        raise PlaceError(str(error.args[0])) from None


def _is_local(name: str, kernel: str | None, driver: Driver | None) -> bool:
    runs_here = name in local_abis()
    if driver is Driver.NONE:
        if not runs_here:
            raise PlaceError(f"{name} programs do not run on this machine: leave --vm none out")
        if kernel not in (None, HOST):
            raise PlaceError(f"kernel {kernel} needs a virtual machine: leave --vm none out")
        return True
    return driver is None and kernel in (None, HOST) and runs_here


def _machine(name: str, kernel: str | None, wish: Wish, *, named: bool) -> Target:
    if name not in MACHINES:
        raise PlaceError(f"no virtual machine for {name!r}; there are {', '.join(MACHINES)}")
    here = MACHINES[name].abis
    usual = here[:1] if named else tuple(abi for abi in local_abis() if abi in here)
    return Target(
        arch=name,
        kernel=kernel,
        driver=wish.driver or Driver.SNAPSHOT,
        here=here,
        abis=wish.abis or usual,
        cpus=wish.cpus,
        root=wish.root,
        packages=wish.packages,
    )


def boot_options(needs: Mapping[str, object], boot: Sequence[str] = (), own: str = "") -> str:
    """What a scenario's `needs` ask of the kernel's command line.

    `lsm` is a list of security modules in their order, `cmdline` further words; `boot` are those
    that a backend needs beside them, or alone. What a machine is told anyway (`own`) is left out:
    it is booted once for all.
    """
    modules = needs.get("lsm") or ()
    assert isinstance(modules, Sequence)
    usual = own.split()
    words = [word for word in str(needs.get("cmdline", "")).split() if word not in usual]
    chosen = dict.fromkeys([*([modules] if isinstance(modules, str) else modules), *boot])
    if chosen:
        words.insert(0, f"lsm={','.join(map(str, chosen))}")
    return " ".join(words).strip()


def ready(target: Target, append: str, say: Say) -> Place | None:
    """The place, made as far as needed; None for this machine. Raises PlaceError."""
    if target.arch is None:
        return None
    if target.driver is Driver.VNG:
        return vng_place(
            target.arch,
            target.kernel,
            append=append,
            root=target.root,
            cpus=target.cpus,
            say=say,
        )
    hardware = Hardware(cpus=target.cpus)
    return vm_place(
        target.arch,
        target.kernel,
        hardware=hardware,
        append=append,
        packages=target.packages,
        settled=target.settled,
        say=say,
    )


def footprint_mib(place: Place | None) -> int:
    """The most memory that one machine of a place takes; 0 for this machine."""
    if isinstance(place, VmPlace):
        return place.base.hardware.memory_mib + QEMU_MIB
    return 0 if place is None else VNG_MIB + QEMU_MIB
