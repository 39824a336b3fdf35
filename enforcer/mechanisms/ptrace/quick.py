"""The shortest way of an openat that a rule on names permits: one stop, four requests.

The task is sent to openat2 and back by writing its registers once. That takes a target without a
filter of its own, which would be asked about the other call (__seccomp_filter looks again after a
tracer). Whatever is not plainly permitted goes to the general handler, which starts anew.
"""

from __future__ import annotations

import os
from struct import Struct

from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel.file_status import on_procfs
from enforcer.kernel.openat2 import (
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.calls.opens import Opens
from enforcer.mechanisms.ptrace.private import ASKS
from enforcer.mechanisms.ptrace.reading import directory_name, read_string
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.slots import CODE_SIZE
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.trampoline import (
    FRAME,
    HOW_OFFSET,
    HOW_SIZE,
    NAME_ROOM,
    WAYS,
)
from enforcer.pin import lexical
from enforcer.pin.view import name_of
from enforcer.supervision.judge import MOST_KNOWN
from enforcer.syscalls import number
from enforcer.syscalls.arguments import AT_FDCWD, follows_open, open_how, signed
from enforcer.syscalls.memory import UnreadableMemory

_CWD = AT_FDCWD & 0xFFFF_FFFF_FFFF_FFFF
_DELETED = b" (deleted)"
_PLACE = os.O_PATH | os.O_CLOEXEC

_FIRST = 56
_WINDOW = Struct("=QQQQQQQQQQ")
"""The registers r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax and rip of x86-64."""


class Quick:
    """The quick way for x86-64."""

    def __init__(self, sandbox: Sandbox, opens: Opens) -> None:
        self.sandbox = sandbox
        self.opens = opens
        self.arena = sandbox.arena
        self.own_entries = sandbox.own_entries
        self.judged = sandbox.judged
        abi = next(each for each in sandbox.abis.values() if each.name in WAYS)
        self.way = WAYS[abi.name]
        self.arch = abi.audit_arch
        self.openat = number(abi.name, "openat") or 0
        self.devices: set[int] = set()
        self.openat2 = number(abi.name, "openat2") or 0

    def canonical(self, name: bytes, flags: int) -> bytes | None:
        """Where a name with links leads now; None: take the step-by-step way.

        The kernel walks it for the tracer, which has the target's rights as long as no credentials
        changed. In procfs it would take the tracer for the target.
        """
        if not follows_open(flags) or self.sandbox.credentials_changed:
            return None
        found = openat2(AT_FDCWD, name, _PLACE, 0, RESOLVE_NO_MAGICLINKS)
        if found < 0:
            return None
        try:
            device = os.fstat(found).st_dev
            if device not in self.devices:
                if on_procfs(found):
                    return None
                self.devices.add(device)
            canonical = name_of(found)
        except OSError:
            return None
        finally:
            os.close(found)
        if canonical[:1] != b"/" or canonical.endswith(_DELETED) or canonical[:6] == b"/proc/":
            return None
        return canonical

    def serve(self, task: Task, info: SyscallInfo) -> bool:
        """At a native openat: let the task open what it names; False: nothing was done."""
        space = task.process.space
        base = space.base
        if not space.has_way or not space.verified or info[11] != ASKS:
            return False
        _, _, rip, _, _, rdi, rsi, rdx, r10, r8, r9, _ = info
        if 0 <= rip - base < CODE_SIZE:
            return False
        policy = task.process.policy
        if not policy.judges_names or policy.may_meet_aliases() or policy.elevates:
            return False
        try:
            name = read_string(task, rsi)
        except UnreadableMemory:
            return False
        is_relative = name[:1] != b"/"
        absolute = lexical(name)
        if absolute is None:
            return False
        if is_relative:
            directory = directory_name(task, signed(rdi))
            if directory is None:
                return False
            absolute = directory + b"/" + absolute if directory != b"/" else b"/" + absolute
        if absolute in self.opens.has_links:
            found = self.canonical(absolute, rdx)
            if found is None:
                return False
            absolute = found
            is_relative = True
        if len(absolute) >= NAME_ROOM or self.own_entries.may_have(absolute):
            return False
        question = (absolute, rdi, rdx, r10)
        permitted = policy.permitted
        sandbox = self.sandbox
        if question not in permitted:
            if policy.has_predicates:
                return False
            texts = {"filename": (os.fsdecode(absolute),)}
            decision = policy.decide("openat", (rdi, rsi, rdx, r10, r8, r9), texts)
            if decision.action is not Action.PERMIT or decision.log:
                return False
            if policy.remembers:
                if len(permitted) >= MOST_KNOWN:
                    permitted.clear()
                permitted.add(question)
        slot = task.small
        if slot is None:
            slot = task.small = self.arena.take_small()
            if slot is None:
                return False
        sandbox.decisions += 1
        if task.again:
            task.again = False
        else:
            self.judged["openat"] += 1
        flags, mode = open_how(rdx, r10)
        memory = self.arena.memory
        end = slot + len(absolute)
        memory[slot:end] = absolute
        memory[end] = 0
        FRAME.pack_into(
            memory, slot + HOW_OFFSET, flags, mode, RESOLVE_NO_SYMLINKS, rdi, rdx, r10, rip, rsi
        )
        task.away = info
        tid = task.tid
        size = ptrace.load_registers(tid)
        window = ptrace.register_window
        _, r9, r8, rax, rcx, *_ = _WINDOW.unpack_from(window, _FIRST)
        place = base + slot
        after = base + (self.way.relative if is_relative else self.way.absolute)
        registers = (place + HOW_OFFSET, place, _CWD, self.openat2, after)
        _WINDOW.pack_into(window, _FIRST, HOW_SIZE, r9, r8, rax, rcx, *registers)
        ptrace.store_registers(tid, size)
        ptrace.resume(tid)
        return True
