"""A tracer that takes a task's ABI from its program, as systrace's did (CVE-2009-0342)."""

from __future__ import annotations

from pathlib import Path

from enforcer.arch import ABIS
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.weak import Leaky

CLASS = 4
CLASS_32 = 1
"""EI_CLASS and ELFCLASS32 (elf(5))."""


class _ByClass(Tracer):
    def at_call(self, task: Task, info: SyscallInfo) -> None:
        """What the kernel says of the table is not asked."""
        with Path(f"/proc/{task.tid}/exe").open("rb") as program:
            is_narrow = program.read(CLASS + 1)[CLASS] == CLASS_32
        if is_narrow and not task.process.launching:
            info = (info[0], ABIS["i386"].audit_arch, *info[2:])
        super().at_call(task, info)


class _Ptrace(Ptrace):
    make_tracer = _ByClass


BACKEND = Leaky(
    name="leaky-ptrace-program-class",
    weakness="looks the calls of a 32-bit program up in the 32-bit table, whichever it makes",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)
