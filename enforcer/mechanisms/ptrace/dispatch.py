"""Which handler sees which call: one table an ABI, made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.calls import Calls
from enforcer.mechanisms.ptrace.directories import Directories
from enforcer.mechanisms.ptrace.execs import Execs
from enforcer.mechanisms.ptrace.filters import Filters
from enforcer.mechanisms.ptrace.opens import Opens
from enforcer.mechanisms.ptrace.processes import Processes
from enforcer.mechanisms.ptrace.protection import Protection
from enforcer.mechanisms.ptrace.quick import Quick
from enforcer.mechanisms.ptrace.sockets import Sockets
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import performs
from enforcer.syscalls import syscall, table
from enforcer.syscalls.model import Kind

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of one ABI and who handles it."""

    name: str
    abi: str
    number: int
    handler: Handler


Handler = Callable[[Task, SyscallInfo, Entry], None]


def dispatch_table(tracer: Tracer) -> Mapping[int, Mapping[int, Entry]]:
    """AUDIT_ARCH -> number -> entry, for every listed call of the plan's ABIs."""
    calls = Calls(tracer)
    own = special_handlers(tracer, calls)
    return {
        arch: {
            number: Entry(name, abi.name, number, own.get(name) or general_handler(calls, name))
            for name, number in table(abi.name).items()
        }
        for arch, abi in tracer.config.abis.items()
    }


def special_handlers(tracer: Tracer, calls: Calls) -> Mapping[str, Handler]:
    """Calls that need more than their names pinned or their registers looked at."""
    opens = Opens(tracer, calls)
    if tracer.config.has_quick and tracer.pins and tracer.copies:
        tracer.quick = Quick(tracer, opens)
    execs = Execs(tracer)
    sockets = Sockets(tracer, calls)
    directories = Directories(tracer)
    processes = Processes(tracer, calls)
    protection = Protection(tracer, calls)
    filters = Filters(tracer, calls)
    return {
        "open": opens.open,
        "creat": opens.creat,
        "openat": opens.openat,
        "openat2": opens.openat2,
        "execve": execs.execve,
        "execveat": execs.execveat,
        **sockets.handlers(),
        **directories.handlers(),
        **processes.handlers(),
        **protection.handlers(),
        **filters.handlers(),
    }


def general_handler(calls: Calls, name: str) -> Handler:
    """The handler of a call by what the model says of its arguments."""
    if performs(name):
        return calls.performed
    kinds = {argument.kind for argument in syscall(name).arguments}
    if kinds & {Kind.PATH, Kind.STRING, Kind.SOCKADDR, Kind.ARGV}:
        return calls.unheld
    return calls.by_registers
