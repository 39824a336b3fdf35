"""Calls that a held task is made to do before its own: the slots are mapped this way.

A script is a generator of (number, arguments); each result is sent back to it. All signals are
blocked meanwhile, so that no handler ever sees the borrowed registers; at the end the task's own
call is made again from its first instruction, or answered with what the script returned.

Calls after the first are made by the task's own system call instruction, in memory that its peers
can write. So at the entry of each what the kernel took is compared with what was meant:

    tracer                        task                       peer (same memory)
    sends it back to `syscall`                               writes a jump over `syscall`
                                  jumps, opens a file
    sees number and arguments
    of its stop: ends the sandbox
"""

from __future__ import annotations

import errno
import mmap
import os

from enforcer.arch.record import Abi
from enforcer.kernel import ptrace
from enforcer.kernel.mappings import Mapping, mapping_at
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.registers import NARROW
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.slots import CODE_SIZE
from enforcer.mechanisms.ptrace.tasks import Script, Task
from enforcer.mechanisms.ptrace.trampoline import WAYS
from enforcer.syscalls import name, number

_MAP_FIXED_NOREPLACE = 0x10_0000
_MAP_32BIT = 0x40
_ALL_SIGNALS = b"\xff" * 8


def begin(sandbox: Sandbox, task: Task, info: SyscallInfo, script: Script) -> None:
    """At a seccomp stop: run `script` in the task instead of its call, for now."""
    tid = task.tid
    abi = sandbox.abis[info[1]]
    nr, arguments = next(script)
    task.saved = sandbox.registers.of_call(tid, abi, info)
    task.signals = ptrace.signal_mask(tid)
    ptrace.set_signal_mask(tid, _ALL_SIGNALS)
    task.script = script
    task.injected, task.injected_arch = (nr, arguments), info[1]
    sandbox.registers.rewrite(tid, info, abi, nr, arguments)
    ptrace.resume_to_syscall(tid)


def advance(sandbox: Sandbox, task: Task, info: SyscallInfo, result: int) -> None:
    """At the exit of a call of a script: the next one, or the end."""
    tid = task.tid
    abi = sandbox.abis[info[1]]
    script = task.script
    assert script is not None
    try:
        nr, arguments = script.send(result)
    except StopIteration as stop:
        end(sandbox, task, abi, stop.value)
        return
    task.injected = (nr, arguments)
    sandbox.registers.call_again(tid, abi, task.saved, nr, arguments)
    ptrace.resume_to_syscall(tid)


def enter(sandbox: Sandbox, task: Task, info: SyscallInfo) -> None:
    """At the entry of a call while a script runs: let it in if it is the one that was meant.

    The kernel has its number and arguments by now, where no peer can change them
    (syscall_get_arguments of the entry stop reads the task's saved registers).
    """
    assert task.injected is not None
    nr, arguments = task.injected
    abi = sandbox.abis.get(info[1])
    mask = (1 << (64 if abi is None else abi.bits)) - 1
    meant = tuple(argument & mask for argument in arguments)
    made = tuple(argument & mask for argument in info[5 : 5 + len(meant)])
    if abi is None or info[1] != task.injected_arch or info[4] != nr or made != meant:
        call = str(info[4]) if abi is None else name(abi.name, info[4]) or str(info[4])
        sandbox.end("another call than the one injected", tid=task.tid, call=call)
        return
    ptrace.resume_to_syscall(task.tid)


def end(sandbox: Sandbox, task: Task, abi: Abi, result: int | None) -> None:
    """Give the task its own registers and signals back."""
    saved, task.saved, task.script = task.saved, b"", None
    if result is None:
        sandbox.registers.call_again(task.tid, abi, saved)
        task.again = True
    else:
        sandbox.registers.restore(task.tid, abi, saved, result)
    if task.signals is not None:
        ptrace.set_signal_mask(task.tid, task.signals)
        task.signals = None
    sandbox.resume(task)
    if task.process.space.mapper == task.tid:
        sandbox.wake_waiters(task.process.space)


def map_slots(sandbox: Sandbox, task: Task, abi: Abi, lacking: int) -> Script:
    """Map the slots into the task's address space, read-only and sealed where the kernel can.

    They go where a filter can tell the calls that reach there, or at least where they are sealed:
    below 4 GiB, which calls of a 32-bit ABI reach too, or where that is full anywhere. `lacking` is
    the errno of a task in which they can be put nowhere.
    Until the last check the mapping may be anything: another task of the address space can replace
    descriptor and mapping at every moment. After it, what was checked cannot be changed any more.
    """
    listener = sandbox.listener
    assert listener is not None
    arena = sandbox.arena
    space = task.process.space
    listener.arrange(task.tid, lambda: os.dup(arena.file.fd), close_on_exec=True)
    fd = yield DELIVER, ()
    if fd < 0:
        return fd
    map_number = number(abi.name, "mmap2") or number(abi.name, "mmap")
    assert map_number is not None
    protection = mmap.PROT_READ
    low = mmap.MAP_SHARED | _MAP_FIXED_NOREPLACE
    address = yield map_number, (abi.spare_address, arena.size, protection, low, fd, 0)
    if address != abi.spare_address:
        anywhere = mmap.MAP_SHARED | (_MAP_32BIT if abi.audit_arch in _HAS_32BIT else 0)
        address = yield map_number, (0, arena.size, protection, anywhere, fd, 0)
    if is_error(address) and abi.bits != NARROW:
        address = yield map_number, (0, arena.size, protection, mmap.MAP_SHARED, fd, 0)
    protect = number(abi.name, "mprotect")
    if abi.name in WAYS and protect is not None and not is_error(address):
        yield protect, (address, CODE_SIZE, protection | mmap.PROT_EXEC)
    seal = number(abi.name, "mseal")
    is_sealed = False
    if seal is not None and not is_error(address):
        is_sealed = (yield seal, (address, arena.size, 0)) == 0
    close = number(abi.name, "close")
    assert close is not None
    yield close, (fd,)
    if is_error(address):
        return -lacking
    if abi.bits == NARROW:
        address &= 0xFFFF_FFFF
    if not is_sealed and address != abi.spare_address:
        unmap = number(abi.name, "munmap")
        assert unmap is not None
        yield unmap, (address, arena.size)
        return -lacking
    if not verify_slots(sandbox, task, address):
        return -errno.EFAULT
    space.base = address
    space.verified = True
    return None


def is_error(result: int) -> bool:
    """Whether a call's result is -errno."""
    return -4096 < result < 0


_HAS_32BIT = frozenset({0xC000_003E, 0x4000_0003})


def verify_slots(sandbox: Sandbox, task: Task, address: int) -> bool:
    """Whether the whole sealed file is mapped at `address`, read-only and shared."""
    arena = sandbox.arena
    parts: list[Mapping] = []
    at, end = address, address + arena.size
    while at < end and len(parts) < 2:
        found = mapping_at(task.tid, at)
        if (
            found is None
            or (found.device, found.inode) != arena.file.identity
            or found.start != at
            or found.offset != at - address
            or not found.shared
            or found.writable
        ):
            return False
        parts.append(found)
        at = found.end
    task.process.space.has_way = parts[0].executable and parts[0].end == address + CODE_SIZE
    return at == end


def has_slots(sandbox: Sandbox, task: Task) -> bool:
    """Whether the task's calls can point into the slots; a mapping had by fork is verified."""
    space = task.process.space
    if space.base and verify_slots(sandbox, task, space.base):
        space.verified = True
        return True
    return False
