"""ptrace(2): the requests that a tracer makes, over python-ptrace's binding.

Buffers are made once: a tracer is one thread, and a stop must cost as little as it can.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable, Sequence

from ptrace.binding import func as binding

from enforcer.arch.record import NT_PRSTATUS
from enforcer.kernel.raw import SIZE, fixed, untyped

TRACESYSGOOD = binding.PTRACE_O_TRACESYSGOOD
TRACEFORK = binding.PTRACE_O_TRACEFORK
TRACEVFORK = binding.PTRACE_O_TRACEVFORK
TRACECLONE = binding.PTRACE_O_TRACECLONE
TRACEEXEC = binding.PTRACE_O_TRACEEXEC
TRACEEXIT = binding.PTRACE_O_TRACEEXIT
TRACESECCOMP = 1 << 7
EXITKILL = 1 << 20

EVENT_FORK = binding.PTRACE_EVENT_FORK
EVENT_VFORK = binding.PTRACE_EVENT_VFORK
EVENT_CLONE = binding.PTRACE_EVENT_CLONE
EVENT_EXEC = binding.PTRACE_EVENT_EXEC
EVENT_VFORK_DONE = binding.PTRACE_EVENT_VFORK_DONE
EVENT_EXIT = binding.PTRACE_EVENT_EXIT
EVENT_SECCOMP = 7
EVENT_STOP = 128

WALL = binding.THREAD_TRACE_FLAGS

OP_ENTRY = 1
OP_EXIT = 2
OP_SECCOMP = 3

_SEIZE = 0x4206
_INTERRUPT = 0x4207
_LISTEN = 0x4208
_GET_SYSCALL_INFO = 0x420E
_SET_SYSCALL_INFO = 0x4212
_GETSIGINFO = 0x4202
_DETACH = 17
_SYSCALL = binding.PTRACE_SYSCALL
_CONT = binding.PTRACE_CONT
_GETREGSET = binding.PTRACE_GETREGSET
_SETREGSET = binding.PTRACE_SETREGSET
_POKEUSER = binding.PTRACE_POKEUSER
_GETEVENTMSG = binding.PTRACE_GETEVENTMSG
_GETSIGMASK = 0x420A
_SETSIGMASK = 0x420B

_ptrace = untyped("ptrace")
"""Without the binding's wrapper, which costs as much as the request itself."""
_FAILED = -1
_NOTHING = fixed(SIZE, 0)

_INFO = struct.Struct("=BxxxIQQQ6QI4x")
_INFO_EXIT = struct.Struct("=24xqB")
_info = ctypes.create_string_buffer(_INFO.size)
_INFO_ADDRESS, _INFO_SIZE = fixed(SIZE, ctypes.addressof(_info)), fixed(SIZE, _INFO.size)
_unpack_info = _INFO.unpack_from
_pack_info = _INFO.pack_into

_REGISTERS_SIZE = 1024
_registers = ctypes.create_string_buffer(_REGISTERS_SIZE)
register_window = memoryview(_registers).cast("B")


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_iovec = _IoVec(ctypes.addressof(_registers), _REGISTERS_SIZE)
_IOVEC_ADDRESS, _NOTE = fixed(SIZE, ctypes.addressof(_iovec)), fixed(SIZE, NT_PRSTATUS)
_message = ctypes.c_ulong()
_MESSAGE_ADDRESS = ctypes.addressof(_message)
_siginfo = ctypes.create_string_buffer(128)
_siginfo_view = memoryview(_siginfo).cast("B")
_SIGINFO_ADDRESS = ctypes.addressof(_siginfo)

SyscallInfo = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
"""op, arch, instruction pointer, stack pointer, number, six arguments, SECCOMP_RET_DATA."""


class TaskGone(Exception):
    """The task died (ESRCH), which it may do at any moment while it is stopped."""


def _failed() -> Exception:
    number = ctypes.get_errno()
    return TaskGone() if number == errno.ESRCH else OSError(number, os.strerror(number))


def _request(request: int, tid: int, first: int = 0, second: int = 0) -> int:
    result = _ptrace(request, tid, SIZE(first), SIZE(second))
    if result == _FAILED:
        raise _failed()
    return result


def seize(tid: int, options: int) -> None:
    """Trace `tid` without stopping it. Raises OSError (EPERM: not allowed), TaskGone."""
    _request(_SEIZE, tid, 0, options)


def interrupt(tid: int) -> None:
    """Have a seized `tid` stop as soon as it would be in user space. Raises TaskGone."""
    _request(_INTERRUPT, tid)


def listen(tid: int) -> None:
    """Leave `tid` in its group-stop, but hear of SIGCONT. Raises TaskGone."""
    _request(_LISTEN, tid)


def resume(tid: int, signal: int = 0) -> None:
    """Let `tid` run to its next event, delivering `signal`. Raises TaskGone."""
    if _ptrace(_CONT, tid, _NOTHING, SIZE(signal) if signal else _NOTHING) == _FAILED:
        raise _failed()


