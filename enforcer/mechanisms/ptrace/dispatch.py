"""Which handler sees which call: one table an ABI, filled as calls come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.directories import Directories
from enforcer.mechanisms.ptrace.calls.elevated import Elevated
from enforcer.mechanisms.ptrace.calls.execs import Execs
from enforcer.mechanisms.ptrace.calls.general import WAITING, General
from enforcer.mechanisms.ptrace.calls.messages import Messages
from enforcer.mechanisms.ptrace.calls.multiplexed import Multiplexed
from enforcer.mechanisms.ptrace.calls.opens import Opens
from enforcer.mechanisms.ptrace.calls.processes import Processes
from enforcer.mechanisms.ptrace.calls.protection import Protection
from enforcer.mechanisms.ptrace.calls.sockets import Sockets
from enforcer.mechanisms.ptrace.calls.target_filters import Filters
from enforcer.mechanisms.ptrace.held import Entry, Handler
from enforcer.pin import performs
from enforcer.pin.glance import GLANCES
from enforcer.supervision.elevation import can_elevate
from enforcer.syscalls import name as name_of
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Kind


class Entries(dict[int, Entry]):
    """The entries of one ABI, each made when its call comes first: all of them cost 10 ms at each
    start. KeyError for a number that no call has.
    """

    def __init__(self, abi: str, of: Callable[[str], Handler]) -> None:
        super().__init__()
        self.abi = abi
        self.of = of

    def __missing__(self, number: int) -> Entry:
        name = name_of(self.abi, number)
        if name is None:
            raise KeyError(number)
        entry = self[number] = Entry(name, self.abi, self.of(name))
        return entry


Dispatch = Mapping[int, Entries]
"""AUDIT_ARCH -> number -> entry."""


class Handlers:
    """The handlers of one tracer; `opens` also serves the quick way."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.general = General(act)
        self.opens = Opens(act, self.general)
        execs = Execs(act)
        sockets = Sockets(act, self.general)
        self.elevated = Elevated(act, self.general, self.opens, sockets)
        processes = Processes(act, self.general).handlers()
        self._own: Mapping[str, Handler] = {
            "open": self.opens.open,
            "creat": self.opens.open,
            "openat": self.opens.open,
            "openat2": self.opens.openat2,
            "execve": execs.execve,
            "execveat": execs.execveat,
            **sockets.handlers(),
            **Messages(act, self.general).handlers(),
            **Multiplexed(act, self.of).handlers(),
            **Directories(act).handlers(),
            **processes,
            "open_tree": self.opens.open_tree(processes["open_tree"]),
            **Protection(act, self.general, processes).handlers(),
            **Filters(act, self.general).handlers(),
        }

    def of(self, name: str) -> Handler:
        """The handler of a call; where a rule may elevate it, that is tried first."""
        ordinary = self.ordinary(name)
        policies = self.act.sandbox.config.policies
        if can_elevate(name) and any(policy.elevations(name) for policy in policies):
            return self.elevated.handler(ordinary)
        return ordinary

    def ordinary(self, name: str) -> Handler:
        """The handler of a call, if it has none of its own by what the model says of it."""
        own = self._own.get(name)
        if own is not None:
            return own
        if name in GLANCES:
            return self.general.glanced(name)
        if name in WAITING:
            return self.general.waited_for
        if performs(name):
            return self.general.performed
        kinds = {argument.kind for argument in syscall(name).arguments}
        if kinds & {Kind.PATH, Kind.STRING, Kind.SOCKADDR, Kind.ARGV}:
            return self.general.unheld
        return self.general.by_registers

    def table(self) -> Dispatch:
        """Every listed call of the plan's ABIs."""
        return {arch: Entries(abi.name, self.of) for arch, abi in self.act.abis.items()}
