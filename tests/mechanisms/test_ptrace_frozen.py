"""An argument that the kernel would not rewrite is never taken for rewritten."""

from __future__ import annotations

import errno

import pytest

from enforcer.arch import ABIS
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.registers import CallRegisters, FrozenArgument

RISCV = ABIS["riscv64"]
CALL: SyscallInfo = (ptrace.OP_SECCOMP, RISCV.audit_arch, 0, 0, 56, 3, 0, 0, 0, 0, 0, 0)
"""The call at the stop: argument 0 is 3, which the register set does not show."""


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


def test_a_frozen_argument_that_changes_is_told(written: list[bytes]) -> None:
    """Nothing is written, and the tracer hears of it: the call will be made anew."""
    with pytest.raises(FrozenArgument):
        CallRegisters().rewrite(1, CALL, RISCV, 56, (5, 6, 7))
    assert written == []


def test_the_other_arguments_are_rewritten(written: list[bytes]) -> None:
    """A frozen argument that stays as the call has it hinders nobody."""
    CallRegisters().rewrite(1, CALL, RISCV, 56, (3, 6, 7))
    (content,) = written
    layout = RISCV.layouts[0]
    found = [int.from_bytes(content[at : at + 8], "little") for at in layout.arguments[:3]]
    assert found == [0, 6, 7]


def test_the_registers_of_a_call_have_its_argument(written: list[bytes]) -> None:
    """What the task gets back for a second try is what it had, though the stop shows less."""
    saved = CallRegisters.of_call(1, RISCV, CALL)
    at = RISCV.layouts[0].arguments[0]
    assert int.from_bytes(saved[at : at + 8], "little") == 3
    assert written == []
