"""One QEMU process: its command line, its control socket (QMP), its console and its end."""

from __future__ import annotations

import functools
import json
import re
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.vm.images import Kernel
from harness.vm.machines import KNOWN_BAD, Machine

DYING_S = 0.2

# An emulated processor guesses nothing, and each indirect call through a retpoline is three blocks
# to translate where it could be one. Nor does it need other addresses for each program: QEMU keeps
# what it translated by address, and would translate shell, loader and C library at every execve.
ALWAYS = "panic=-1 quiet loglevel=3 mitigations=off norandmaps"


class LostVM(Exception):
    """A virtual machine died or fell silent; the text ends with its console's tail."""


class NoQemu(Exception):
    """QEMU for this architecture is not installed."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a guest gets. Memory in MiB."""

    cpus: int = 2
    memory_mib: int = 256
    accelerator: str = "tcg"


@functools.cache
def version(binary: str) -> tuple[int, int]:
    """Major and minor version of a QEMU binary. Raises NoQemu."""
    if shutil.which(binary) is None:
        raise NoQemu(f"{binary} is not installed: run `harness vm install`")
    found = re.search(r"version (\d+)\.(\d+)", process.run([binary, "--version"]).stdout)
    if found is None:
        raise NoQemu(f"{binary} --version names no version")
    return int(found[1]), int(found[2])


def known_bad(machine: Machine, kernel_version: str) -> str | None:
    """Why this kernel must not be run by the installed QEMU, or None."""
    return KNOWN_BAD.get((machine.arch, kernel_version, version(machine.qemu)[0]))


def command_line(
    machine: Machine,
    hardware: Hardware,
    *,
    kernel: Kernel,
    initramfs: Path,
    root: Path,
    memory: Path,
    sockets: Path,
    append: str = "",
    restore: bool = False,
) -> list[str]:
    """QEMU's arguments for the boot that is saved, or for a copy, which has the same devices.

    Memory is a file, shared while the base runs and copy-on-write in the copies.
    """
    accelerator = "tcg,thread=multi" if hardware.accelerator == "tcg" else hardware.accelerator
    cpu = machine.cpu if hardware.accelerator == "tcg" else "host"
    share = "off" if restore else "on"
    arguments = [
        machine.qemu,
        *("-machine", f"{machine.machine},memory-backend=ram0"),
        *("-cpu", cpu, "-accel", accelerator, "-smp", str(hardware.cpus)),
        *("-m", str(hardware.memory_mib)),
        "-object",
        f"memory-backend-file,id=ram0,size={hardware.memory_mib}M,mem-path={memory},share={share}",
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-drive", f"file={root},if=none,id=root,format=raw,readonly=on"),
        *("-device", f"virtio-blk-{machine.bus},drive=root"),
        *("-device", f"virtio-serial-{machine.bus},id=serial"),
        *("-chardev", f"socket,id=agent,path={sockets / 'agent'},server=on,wait=off"),
        *("-device", "virtserialport,bus=serial.0,chardev=agent,name=lab.agent"),
        *("-chardev", f"file,id=console,path={sockets / 'console'}"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{sockets / 'qmp'},server=on,wait=off"),
    ]
    if machine.console.startswith("ttysclp"):
        at = arguments.index("-serial")
        arguments[at : at + 2] = ["-device", "sclpconsole,chardev=console"]
    if restore:
        arguments += ["-incoming", "defer"]
    if machine.boots_from_rom or not restore:
        words = f"console={machine.console} {ALWAYS} {machine.append} {append}"
        arguments += ["-kernel", str(kernel.image), "-initrd", str(initramfs)]
        arguments += ["-append", words.strip()]
    return arguments


class Qemu:
    """A running QEMU. `directory` holds its sockets and its console."""

    def __init__(self, arguments: Sequence[str], directory: Path) -> None:
        self.directory = directory
        self._process = process.start(arguments, directory / "output", directory / "errors")
        self._qmp: socket.socket | None = None
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def private_bytes(self) -> int:
        """The memory that is this process's alone, in bytes."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(1024 * int(kib) for kib in re.findall(r"Private_\w+:\s+(\d+)", text))

    def alive(self) -> bool:
        return self._process.poll() is None

    def lost(self, what: str) -> LostVM:
        """The error for a machine that died or hangs, with the ends of console and stderr."""
        process.pause(self._process, DYING_S)  # its sockets are closed before it is gone
        state = "still runs" if self.alive() else f"ended with {self._process.returncode}"
        parts = [f"{what} (QEMU {state})"]
        for name in ("errors", "console"):
            path = self.directory / name
            text = path.read_bytes()[-2000:].decode("ascii", "replace") if path.exists() else ""
            if text.strip():
                parts.append(f"--- {name}\n{text.strip()}")
        return LostVM("\n".join(parts))

    def connect(self, name: str, timeout_s: float) -> socket.socket:
        """A connection to one of QEMU's sockets, as soon as it listens. Raises LostVM."""
        deadline = time.monotonic() + timeout_s
        path = str(self.directory / name)
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                if not self.alive() or time.monotonic() > deadline:
                    raise self.lost(f"QEMU does not listen at its {name} socket") from None
                process.pause(self._process, 0.005)
                continue
            connection.settimeout(timeout_s)
            return connection

    def qmp(self, command: str, timeout_s: float = 30.0, **arguments: object) -> object:
        """One QMP command and its answer. Raises LostVM."""
        if self._qmp is None:
            self._qmp = self.connect("qmp", timeout_s)
            self._receive()
            self._ask({"execute": "qmp_capabilities"})
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        return self._ask(request)

    def _ask(self, request: Mapping[str, object]) -> object:
        assert self._qmp is not None
        try:
            self._qmp.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._receive()
                if "error" in answer:
                    raise self.lost(f"QMP {request['execute']}: {answer['error']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise self.lost(f"QMP {request['execute']}: {error}") from error

    def _receive(self) -> dict[str, object]:
        assert self._qmp is not None
        while b"\n" not in self._buffer:
            data = self._qmp.recv(65536)
            if not data:
                raise self.lost("QEMU closed its control socket")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def wait_migrated(self, timeout_s: float) -> None:
        """Until the state is written or read. Raises LostVM."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.qmp("query-migrate")
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "completed":
                return
            if status in {"failed", "cancelled"} or time.monotonic() > deadline:
                raise self.lost(f"the snapshot's state: {answer}")
            process.pause(self._process, 0.002)

    def close(self) -> None:
        """Kill QEMU and reap it."""
        if self._qmp is not None:
            self._qmp.close()
        process.stop(self._process)
