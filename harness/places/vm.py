"""A virtual machine as a place: every case gets a restored copy of a snapshot, thrown away after.

The snapshot holds the agent, already warm, waiting for its one request.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

import ptrace

import enforcer
import harness
from enforcer.arch import arch
from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import MechanismName, PreparedName
from harness.backends import is_file
from harness.build import BuildError
from harness.places.layout import Layout
from harness.places.local import Answer, Asked, PlaceError, answer_of, numbered, this_machine
from harness.places.wire import NUMBER, Garbled, question_of
from harness.stages import HERE, Stage
from harness.vm.accelerator import accelerator
from harness.vm.archive import ArchiveError
from harness.vm.cache import CacheFull, cache_root, digest
from harness.vm.capacity import crowding
from harness.vm.guest import Guest, Refused, Running
from harness.vm.images import find_kernel
from harness.vm.machines import MachineError, machine
from harness.vm.outside import Outside
from harness.vm.qemu import Hardware, LostVM, NoQemu, known_bad
from harness.vm.roots import fetch_root
from harness.vm.snapshot import Base, is_saved, restored, save

LIBRARY = PurePosixPath("/opt/lab")
PROGRAM = PurePosixPath("/run/program")
GATE = PurePosixPath("/run/gate")
UNPACK = (
    "import sys, tarfile\n"
    "with tarfile.open(fileobj=sys.stdin.buffer, mode='r|') as content:\n"
    "    content.extractall(sys.argv[1], filter='data')\n"
)
AGENT = ("python3", "-m", "harness.places.agent")
AGENT_NUMBER = 2
WARM_UP_S = 120.0
TRIES = 2
EMULATION_FACTOR = 4.0


@dataclass(frozen=True, kw_only=True)
class VmPlace:
    """Throw-away copies of one base machine."""

    base: Base
    kernel: str
    snapshot: Path
    agent: int
    settled: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"vm:{self.base.machine.arch}"

    @property
    def abis(self) -> tuple[Abi, ...]:
        """The ABIs whose programs this machine's kernel serves, the native one first."""
        return arch(self.base.machine.arch).abis

    @property
    def machine(self) -> str:
        """The snapshot's digest, and this machine's, which makes it fast or slow."""
        return digest(self.base.key, this_machine())

    @property
    def patience(self) -> float:
        """Emulation is slow, hardware is not; other work slows both."""
        factor = EMULATION_FACTOR if self.base.hardware.accelerator == "tcg" else 1.0
        return factor * crowding()

    def layout(self) -> Layout:
        return Layout(root=Path("/srv"))

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Carry out a request in a fresh copy."""
        (answer,) = self.run_each([(request, timeout_s)])
        return answer

    def run_each(self, asked: Sequence[Asked]) -> list[Answer]:
        """Carry out requests in one fresh copy; a copy that is lost is replaced once."""
        for attempt in range(1, TRIES + 1):
            try:
                self._mend()
                return self._run_each(asked)
            except (LostVM, Refused, CacheFull) as error:
                if attempt == TRIES:
                    raise PlaceError(f"two machines were lost: {error}") from error
            finally:
                HERE.tell(Stage.DONE)
        raise AssertionError

    def _mend(self) -> None:
        """Make the snapshot again where a damaged one was removed in mid-run."""
        if not is_saved(self.base):
            modules = library()
            if digest(modules, *self.settled) != self.base.content:
                raise Refused("the snapshot is gone, and what it was made of has changed since")
            HERE.tell(Stage.BOOTING)
            save(self.base, lambda guest: _prepare(guest, modules, self.settled))

    def _run_each(self, asked: Sequence[Asked]) -> list[Answer]:
        HERE.tell(Stage.RESTORING)
        with restored(self.base, self.snapshot) as guest:
            HERE.tell(Stage.RUNNING)
            agent = guest.adopt(self.agent)
            outside = Outside(guest, self.base, self.kernel)
            return [_answered(guest, agent, outside, *each) for each in asked]

    def close(self) -> None:
        return None


def vm_place(
    name: str,
    kernel_version: str | None = None,
    *,
    hardware: Hardware | None = None,
    append: str = "",
    packages: Sequence[str] = (),
    settled: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> VmPlace:
    """The place for an architecture: images fetched, the base booted and saved, as far as needed.
    `packages` are Debian's, of others' sandboxes that are to be judged there, `settled` the
    backends that change the whole machine.

    Raises PlaceError with the fix.
    """
    try:
        kind = machine(name)
        version = kernel_version or kind.default_kernel
        bad = known_bad(kind, version)
        if bad is not None:
            raise PlaceError(f"{name} with kernel {version}: {bad}")
        kernel = find_kernel(kind, version, say)
        root = fetch_root(kind, say, packages)
        modules = library()
        hardware = hardware or Hardware()
        hardware = replace(hardware, accelerator=accelerator(kind, kernel, root))
        base = Base(
            machine=kind,
            kernel=kernel,
            root=root,
            hardware=hardware,
            append=append,
            content=digest(modules, *settled),
        )
        if not is_saved(base):
            say(f"booting and saving {kernel.name} ({hardware.accelerator})")
        snapshot = save(base, lambda guest: _prepare(guest, modules, settled), say)
    except (
        ArchiveError,
        BuildError,
        CacheFull,
        LostVM,
        MachineError,
        NoQemu,
        Refused,
    ) as error:
        raise PlaceError(str(error)) from error
    except OSError as error:
        raise PlaceError(
            f"the cache {cache_root()}: {error}: free some room (`harness vm prune`) or name "
            "another directory in XDG_CACHE_HOME"
        ) from error
    return VmPlace(
        base=base, kernel=version, snapshot=snapshot, agent=AGENT_NUMBER, settled=settled
    )


def _prepare(guest: Guest, modules: bytes, settled: Sequence[str]) -> None:
    """Put the modules into the guest, start the agent and have it import everything, and do what
    the backends `settled` do once for all cases.
    """
    limit_s = WARM_UP_S * crowding()
    unpack = ["python3", "-c", UNPACK, str(LIBRARY)]
    done = guest.run(unpack, stdin=modules, timeout_s=limit_s)
    if done.status:
        raise Refused(f"unpacking the library: {bytes(done.stderr)!r}")
    agent = guest.start(
        AGENT,
        directory="/",
        env={"PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
        number=AGENT_NUMBER,
    )
    warm = {"warm": [*MechanismName, *PreparedName], "settle": settled}
    guest.input(agent, json.dumps(warm).encode() + b"\n")
    guest.read_line(agent, limit_s)


def _answered(
    guest: Guest, agent: Running, outside: Outside, request: Mapping[str, object], timeout_s: float
) -> Answer:
    """What the agent says to one request. Raises LostVM, Refused, PlaceError."""
    there = {name: _put(guest, request.get(name), to) for name, to in _PROGRAMS.items()}
    for backend in _files_of(request):
        guest.put(str(backend), backend.read_bytes())
    asked = numbered({**request, **there, "disposable": True})
    guest.input(agent, json.dumps(asked).encode() + b"\n")
    while True:
        line = guest.read_line(agent, timeout_s)
        question = _question(line, asked)
        if question is None:
            return answer_of(line, asked)
        said = outside.carry_out(question)
        guest.input(agent, json.dumps(said).encode() + b"\n")


_PROGRAMS = {"program": PROGRAM, "gate": GATE}
"""Where the programs of a request, built on the host, are in the guest."""


def _put(guest: Guest, program: object, to: PurePosixPath) -> str | None:
    if program is None:
        return None
    guest.put(str(to), Path(str(program)).read_bytes(), 0o755)
    return str(to)


def _question(line: bytes, asked: Mapping[str, object]) -> dict[str, object] | None:
    """What the agent asks of us before it answers, if it does. Raises PlaceError."""
    try:
        return question_of(line, str(asked[NUMBER]))
    except Garbled as error:
        raise PlaceError(f"what came as the agent's answer is not believed: {error}") from error


def _files_of(request: Mapping[str, object]) -> list[Path]:
    """The user's own files that are backends of this request: the guest reads them, too."""
    runs = cast("Sequence[Mapping[str, object]]", request["runs"])
    names = dict.fromkeys(str(run["backend"]) for run in runs)
    return [Path(name) for name in names if is_file(name)]


