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
from enforcer.cbpf.spec import TRACE, USER_NOTIF, FilterSpec
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
from enforcer.mechanisms.ptrace.authority import Authority, detached
from enforcer.mechanisms.ptrace.cover import cover_by_tracer
from enforcer.mechanisms.ptrace.filter import build_filter, is_unambiguous
from enforcer.mechanisms.ptrace.private import HELLO
from enforcer.mechanisms.ptrace.registers import abis_by_audit_arch
from enforcer.mechanisms.ptrace.returns import WAYS
from enforcer.mechanisms.ptrace.tracer import Config, Tracer
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


class Ptrace:
    """The mechanism. A leaky variant overrides `make_tracer`, `spec` or `protects`."""

    name: str = MechanismName.PTRACE
    make_tracer: Callable[[Config, EventLog], Tracer] = Tracer
    protects = True

    def probe(self) -> tuple[Missing, ...]:
        """Tracing by filter, descriptors of others, and openat2, each asked from the kernel."""
        missing: list[Missing] = []
        if not is_action_available(TRACE()):
            missing.append(Missing(feature="SECCOMP_RET_TRACE", mend="CONFIG_SECCOMP_FILTER"))
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
        """One Cover a rule, and one for the default."""
        return cover_by_tracer(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The filter, and the policies for the tracer. Raises Inexpressible, FilterTooLarge."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        covers += covers_of_defences(options)
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        if lacking and not options.partial:
            raise Inexpressible(lacking)
        spec = self.spec(policies, abis)
        program = compile_filter(spec)
        return Plan(
            mechanism=self.name,
            machine=abis[0].name,
            data={
                "program": assemble(program, big_endian=abis[0].big_endian).hex(),
                "abis": [abi.name for abi in abis],
                "policies": [policy_to_json(policy) for policy in policies],
                "defences": sorted(options.defences),
                "inherit": options.inherit,
                "quick": abis[0].name in WAYS and is_unambiguous(spec, "openat"),
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
        """A listing of the filter; TRACE is where the tracer decides."""
        big_endian = ABIS[plan.machine].big_endian
        program = disassemble(bytes.fromhex(str(plan.data["program"])), big_endian=big_endian)
        return listing(program, big_endian=big_endian)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """See Mechanism.launch."""
        data = json.loads(json.dumps(dict(plan.data)))
        path = find_command(command[0])
        abis = [ABIS[name] for name in data["abis"]]
        policies = [policy_from_json(each) for each in data["policies"]]
        binaries = Binaries(policies)
        first = binaries.place_of_command(path)
        if first is None:
            raise LaunchError(f"no policy is for {path}")
        log.emit(
            EventKind.START,
            mechanism=self.name,
            command=list(command),
            abis=data["abis"],
            defences=data["defences"],
            inexpressible=data["inexpressible"],
        )

        def serve(handshake: Handshake) -> None:
            authorities = [Authority(policy) for policy in policies]
            config = Config(
                abis=abis_by_audit_arch(abis),
                authorities=authorities,
                binaries=binaries,
                detached=Authority(detached(policies[0])),
                defences=frozenset(map(Defence, data["defences"])),
                inherit=data["inherit"],
                has_quick=data["quick"],
            )
            tracer = self.make_tracer(config, log)
            tracer.attach(handshake.target, authorities[first])
            handshake.ready(str(os.getpid()))
            handshake.wait_go()
            handshake.close()
            tracer.serve()

        launcher = start_supervisor(
            serve, keep=log_descriptors(log), name="tracer", own_session=False
        )
        supervisor = int(launcher.wait_ready())
        protection = compile_filter(protection_spec(abis, [supervisor]))
        environment = [f"{name}={value}" for name, value in os.environ.items()]
        prepared = PreparedExecve(path, command, environment)
        restore_signals()
        launcher.go()
        try:
            no_new_privs()
            if self.protects:
                load_filter(assemble(protection, big_endian=abis[0].big_endian))
            listener = load_filter(bytes.fromhex(data["program"]), _FLAGS)
        except OSError as error:
            raise LaunchError(f"the kernel refuses the filter: {error}") from error
        refusal = errno_of_call(HELLO, listener)
        if refusal:
            raise LaunchError(f"the tracer does not answer: {errno.errorcode.get(refusal)}")
        raise prepared.execute()


MECHANISM = Ptrace()