def resume_to_syscall(tid: int, signal: int = 0) -> None:
    """As `resume`, but stop at the next entry to or exit from a call too. Raises TaskGone."""
    if _ptrace(_SYSCALL, tid, _NOTHING, SIZE(signal) if signal else _NOTHING) == _FAILED:
        raise _failed()


def let_go(tid: int, signal: int) -> None:
    """Trace `tid` no more, and deliver `signal`. Raises TaskGone."""
    _request(_DETACH, tid, 0, signal)


def signal_code(tid: int) -> int:
    """Where the signal that `tid` is stopped by comes from (si_code). Raises TaskGone."""
    _request(_GETSIGINFO, tid, 0, _SIGINFO_ADDRESS)
    return int.from_bytes(_siginfo_view[8:12], sys.byteorder, signed=True)


def event_message(tid: int) -> int:
    """PTRACE_GETEVENTMSG: the new task, or the former id at an exec. Raises TaskGone."""
    _request(_GETEVENTMSG, tid, 0, _MESSAGE_ADDRESS)
    return _message.value


def signal_mask(tid: int) -> bytes:
    """The signals that a stopped task blocks, 8 bytes as the kernel lays them out."""
    _request(_GETSIGMASK, tid, 8, _SIGINFO_ADDRESS)
    return bytes(_siginfo_view[:8])


def set_signal_mask(tid: int, mask: bytes) -> None:
    """Set the 8 bytes of blocked signals. Raises TaskGone."""
    _siginfo_view[:8] = mask
    _request(_SETSIGMASK, tid, 8, _SIGINFO_ADDRESS)


def syscall_info(tid: int) -> SyscallInfo:
    """PTRACE_GET_SYSCALL_INFO at a syscall or seccomp stop. Raises TaskGone, OSError (< 5.3)."""
    if _ptrace(_GET_SYSCALL_INFO, tid, _INFO_SIZE, _INFO_ADDRESS) == _FAILED:
        raise _failed()
    return _unpack_info(_info)


def exit_result() -> int:
    """The result of the call whose exit `syscall_info` has just reported, negative: -errno."""
    result: int = _INFO_EXIT.unpack_from(_info)[0]
    return result


def set_syscall_info(tid: int, op: int, number: int, arguments: Sequence[int]) -> None:
    """Change number and arguments at the entry stop that `op` names (Linux 6.16).

    Raises OSError with EIO where the kernel lacks it, and TaskGone.
    """
    _pack_info(_info, 0, op, 0, 0, 0, number, *arguments, 0)
    if _ptrace(_SET_SYSCALL_INFO, tid, _INFO_SIZE, _INFO_ADDRESS) == _FAILED:
        raise _failed()


def word(value: int) -> object:
    """A register's content that will be written often, made ready for `Poke`."""
    return fixed(SIZE, value)


Poke = Callable[[int, object], None]


def poking(offset: int) -> Poke:
    """What changes the register at `offset` of the native set. It raises TaskGone, OSError.

    It takes its arguments made ready, which as ints took half of its time.
    """
    place = fixed(SIZE, offset)

    def poke(tid: int, content: object) -> None:
        if _ptrace(_POKEUSER, tid, place, content) == _FAILED:
            raise _failed()

    return poke


def set_call_number(request: int, tid: int, number: int) -> None:
    """Change the number of the call by an architecture's own request. Raises TaskGone, OSError."""
    _request(request, tid, 0, number)


def load_registers(tid: int) -> int:
    """Read the general registers into `register_window`; their size. Raises TaskGone."""
    _iovec.length = _REGISTERS_SIZE
    if _ptrace(_GETREGSET, tid, _NOTE, _IOVEC_ADDRESS) == _FAILED:
        raise _failed()
    size: int = _iovec.length
    return size


def store_registers(tid: int, size: int) -> None:
    """Write `register_window` back as the general registers. Raises TaskGone, OSError."""
    _iovec.length = size
    if _ptrace(_SETREGSET, tid, _NOTE, _IOVEC_ADDRESS) == _FAILED:
        raise _failed()


def registers(tid: int) -> bytes:
    """The general registers (NT_PRSTATUS); their layout goes by the size. Raises TaskGone."""
    _iovec.length = _REGISTERS_SIZE
    if _ptrace(_GETREGSET, tid, _NOTE, _IOVEC_ADDRESS) == _FAILED:
        raise _failed()
    return bytes(register_window[: _iovec.length])


def set_registers(tid: int, content: bytes | bytearray, note: int = NT_PRSTATUS) -> None:
    """Write a register set back as `registers` gave it. Raises TaskGone, OSError."""
    size = len(content)
    register_window[:size] = content
    _iovec.length = size
    if _ptrace(_SETREGSET, tid, SIZE(note), _IOVEC_ADDRESS) == _FAILED:
        raise _failed()
