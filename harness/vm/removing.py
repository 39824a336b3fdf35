"""Calls taken out of a running guest: the host overwrites their entries in the guest's memory.

Through QEMU's own debugger stub, in physical addresses: in virtual ones the stopped processor may
have no mapping of the kernel (page-table isolation), and a read-only one would matter.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from harness.vm.guest import Guest
from harness.vm.machines import Machine
from harness.vm.qemu import LostVM

SYMBOLS = (
    "import re, sys\n"
    "wanted = re.compile(r'^[0-9a-f]+ [tT] (\\S*sys_\\S*|_s?text)$')\n"
    "for line in open('/proc/kallsyms'):\n"
    "    if wanted.match(line):\n"
    "        sys.stdout.write(line)\n"
    "for line in open('/proc/iomem'):\n"
    "    if 'Kernel code' in line:\n"
    "        sys.stdout.write(line)\n"
)
"""Run in the guest: names and addresses of entries, and where the kernel's code is in its RAM."""
READ_S = 60.0
PACKET = re.compile(rb"\$([^#]*)#..")
CODE = re.compile(r"^\s*([0-9a-f]+)-[0-9a-f]+ : Kernel code$", re.MULTILINE)


class NotRemoved(Exception):
    """A call cannot be taken out of this kernel."""


@dataclass(frozen=True, kw_only=True)
class Entries:
    """Where the entries of a guest's calls are, in physical addresses."""

    machine: Machine
    symbols: Mapping[str, int]
    shift: int

    def of(self, call: str) -> dict[str, int]:
        """Every entry of a call, by its symbol: one for each ABI that has it."""
        names = [f"{prefix}{call}" for prefix in self.machine.entry_prefixes]
        return {name: self.symbols[name] + self.shift for name in names if name in self.symbols}


def parse_entries(text: str, machine: Machine) -> Entries:
    """From what SYMBOLS prints. Raises NotRemoved."""
    start = CODE.search(text)
    symbols: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tT":
            symbols.setdefault(words[2], int(words[0], 16))
    anchor = symbols.get(machine.entry_anchor)
    shift = machine.linear_shift
    if start is not None and anchor is not None:
        shift = int(start[1], 16) - anchor
    if shift is None or not any(symbols.values()):
        raise NotRemoved("the kernel does not say where its code is")
    return Entries(machine=machine, symbols=symbols, shift=shift)


@dataclass
class Remover:
    """What removes calls from one guest, and puts them back. Raises NotRemoved, LostVM."""

    guest: Guest
    machine: Machine
    _entries: Entries | None = None
    _before: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def carry_out(self, question: Mapping[str, object]) -> Mapping[str, object]:
        """The answer to what `enforcer.mechanisms.removed` asks."""
        if "remove" in question:
            return {"entries": self.remove(cast("list[str]", question["remove"]))}
        if "restore" in question:
            self.restore(cast("list[str]", question["restore"]))
            return {"restored": True}
        raise NotRemoved(f"unknown question {sorted(question)}")

    def remove(self, calls: Sequence[str]) -> dict[str, str]:
        """What stands at each entry of the calls now, in hexadecimal, read back."""
        code = self.machine.not_implemented
        if not code:
            raise NotRemoved(f"nobody has tried it on {self.machine.arch}")
        entries = self._entries or parse_entries(self._symbols(), self.machine)
        self._entries = entries
        found: dict[str, str] = {}
        with _stopped(self.guest) as stub:
            for call in calls:
                where = entries.of(call)
                if not where:
                    raise NotRemoved(f"this kernel has no entry for {call}")
                for name, address in where.items():
                    address += self._past_landing(stub, address)
                    before = self._before.setdefault(call, {})
                    before.setdefault(address, stub.read(address, len(code)))
                    stub.write(address, code)
                    found[name] = stub.read(address, len(code)).hex()
        wrong = sorted(name for name, now in found.items() if now != code.hex())
        if wrong:
            raise NotRemoved(f"the memory of {wrong[0]} did not take it")
        return found

    def restore(self, calls: Sequence[str]) -> None:
        """Put back what was there before."""
        with _stopped(self.guest) as stub:
            for call in calls:
                for address, code in self._before.pop(call, {}).items():
                    stub.write(address, code)

    def _past_landing(self, stub: _Stub, address: int) -> int:
        """An indirect branch may have to land on an instruction for it: that stays."""
        landing = self.machine.landing
        return len(landing) if landing and stub.read(address, len(landing)) == landing else 0

    def _symbols(self) -> str:
        done = self.guest.run(["python3", "-c", SYMBOLS], timeout_s=READ_S)
        if done.status:
            raise NotRemoved(f"reading the kernel's symbols: {bytes(done.stderr)!r}")
        return done.stdout.decode("ascii", "replace")


class _Stub:
    """The few words of the remote serial protocol of GDB that are needed here."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._come = b""

    def close(self) -> None:
        self._socket.close()

    def read(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self.ask(f"m{address:x},{size:x}").decode("ascii"))

    def write(self, address: int, content: bytes) -> None:
        answer = self.ask(f"M{address:x},{len(content):x}:{content.hex()}")
        if answer != b"OK":
            raise NotRemoved(f"the debugger stub refuses to write at {address:#x}: {answer!r}")

    def ask(self, words: str) -> bytes:
        """The answer; that the machine has stopped, the stub says at any time, and it is none."""
        data = words.encode("ascii")
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))
        while True:
            found = PACKET.search(self._come)
            if found is None:
                more = self._socket.recv(1 << 16)
                if not more:
                    raise NotRemoved("the debugger stub hung up")
                self._come += more
                continue
            self._come = self._come[found.end() :]
            self._socket.sendall(b"+")
            if words == "?" or not found[1].startswith(b"T"):
                return found[1]


@contextlib.contextmanager
def _stopped(guest: Guest) -> Iterator[_Stub]:
    """The machine stands still while its memory is written: who connects to the stub stops it."""
    qemu = guest.qemu
    path = qemu.directory / "debugger"
    listen = f"gdbserver unix:{path},server=on,wait=off"
    qemu.qmp("human-monitor-command", command_line=listen)
    stub: _Stub | None = None
    try:
        stub = _Stub(path)
        stub.ask("?")
        if stub.ask("Qqemu.PhyMemMode:1") != b"OK":
            raise NotRemoved("this QEMU's debugger stub knows no physical addresses")
        yield stub
        stub.ask("D")
    except OSError as error:
        raise LostVM(f"QEMU's debugger stub: {error}") from error
    finally:
        if stub is not None:
            stub.close()
        qemu.qmp("human-monitor-command", command_line="gdbserver none")
        path.unlink(missing_ok=True)
        qemu.qmp("cont")
