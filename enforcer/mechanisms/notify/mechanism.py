"""The mechanism: probing, cover, compilation, description and launch."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from typing import NoReturn

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import assemble, disassemble
from enforcer.cbpf.listing import listing
from enforcer.cbpf.spec import USER_NOTIF, FilterSpec
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
from enforcer.mechanisms.contract import (
    Cover,
    Defence,
    Extent,
    Inexpressible,
    LaunchError,
    MechanismName,
    Missing,
    Options,
    Plan,
    covers_of_defences,
)
from enforcer.mechanisms.notify.cover import cover_by_supervisor, cover_of_switching
from enforcer.mechanisms.notify.filter import HELLO, build_filter
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.policy.ast import Policy
from enforcer.policy.wire import policy_from_json, policy_to_json
from enforcer.supervision.binaries import Binaries
from enforcer.supervision.launch import (
    Handshake,
    log_descriptors,
    restore_signals,
    start_supervisor,
)
from enforcer.supervision.protect import protection_spec

_FLAGS = FilterFlag.NEW_LISTENER | FilterFlag.TSYNC | FilterFlag.TSYNC_ESRCH
GUARD = "none: when the supervisor dies the target runs on, confined, its held calls ENOSYS"


class Notify:
    """The mechanism. A leaky variant overrides a factory, `spec` or `protects`."""

    name: str = MechanismName.NOTIFY
    make_session: Callable[..., Session] = Session
    make_worker: Callable[[Session], Worker] = Worker
    protects = True
    """Whether signals and the like are kept from the supervisor."""

    def probe(self) -> tuple[Missing, ...]:
        """Listeners, descriptors placed in one step, and openat2, each asked from the kernel."""
        missing: list[Missing] = []
        if not is_action_available(USER_NOTIF) or not is_flag_available(FilterFlag.NEW_LISTENER):
            missing.append(Missing(feature="seccomp user notification", mend="Linux 5.14"))
        own = pidfd_open(os.getpid())
        duplicate = pidfd_getfd(own, own) if own >= 0 else own
        if duplicate < 0:
            missing.append(Missing(feature="pidfd_getfd", mend="Linux 5.6, and Yama below 2"))
        for descriptor in (own, duplicate):
            if descriptor >= 0:
                os.close(descriptor)
        root = openat2(AT_FDCWD, b"/", os.O_PATH | os.O_CLOEXEC, 0, 0)
        if root < 0:
            missing.append(Missing(feature="openat2", mend="Linux 5.6"))
        else:
            os.close(root)
        return tuple(missing)

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on registers, names and addresses in full; those on what the caller becomes not."""
        return cover_by_supervisor(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The filter, and the policies for the supervisor. Raises Inexpressible, FilterTooLarge."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        covers += cover_of_switching(policies, options)
        covers += covers_of_defences(options)
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        if lacking and not options.partial:
            raise Inexpressible(lacking)
        big_endian = abis[0].big_endian
        program = compile_filter(self.spec(policies, abis))
        return Plan(
            mechanism=self.name,
            machine=abis[0].name,
            data={
                "program": assemble(program, big_endian=big_endian).hex(),
                "abis": [abi.name for abi in abis],
                "policies": [policy_to_json(policy) for policy in policies],
                "defences": sorted(options.defences),
                "partial": options.partial,
                "inexpressible": [
                    {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                    for c in lacking
                ],
            },
        )

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""
        return build_filter(policies, abis)

    def describe(self, plan: Plan) -> str:
        """A listing of the filter; USER_NOTIF is where the supervisor decides."""
        big_endian = ABIS[plan.machine].big_endian
        program = disassemble(bytes.fromhex(str(plan.data["program"])), big_endian=big_endian)
        return listing(program, big_endian=big_endian)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """See Mechanism.launch."""
        data = json.loads(json.dumps(dict(plan.data)))
        path = find_command(command[0])
        policies = [policy_from_json(each) for each in data["policies"]]
        place = Binaries(policies).place_of_command(path)
        if place is None:
            raise LaunchError(f"no policy is for {path}")
        policy = policies[place]
        abis = [ABIS[name] for name in data["abis"]]
        defences = frozenset(map(Defence, data["defences"]))
        log.emit(
            EventKind.START,
            mechanism=self.name,
            command=list(command),
            abis=data["abis"],
            defences=sorted(defences),
            inexpressible=data["inexpressible"],
            guard=GUARD,
        )

        def serve(handshake: Handshake) -> None:
            options = Options(defences=defences, partial=data["partial"])
            session = self.make_session(policy, data["abis"], options, log, self.make_worker)
            session.serve(handshake)

        launcher = start_supervisor(serve, keep=log_descriptors(log))
        processes = [int(number) for number in launcher.wait_ready().split()]
        protected = processes if self.protects else []
        protection = compile_filter(protection_spec(abis, protected))
        prepared = PreparedExecve(
            path, command, [f"{name}={value}" for name, value in os.environ.items()]
        )
        restore_signals()
        listener = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.close(listener)
        flags = _FLAGS
        if is_flag_available(FilterFlag.WAIT_KILLABLE_RECV):
            flags |= FilterFlag.WAIT_KILLABLE_RECV
        launcher.end_with_supervisor()
        launcher.go(str(listener))
        try:
            no_new_privs()
            load_filter(assemble(protection, big_endian=abis[0].big_endian))
            loaded = load_filter(bytes.fromhex(data["program"]), flags)
        except OSError as error:
            raise LaunchError(f"the kernel refuses the filter: {error}") from error
        refusal = errno_of_call(HELLO)
        if loaded != listener or refusal:
            raise LaunchError(f"the supervisor does not answer: {errno.errorcode.get(refusal)}")
        raise prepared.execute()


MECHANISM = Notify()
