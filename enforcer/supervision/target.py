"""A command on its way under a supervisor: what launchers share, from the plan to the execve."""

from __future__ import annotations

import errno
import functools
import operator
import os
from collections.abc import Sequence
from typing import NoReturn

from enforcer.arch import ABIS
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import assemble, disassemble
from enforcer.cbpf.listing import listing
from enforcer.cbpf.spec import USER_NOTIF
from enforcer.events import EventKind, EventLog
from enforcer.kernel.execve import PreparedExecve, find_command
from enforcer.kernel.openat2 import AT_FDCWD, openat2
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.kernel.seccomp import (
    FilterFlag,
    errno_of_call,
    is_action_available,
    is_flag_available,
    load_filter,
    no_new_privs,
)
from enforcer.mechanisms.contract import Defence, LaunchError, Missing, Plan
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.wire import policy_from_json
from enforcer.supervision.binaries import Binaries
from enforcer.supervision.cores import forbid_cores
from enforcer.supervision.elevation import lacking_ids
from enforcer.supervision.exposure import exposures
from enforcer.supervision.greeting import GREETING
from enforcer.supervision.launch import restore_signals
from enforcer.supervision.protect import before, protection_spec

_FLAGS = FilterFlag.NEW_LISTENER | FilterFlag.TSYNC | FilterFlag.TSYNC_ESRCH


def lacking() -> tuple[Missing, ...]:
    """What a supervisor needs and this kernel lacks: listeners, others' descriptors, openat2."""
    missing: list[Missing] = []
    if not is_action_available(USER_NOTIF) or not is_flag_available(FilterFlag.NEW_LISTENER):
        missing.append(Missing(feature="seccomp user notification", mend="Linux 5.14"))
    own = pidfd_open(os.getpid())
    duplicate = pidfd_getfd(own, own) if own >= 0 else own
    if duplicate < 0:
        missing.append(Missing(feature="pidfd_getfd", mend="Linux 5.6, and Yama below 2"))
    root = openat2(AT_FDCWD, b"/", os.O_PATH | os.O_CLOEXEC, 0, 0)
    if root < 0:
        missing.append(Missing(feature="openat2", mend="Linux 5.6"))
    for descriptor in (own, duplicate, root):
        if descriptor >= 0:
            os.close(descriptor)
    return tuple(missing)


def filter_listing(plan: Plan) -> str:
    """The filter of a plan in words."""
    big_endian = ABIS[plan.machine].big_endian
    program = disassemble(bytes.fromhex(str(plan.data["program"])), big_endian=big_endian)
    return listing(program, big_endian=big_endian)


class Target:
    """What a plan says to the process that becomes `command`, in the order in which it is done.

    `place` is that of the command's policy in `policies`. `deferred` is the filter's answer that
    brings a call to the supervisor.
    """

    def __init__(self, plan: Plan, command: Sequence[str], deferred: int) -> None:
        """Raises FileNotFoundError, LaunchError."""
        self._deferred = deferred
        self._plan = plan
        self._command = tuple(command)
        self._path = find_command(command[0])
        self._protection: tuple[int, ...] = ()
        self.abis = tuple(ABIS[name] for name in map(str, self._sequence("abis")))
        self.defences = frozenset(Defence(str(word)) for word in self._sequence("defences"))
        self.policies = tuple(map(policy_from_json, self._sequence("policies")))
        self.permissive = plan.data.get("permissive") is True
        self.rereads = plan.data.get("rereads")
        self.binaries = Binaries(self.policies)
        place = self.binaries.place_of_command(self._path)
        if place is None and self.permissive:
            place = len(self.policies)
            self.policies = (
                *self.policies,
                Policy(binary=self._path, dialect=Dialect.SYSTRACE, rules=()),
            )
            self.binaries = Binaries(self.policies)
        if place is None:
            named = ", ".join(str(policy.binary) for policy in self.policies)
            raise LaunchError(f"no policy is for {self._path}; there is one for {named}")
        self.place = place
        wanted = lacking_ids(self.policies)
        if wanted:
            raise LaunchError(wanted)

    def announce(self, log: EventLog, name: str, **fields: object) -> None:
        """Log what is about to begin."""
        log.emit(
            EventKind.START,
            mechanism=name,
            command=list(self._command),
            abis=[abi.name for abi in self.abis],
            defences=sorted(self.defences),
            inexpressible=self._plan.data["inexpressible"],
            exposed=exposures(self.policies),
            **fields,
        )

    def prepare(self, protected: Sequence[int]) -> None:
        """What needs no filter and may need calls that the policy denies.

        `protected` are the supervisor's processes, to be kept from the target.
        """
        environment = [f"{name}={value}" for name, value in os.environ.items()]
        self._execve = PreparedExecve(self._path, self._command, environment)
        self._protection = tuple(protected)
        self._programs = self._compiled()
        if not self._plan.data["cores"]:
            forbid_cores()
        restore_signals()

    def _compiled(self) -> tuple[bytes, ...]:
        """The filters to be loaded in their sequence, the policy's the last.

        Who is aimed at is known only now. Where the policy's filter leaves no room, a filter of its
        own refuses such calls unlogged.
        """
        big_endian = self.abis[0].big_endian
        code = bytes.fromhex(str(self._plan.data["program"]))
        if not self._protection:
            return (code,)
        policys = disassemble(code, big_endian=big_endian)
        told = compile_filter(protection_spec(self.abis, self._protection, self._deferred))
        whole = before(told, policys)
        if whole is not None:
            return (assemble(whole, big_endian=big_endian),)
        alone = compile_filter(protection_spec(self.abis, self._protection))
        return (assemble(alone, big_endian=big_endian), code)

    def enter(self, *flags: FilterFlag) -> int:
        """Load the filters, the policy's with `flags` as well; its listener. Raises LaunchError."""
        *others, program = self._programs
        try:
            no_new_privs()
            for other in others:
                load_filter(other)
            return load_filter(program, functools.reduce(operator.or_, flags, _FLAGS))
        except OSError as error:
            raise LaunchError(f"the kernel refuses the filter: {error}") from error

    def execute(self, *greeting: int) -> NoReturn:
        """Greet the supervisor, and become the command once it has answered.

        Raises LaunchError when it does not, and the OSError of an execve that fails.
        """
        refusal = errno_of_call(GREETING, *greeting)
        if refusal:
            raise LaunchError(f"the supervisor does not answer: {errno.errorcode.get(refusal)}")
        raise self._execve.execute()

    def _sequence(self, key: str) -> Sequence[object]:
        found = self._plan.data[key]
        assert isinstance(found, Sequence)
        return found
