"""Kernel features that attacks and scenarios may need, each found by trying it as a target would.

Here and in guests alike: the agent asks before a case's runs, `harness doctor` asks too.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from enforcer.arch import native
from enforcer.cbpf.spec import USER_NOTIF
from enforcer.kernel import landlock, namespaces, pageout, ptrace
from enforcer.kernel.seccomp import (
    FilterFlag,
    errno_of_call,
    is_action_available,
    is_flag_available,
)
from enforcer.syscalls import number
from harness.process import fork, wait

NOBODY = 65534
_AT_FDCWD = -100
_OPEN_HOW_BYTES = 24
_BASE = 0x10000
ACTIVE_LSMS = Path("/sys/kernel/security/lsm")
COMMAND_LINE = Path("/proc/cmdline")
_I386_EXIT = bytes.fromhex("31db31c040cd80")  # ebx = 0, eax = 1, int 0x80


def lacking(names: Iterable[str]) -> dict[str, str]:
    """Those of `names` that this kernel does not give an ordinary user, and why.

    Beside the features there are what a machine is booted with: `lsm:NAME`, a security module,
    and `cmdline:WORD`, a word of the kernel's command line.
    """
    return {name: reason for name in names if (reason := _why_not(name))}


@functools.cache
def _why_not(name: str) -> str:
    kind, _, wanted = name.partition(":")
    match kind:
        case "lsm":
            return _not_listed(wanted, ACTIVE_LSMS, ",", "an active security module")
        case "cmdline":
            return _not_listed(wanted, COMMAND_LINE, None, "on the kernel's command line")
    return FEATURES[name]()


def _not_listed(wanted: str, where: Path, separator: str | None, what: str) -> str:
    try:
        listed = where.read_text(encoding="utf-8").strip().split(separator)
    except OSError as error:
        return f"{where}: {error.strerror}"
    return "" if wanted in listed else f"not {what} ({where})"


def _as_nobody(body: Callable[[], int]) -> int:
    """What `body` returns in a process of its own, without root's rights; 255 when it dies."""

    def child() -> int:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        return body()

    status = wait(fork(child))
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 255


def call_probe(name: str, *arguments: int, abi: str = "") -> Callable[[], str]:
    """A probe: the call exists unless it is ENOSYS, or EPERM whatever its arguments are."""

    def probe() -> str:
        nr = number(abi or native().abis[0].name, name)
        if nr is None:
            return f"this architecture has no {name}"
        found = _as_nobody(lambda: errno_of_call(nr, *arguments))
        absent = found in (errno.ENOSYS, errno.EPERM)
        return f"{name} answers {errno.errorcode[found]}" if absent else ""

    return probe


def _ia32() -> str:
    """Execute a 32-bit program of seven bytes."""
    if native().name != "x86_64":
        return "only x86-64 kernels run i386 programs"
    header = struct.pack("<16sHHI", b"\x7fELF\1\1\1", 2, 3, 1)
    header += struct.pack("<IIIIHHHHHH", _BASE + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    size = 84 + len(_I386_EXIT)
    program = struct.pack("<IIIIIIII", 1, 0, _BASE, _BASE, size, size, 5, 0x1000)

    def execute() -> int:
        memory = os.memfd_create("ia32")
        os.write(memory, header + program + _I386_EXIT)
        try:
            os.execve(memory, ["ia32"], {})
        except OSError:
            return 1

    return "the kernel executes no i386 programs" if _as_nobody(execute) else ""


def _fuse() -> str:
    """Whether an ordinary user may serve a file system: what he opens he may mount (Linux 4.18), in
    a user namespace.
    """

    def open_device() -> int:
        try:
            os.close(os.open("/dev/fuse", os.O_RDWR))
        except OSError as error:
            return error.errno or 1
        return 0

    found = _as_nobody(open_device)
    if found:
        return f"opening /dev/fuse answers {errno.errorcode.get(found, found)}"
    return _userns()


def _legacy_tiocsti() -> str:
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    off = switch.exists() and switch.read_text().strip() == "0"
    return "sysctl dev.tty.legacy_tiocsti is 0" if off else ""


def _procfs() -> str:
    return "" if Path("/proc/self/fd").is_dir() else "/proc is not mounted"


def _seccomp_notify() -> str:
    present = is_action_available(USER_NOTIF) and is_flag_available(FilterFlag.NEW_LISTENER)
    return "" if present else "seccomp has no user notification"


def _landlock() -> str:
    try:
        return "" if landlock.version() > 0 else "Landlock is switched off"
    except OSError as error:
        return f"Landlock: {error.strerror}"


def _userns() -> str:
    def unshare() -> int:
        try:
            namespaces.unshare(namespaces.CLONE_NEWUSER)
        except OSError as error:
            return error.errno or 1
        return 0

    found = _as_nobody(unshare)
    return f"unshare(CLONE_NEWUSER) answers {errno.errorcode.get(found, found)}" if found else ""


def _ptrace_syscall_info() -> str:
    child = fork(_stopped)
    try:
        os.waitpid(child, os.WUNTRACED)
        ptrace.seize(child, 0)
        os.waitpid(child, os.WUNTRACED)
        ptrace.syscall_info(child)
    except OSError as error:
        return f"PTRACE_GET_SYSCALL_INFO: {error.strerror}"
    finally:
        os.kill(child, signal.SIGKILL)
        wait(child)
    return ""


def _stopped() -> int:
    # The agent is not dumpable, and its children are as it is: nobody could trace them.
    namespaces.set_dumpable()
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0


def _pageout() -> str:
    try:
        gone = pageout.is_paged_out()
    except OSError as error:
        return f"MADV_PAGEOUT: {error.strerror}"
    return "" if gone else "a page that is to be swapped out (MADV_PAGEOUT) stays in memory"


FEATURES: dict[str, Callable[[], str]] = {
    "fchmodat2": call_probe("fchmodat2", _AT_FDCWD, 0, 0, 0),
    "fuse": _fuse,
    "ia32": _ia32,
    "io_uring": call_probe("io_uring_setup", 1, 0),
    "landlock": _landlock,
    "legacy_tiocsti": _legacy_tiocsti,
    "memfd_secret": call_probe("memfd_secret", 0),
    "pageout": _pageout,
    "openat2": call_probe("openat2", _AT_FDCWD, 0, 0, _OPEN_HOW_BYTES),
    "procfs": _procfs,
    "ptrace_syscall_info": _ptrace_syscall_info,
    "seccomp_notify": _seccomp_notify,
    "userfaultfd": call_probe("userfaultfd", os.O_CLOEXEC),
    "userns": _userns,
    "x32": call_probe("getpid", abi="x32"),
}
