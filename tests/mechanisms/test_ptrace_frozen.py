"""An argument that the kernel would not rewrite is never taken for rewritten."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import cast

import pytest

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.registers import CallRegisters, FrozenArgument
from enforcer.mechanisms.ptrace.tasks import Task

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


@pytest.mark.parametrize("abi", ABIS.values(), ids=ABIS)
def test_a_result_waits_where_it_would_be_a_number(abi: Abi) -> None:
    """s390x has both in one register: a result of 0 before the call would be call 0."""
    written: list[object] = []
    at_exit: list[object] = []
    act = SimpleNamespace(
        abis={abi.audit_arch: abi},
        registers=SimpleNamespace(cancel=lambda *given: written.append(given[-1])),
        sandbox=SimpleNamespace(resume=lambda task: None),
        answer_at_exit=lambda call, result: at_exit.append(result),
    )
    info = (ptrace.OP_SECCOMP, abi.audit_arch, *CALL[2:])
    call = HeldCall(cast("Task", SimpleNamespace(tid=1)), info, "openat", abi.name)
    Act.cancel(cast("Act", act), call, -errno.EACCES)
    waits = abi.name in ("s390x", "riscv64")
    assert (written, at_exit) == (([], [-13]) if waits else ([-13], []))
