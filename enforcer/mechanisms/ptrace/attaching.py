"""From a running process to its tracer: what is checked before, and who else is needed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from enforcer.arch.record import Abi
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs, ptrace
from enforcer.kernel.prctl import forbid_dumping, set_name
from enforcer.mechanisms.contract import LaunchError, MechanismName, Options
from enforcer.mechanisms.ptrace import tree
from enforcer.mechanisms.ptrace.attached import ENDING, Attached, AttachedTracer
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.cover import can_hold
from enforcer.mechanisms.ptrace.keeper import Keeper
from enforcer.mechanisms.ptrace.mechanism import MECHANISM
from enforcer.mechanisms.ptrace.registers import abis_by_audit_arch
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy, detached
from enforcer.mechanisms.ptrace.tree import CannotAttach
from enforcer.policy.ast import Dialect, Policy
from enforcer.supervision.binaries import Binaries
from enforcer.supervision.desk import desk_of
from enforcer.supervision.elevation import lacking_ids
from enforcer.supervision.exposure import exposures
from enforcer.supervision.planning import inexpressible, shortfalls

_BLOCKED = {*ENDING, signal.SIGCHLD}


class KillingTracer(AttachedTracer):
    """Its end, also by SIGKILL, is its targets' end."""

    options = AttachedTracer.options | ptrace.EXITKILL


class Policies:
    """Which policy each process comes under that is found running."""

    def __init__(self, policies: Sequence[TaskPolicy], options: Options) -> None:
        self.list = list(policies)
        self.binaries = Binaries([each.policy for each in policies])
        self._options = options
        self._first: TaskPolicy | None = None

    def of(self, pid: int) -> TaskPolicy:
        """That of its binary; with `inherit` that of the first one. Raises CannotAttach."""
        if self._first is not None and self._options.inherit:
            return self._first
        binary = tree.program(pid)
        place = self.binaries.place(binary, os.path.realpath(binary))
        if place is not None:
            found = self.list[place]
        elif self._options.permissive:
            nothing = Policy(binary=binary, dialect=Dialect.SYSTRACE, rules=())
            found = TaskPolicy(nothing, permissive=True)
        else:
            raise CannotAttach(pid, f"runs {binary}, for which no policy is")
        self._first = self._first or found
        return found


def attach(
    pid: int,
    policies: Sequence[Policy],
    abis: Sequence[Abi],
    options: Options,
    log: EventLog,
    told: Callable[[Attached], None],
    *,
    kills: bool = False,
) -> None:
    """Supervise a running process and its descendants, until they end or a signal of ENDING comes.

    `told` is called when no call is unjudged any more. `kills`: they end with this process.
    Raises CannotAttach, LaunchError, Inexpressible.
    """
    covers = [cover for policy in policies for cover in MECHANISM.cover(policy, abis)]
    lost = shortfalls(covers, options)
    wanted = lacking_ids(policies)
    if wanted:
        raise LaunchError(wanted)
    desk = desk_of(options.desk)
    made = [
        TaskPolicy(
            policy,
            None if desk is None else desk.standing(policy, can_hold),
            permissive=options.permissive,
        )
        for policy in policies
    ]
    known = Policies(made, options)
    tree.check(pid)
    running = tree.processes(pid)
    for each in running:
        tree.check(each)
        known.of(each)
    _go_out_of_reach(running)
    kept = {ids: Keeper(*ids, pid) for ids in {tree.ids(each) for each in running}}
    log.emit(
        EventKind.START,
        mechanism=MechanismName.PTRACE,
        command=[tree.program(pid)],
        abis=[abi.name for abi in abis],
        defences=sorted(options.defences),
        inexpressible=inexpressible(lost),
        exposed=exposures(policies),
    )
    config = Config(
        abis=abis_by_audit_arch(abis),
        policies=known.list,
        binaries=known.binaries,
        detached=TaskPolicy(detached(policies[0])),
        defences=options.defences,
        inherit=options.inherit,
        permissive=options.permissive,
        rereads=MECHANISM.rereads(options.rereads, abis),
        own=(os.getpgrp(), *(keeper.pid for keeper in kept.values())),
    )
    make = KillingTracer if kills else AttachedTracer
    tracer = make(config, log, pid, known.of, kept, told)
    try:
        tracer.attend(desk)
        tracer.serve()
    finally:
        if desk is not None:
            desk.close()
        for keeper in kept.values():
            keeper.close()


def _go_out_of_reach(targets: Sequence[int]) -> None:
    """What start_supervisor does for others: no target has this process's group, memory or name.

    The signals that end it are waited for (see AttachedTracer.wait), by no other thread of it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    if any(_group(each) == os.getpgrp() for each in targets):
        try:
            os.setpgid(0, 0)
        except OSError:
            raise LaunchError("its process group is this command's own") from None
    procfs.root()
    set_name("tracer")
    forbid_dumping()
    os.chdir("/")


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1