def library() -> bytes:
    """A tar of the modules that the guest needs: ours and python-ptrace, in a fixed order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as content:
        for package in (enforcer, harness, ptrace):
            top = Path(str(package.__file__)).parent
            for file in sorted(top.rglob("*")):
                if (
                    file.suffix not in {".py", ".tsv", ".txt", ".yaml"}
                    or "__pycache__" in file.parts
                ):
                    continue
                parts = file.relative_to(top).parts
                if parts[0] not in _NEEDED.get(top.name, parts) or parts in _HOST_ONLY:
                    continue
                entry = tarfile.TarInfo(str(file.relative_to(top.parent)))
                data = file.read_bytes()
                entry.size = len(data)
                content.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


_HOST_ONLY = {("places", name) for name in ("choice.py", "local.py", "vm.py", "vng.py")}
_SHIPPED = {".py", ".tsv", ".txt", ".yaml"}
_NEEDED = {
    "harness": frozenset(
        {
            "__init__.py",
            "backends",
            "external",
            "installing.py",
            "model.py",
            "nodes.py",
            "places",
            "process.py",
            "wideners.py",
        }
    ),
    "enforcer": frozenset(
        {
            "__init__.py",
            "access",
            "arch",
            "call.py",
            "cbpf",
            "condition.py",
            "events.py",
            "outbox.py",
            "kernel",
            "mechanisms",
            "pin",
            "policy",
            "supervision",
            "syscalls",
        }
    ),
}
