"""What the host overwrites in a guest's memory, and that it puts it back."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from enforcer.arch import ARCHES
from harness.vm import removing
from harness.vm.machines import MACHINES
from harness.vm.removing import NotRemoved, Remover, parse_entries

SAID = {
    "x86_64": (
        "ffffffff9e000000 T _text\nffffffff9e000000 T _stext\n"
        "ffffffff9e3a1000 T __x64_sys_rename\nffffffff9e3a1100 T __ia32_sys_rename\n"
        "ffffffff9e3a1200 t __do_sys_rename\n"
        "  0c000000-0d0031d1 : Kernel code\n"
    ),
    "arm64": (
        "ffffa41b48e10000 T _stext\nffffa41b490cb2f8 T __arm64_sys_rename\n"
        "  40210000-41e2ffff : Kernel code\n"
    ),
    "ppc64le": "c000000000000000 T _text\nc0000000005103d8 T sys_rename\n",
    "arm": "c0300000 T _stext\nc05103d8 T sys_rename\n  40300000-410fffff : Kernel code\n",
}
WHERE = {
    "x86_64": {"__x64_sys_rename": 0xC3A1000, "__ia32_sys_rename": 0xC3A1100},
    "arm64": {"__arm64_sys_rename": 0x404CB2F8},
    "ppc64le": {"sys_rename": 0x5103D8},
    "arm": {"sys_rename": 0x405103D8},
}


@pytest.mark.parametrize("arch", SAID)
def test_where_entries_are(arch: str) -> None:
    """Each ABI's own, in physical addresses, wherever the kernel was put."""
    assert parse_entries(SAID[arch], MACHINES[arch]).of("rename") == WHERE[arch]


@pytest.mark.parametrize(
    "said",
    ["", SAID["x86_64"].replace("Kernel code", "System RAM"), "0 T _text\n 1-2 : Kernel code"],
)
def test_a_kernel_that_hides_them(said: str) -> None:
    """Nothing is written to places that are guessed."""
    with pytest.raises(NotRemoved):
        parse_entries(said, MACHINES["x86_64"])


@pytest.mark.parametrize("arch", MACHINES)
def test_every_machine_has_its_code(arch: str) -> None:
    """Whole instructions, and a prefix for the entries of its calls."""
    kind = MACHINES[arch]
    assert arch in ARCHES
    assert kind.not_implemented
    assert kind.entry_prefixes


class Memory:
    """A stub that reads and writes bytes by their address; `lost`: it takes nothing."""

    def __init__(self, content: Mapping[int, bytes], *, lost: bool = False) -> None:
        self.bytes = {at + i: each for at, text in content.items() for i, each in enumerate(text)}
        self.lost = lost

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.bytes.get(address + i, 0) for i in range(size))

    def write(self, address: int, content: bytes) -> None:
        if not self.lost:
            self.bytes |= {address + i: each for i, each in enumerate(content)}


def remover(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> Remover:
    """One whose guest says the symbols above and has this memory."""

    @contextlib.contextmanager
    def stopped(guest: object) -> Iterator[Memory]:
        yield memory

    class Done:
        status = 0
        stdout = SAID["x86_64"].encode()

    class Guest:
        def run(self, command: object, timeout_s: float) -> Done:
            return Done()

    monkeypatch.setattr(removing, "_stopped", stopped)
    guest: Any = Guest()
    return Remover(guest, MACHINES["x86_64"])


CODE = MACHINES["x86_64"].not_implemented
LANDING = MACHINES["x86_64"].landing
BEFORE = {0xC3A1000: b"0123456789abcdef", 0xC3A1100: LANDING + b"0123456789ab"}


def test_a_call_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every ABI, behind what an indirect branch must land on; twice is once."""
    memory = Memory(BEFORE)
    mine = remover(memory, monkeypatch)
    for _ in range(2):
        said = mine.carry_out({"remove": ["rename"]})
        assert said == {"entries": dict.fromkeys(WHERE["x86_64"], CODE.hex())}
        assert memory.read(0xC3A1000, 16) == CODE + b"89abcdef"
        assert memory.read(0xC3A1100, 16) == LANDING + CODE + b"89ab"
    assert mine.carry_out({"restore": ["rename"]}) == {"restored": True}
    assert {at: memory.read(at, 16) for at in BEFORE} == BEFORE


@pytest.mark.parametrize(
    ("question", "lost", "why"),
    [
        ({"remove": ["nonesuch"]}, False, "no entry for nonesuch"),
        ({"remove": ["rename"]}, True, "did not take it"),
        ({"shut": True}, False, "unknown question"),
    ],
)
def test_what_is_not_removed_is_said(
    question: Mapping[str, object], lost: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never that it was."""
    with pytest.raises(NotRemoved, match=why):
        remover(Memory(BEFORE, lost=lost), monkeypatch).carry_out(question)


def test_a_stop_that_the_stub_reports_is_no_answer(tmp_path: Path) -> None:
    """It says at any time that the machine has stopped; answers would shift by one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "stub"))
        listener.listen()

        def serve() -> None:
            there, _ = listener.accept()
            with there:
                there.recv(100)
                there.sendall(b"+$T05thread:01;#07$4142#ca")
                while there.recv(100):  # both answers are acknowledged
                    pass

        server = threading.Thread(target=serve)
        server.start()
        stub = removing._Stub(tmp_path / "stub")
        try:
            assert stub.read(0x1000, 2) == b"AB"
        finally:
            stub.close()
            server.join()
