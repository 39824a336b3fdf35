"""The mechanism: probing, cover, compilation, description and launch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import TRACE, FilterSpec
from enforcer.events import EventLog
from enforcer.kernel.seccomp import is_action_available
from enforcer.mechanisms.contract import (
    Cover,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.cover import can_hold, cover_by_tracer
from enforcer.mechanisms.ptrace.filter import build_filter
from enforcer.mechanisms.ptrace.private import ASKS
from enforcer.mechanisms.ptrace.registers import abis_by_audit_arch
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy, detached
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.mechanisms.ptrace.trampoline import WAYS
from enforcer.policy.ast import Policy
from enforcer.supervision.desk import desk_of
from enforcer.supervision.launch import Handshake, log_descriptors, start_supervisor
from enforcer.supervision.planning import Supervised
from enforcer.supervision.target import Target, lacking


class Ptrace(Supervised):
    """The mechanism."""

    name: str = MechanismName.PTRACE
    make_tracer: Callable[[Config, EventLog], Tracer] = Tracer

    def probe(self) -> tuple[Missing, ...]:
        """Tracing by filter, descriptors of others, and openat2, each asked from the kernel."""
        if is_action_available(TRACE()):
            return lacking()
        absent = Missing(feature="SECCOMP_RET_TRACE", mend="CONFIG_SECCOMP_FILTER")
        return (absent, *lacking())

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One Cover a rule, and one for the default."""
        return cover_by_tracer(policy, abis)

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""
        return build_filter(policies, abis)

    def own_data(self, abis: Sequence[Abi], options: Options) -> Mapping[str, object]:
        """Whose policy a program without one gets, and whether there is a trampoline."""
        return {"inherit": options.inherit, "quick": abis[0].name in WAYS}

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """See Mechanism.launch."""
        target = Target(plan, command, TRACE(ASKS))
        target.announce(log, self.name)

        def serve(handshake: Handshake) -> None:
            desk = desk_of(plan.data.get("desk"))
            policies: list[TaskPolicy] = [
                TaskPolicy(
                    policy,
                    None if desk is None else desk.standing(policy, can_hold),
                    permissive=target.permissive,
                )
                for policy in target.policies
            ]
            config = Config(
                abis=abis_by_audit_arch(target.abis),
                policies=policies,
                binaries=target.binaries,
                detached=TaskPolicy(detached(target.policies[0])),
                defences=target.defences,
                inherit=bool(plan.data["inherit"]),
                permissive=target.permissive,
                rereads=self.rereads(target.rereads, target.abis),
                has_quick=bool(plan.data["quick"]),
            )
            tracer = self.make_tracer(config, log)
            tracer.attend(desk)
            tracer.attach(handshake.target, policies[target.place])
            handshake.ending.act = tracer.told_to_end
            handshake.ready(str(os.getpid()))
            handshake.wait_go()
            handshake.close()
            tracer.serve()

        launcher = start_supervisor(
            serve, keep=log_descriptors(log), name="tracer", own_session=False
        )
        # Meanwhile the supervisor gets ready, on another processor where there is one.
        target.prepare([launcher.supervisor] if self.protects else [])
        launcher.wait_ready()
        launcher.go()
        listener = target.enter()
        target.execute(listener)


MECHANISM = Ptrace()
