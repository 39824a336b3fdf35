"""Which handler answers which call: chosen once a call and ABI, when it is first held."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from enforcer.arch import ABIS
from enforcer.call import Elevation
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.mechanisms.notify import classic, files, processes, sockets
from enforcer.mechanisms.notify.filter import (
    CREDENTIAL_CHANGES,
    EXECUTIONS,
    UMASK,
    root_changes,
)
from enforcer.mechanisms.notify.shared import Shared
from enforcer.mechanisms.notify.worker import Handler, Worker
from enforcer.pin import performs
from enforcer.pin.glance import GLANCES
from enforcer.policy.ast import Policy
from enforcer.policy.order import judged_rules
from enforcer.policy.translators import known_syscall
from enforcer.supervision import cores
from enforcer.supervision.elevation import OPENS, can_elevate
from enforcer.supervision.protect import BY_DESCRIPTOR_OR_MEMORY, NAMING_CALLS
from enforcer.syscalls import name as name_of
from enforcer.syscalls import split
from enforcer.syscalls.arguments import LOW_HALF
from enforcer.syscalls.memory import Arguments
from enforcer.syscalls.multiplex import UNKNOWN, read_arguments

_NO_CALL = -1


class Handlers(dict[int, "AbiHandlers"]):
    """AUDIT_ARCH to the handlers of that ABI. A foreign ABI never gets here: its task is killed."""

    def __init__(self, shared: Shared, abis: Sequence[str]) -> None:
        super().__init__({ABIS[abi].audit_arch: AbiHandlers(shared, abi) for abi in reversed(abis)})

    def choose_again(self) -> None:
        """What the policy looks at has changed."""
        for handlers in self.values():
            handlers.forget()


class AbiHandlers(dict[int, Handler]):
    """Numbers of one ABI to handlers."""

    def __init__(self, shared: Shared, abi: str) -> None:
        super().__init__()
        self._shared = shared
        self._abi = abi
        self._by_name: dict[str, Handler] = {}

    def __missing__(self, nr: int) -> Handler:
        handler = self[nr] = self._of(nr)
        return handler

    def _of(self, nr: int) -> Handler:
        if nr == _NO_CALL:
            return _skipped
        name = name_of(self._abi, nr)
        return _unknown(self._abi, nr) if name is None else self._on_registers_of_abi(name, nr)

    def forget(self) -> None:
        """Every handler is chosen anew when its call is next held."""
        self._by_name = {}
        self.clear()

    def named(self, name: str) -> Handler:
        """The handler of a call, whose registers may come from a multiplexer."""
        handler = self._by_name.get(name)
        if handler is None:
            handler = self._by_name[name] = _named(
                name, self._abi, _choose(self._shared, name, self._abi)
            )
        return handler

    def _on_registers_of_abi(self, name: str, nr: int) -> Handler:
        abi = ABIS[self._abi]
        if name in abi.multiplexers:
            return self._multiplexer(name, nr)
        handler = self.named(name)
        if abi.bits == 64:
            return handler

        def narrow(worker: Worker, args: Arguments) -> None:
            worker.args = args = _narrow(args)
            handler(worker, args)

        return narrow

    def _multiplexer(self, name: str, nr: int) -> Handler:
        abi = self._abi

        def handle(worker: Worker, args: Arguments) -> None:
            meant = split(abi, nr, _narrow(args))
            if meant is None:
                worker.answer(-UNKNOWN[name])
                return
            worker.name, worker.abi = name, abi
            worker.args = found = read_arguments(worker, ABIS[abi], meant)
            worker.is_multiplexed = True
            try:
                self.named(meant.name)(worker, found)
            finally:
                worker.is_multiplexed = False

        return handle


def _named(name: str, abi: str, handler: Handler) -> Handler:
    def handle(worker: Worker, args: Arguments) -> None:
        worker.name = name
        worker.abi = abi
        worker.judged[name] += 1
        handler(worker, args)

    return handle


def _choose(shared: Shared, name: str, abi: str) -> Handler:
    """How a call is answered: what keeps it from the supervisor comes first."""
    needs = shared.judge.needs(name)
    if name in EXECUTIONS:
        return processes.execution(shared, name)
    if name == "clone3":
        return _absent
    handler = _plain(shared, name, abi, needs)
    if name in CREDENTIAL_CHANGES or name in root_changes(abi):
        handler = processes.change(shared, name, abi, handler)
    if name == UMASK:
        handler = processes.mask(shared, handler)
    if name in cores.CHANGES and not cores.permits_cores([shared.policy]):
        handler = processes.limit(name, abi, handler)
    if name in BY_DESCRIPTOR_OR_MEMORY:
        handler = processes.named_by_descriptor(shared, name, handler)
    if name in NAMING_CALLS:
        handler = processes.named_by_register(shared, name, handler)
    return handler


def _plain(shared: Shared, name: str, abi: str, needs: frozenset[str]) -> Handler:
    elevations = shared.judge.elevations(name) if can_elevate(name) else ()
    if elevations and is_acted_on(name, needs):
        return _elevating(elevations, files.or_by_descriptor(name, _acting(shared, name, abi)))
    if not needs:
        return on_registers
    if shared.is_classic:
        return files.or_by_descriptor(name, classic.check_and_continue(shared, name))
    if not is_acted_on(name, needs):
        continues = shared.is_partial and is_unbound(shared.policy, name)
        return classic.check_and_continue(shared, name) if continues else _refuse
    handler = _acting(shared, name, abi)
    if not shared.is_sound:
        handler = classic.judge_and_act(shared, name, handler)
    return files.or_by_descriptor(name, handler)


def _acting(shared: Shared, name: str, abi: str) -> Handler:
    """The supervisor does the call itself."""
    if name in OPENS:
        return files.opening(name)
    if name in sockets.ADDRESSED:
        return sockets.addressed(name)
    is_looked_at = name in GLANCES and abi == NATIVE_ABI and shared.is_sound
    return files.looking(name) if is_looked_at else files.performed(name)


def _elevating(elevations: Sequence[Elevation], ordinary: Handler) -> Handler:
    """The call done with the ids of a rule that permits it so, else with the caller's own."""

    def handle(worker: Worker, args: Arguments) -> None:
        if not any(worker.attempt(ordinary, args, elevation) for elevation in elevations):
            ordinary(worker, args)

    return handle


