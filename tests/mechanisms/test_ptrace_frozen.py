"""An argument that the kernel would not rewrite is never taken for rewritten."""

from __future__ import annotations

import errno

import pytest

from enforcer.arch import ABIS
from enforcer.kernel import ptrace
from enforcer.mechanisms.ptrace.registers import CallRegisters

RISCV = ABIS["riscv64"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to a stopped riscv64 task (zero registers, a kernel before 6.16)."""
    seen: list[bytes] = []
    layout = RISCV.layouts[0]

    def lacking(*_: object) -> None:
        raise OSError(errno.EIO, "no such request")

    monkeypatch.setattr(ptrace, "set_syscall_info", lacking)
    monkeypatch.setattr(ptrace, "registers", lambda tid: bytes(layout.size))
    monkeypatch.setattr(ptrace, "set_registers", lambda tid, content: seen.append(bytes(content)))
    return seen


def test_a_frozen_argument_that_changes_is_an_error(written: list[bytes]) -> None:
    """Nothing is written, and the tracer hears of it."""
    with pytest.raises(OSError, match="argument 0 cannot be rewritten"):
        CallRegisters().rewrite(1, 0, RISCV, 56, (5, 6, 7))
    assert written == []


def test_the_other_arguments_are_rewritten(written: list[bytes]) -> None:
    """A frozen argument that stays as it is hinders nobody."""
    CallRegisters().rewrite(1, 0, RISCV, 56, (0, 6, 7))
    (content,) = written
    layout = RISCV.layouts[0]
    found = [int.from_bytes(content[at : at + 8], "little") for at in layout.arguments[:3]]
    assert found == [0, 6, 7]