def is_acted_on(name: str, needs: frozenset[str]) -> bool:
    """Whether the supervisor can do the call itself, judged by the texts that rules need."""
    if name in OPENS:
        return needs <= ({"filename", "oflags", "mode"} if name == "openat2" else {"filename"})
    if name in sockets.ADDRESSED:
        return needs <= {"sockaddr", "filename"}
    return performs(name) and needs <= {"filename", "string"}


def is_unbound(policy: Policy, name: str) -> bool:
    """Whether rules speak of a call that is not acted on by its own name.

    Such rules are not enforced, which whoever asks for a part of a policy accepts. A family that
    the call belongs to is enforced in full (see cover.py), so that it is refused there.
    """
    model = known_syscall(name)
    return model is not None and any(not each.by_alias for each in judged_rules(policy, model))


def on_registers(worker: Worker, args: Arguments) -> None:
    """A call that registers (and ids) alone decide: the kernel carries it out."""
    if worker.refuses():
        return
    if worker.is_multiplexed:
        worker.refuse(
            errno.EPERM, "its arguments lie in memory, and nobody can do it for the caller"
        )
    else:
        worker.let_continue()


def _refuse(worker: Worker, args: Arguments) -> None:
    worker.refuse(errno.EPERM, "nobody can do it for the caller, and its arguments lie in memory")


def _absent(worker: Worker, args: Arguments) -> None:
    """clone3, as from a kernel without it: C libraries make do with clone then."""
    worker.refuse(errno.ENOSYS, "its flags lie in memory, and nobody can do it for the caller")


def _skipped(worker: Worker, args: Arguments) -> None:
    """Number -1: a tracer of the target's has its tracee make no call and has set the result.

    PTRACE_SYSCALL stops come before filters, and an answer would overwrite what the tracer wrote.
    Whoever asks for this number without a tracer gets ENOSYS from the kernel itself.
    """
    worker.let_continue()


def _unknown(abi: str, nr: int) -> Handler:
    """A number that no table has: ENOSYS, as from a kernel without it."""

    def handle(worker: Worker, args: Arguments) -> None:
        worker.name, worker.abi = str(nr), abi
        worker.judged[worker.name] += 1
        worker.refuse(errno.ENOSYS, "unknown call")

    return handle


def _narrow(args: Arguments) -> Arguments:
    a, b, c, d, e, f = args
    return (a & LOW_HALF, b & LOW_HALF, c & LOW_HALF, d & LOW_HALF, e & LOW_HALF, f & LOW_HALF)
