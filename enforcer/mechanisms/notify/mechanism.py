"""The mechanism: probing, cover, compilation, description and launch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import USER_NOTIF, FilterSpec
from enforcer.events import EventLog
from enforcer.kernel.seccomp import FilterFlag, is_flag_available
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    LaunchError,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.mechanisms.notify.cover import cover_by_supervisor, cover_of_switching
from enforcer.mechanisms.notify.filter import build_filter
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.policy.ast import Policy
from enforcer.supervision.desk import desk_of
from enforcer.supervision.launch import Handshake, log_descriptors, start_supervisor
from enforcer.supervision.planning import shortfalls, supervised_plan
from enforcer.supervision.rereading import changeable, rereading
from enforcer.supervision.target import Target, filter_listing, lacking

GUARD = "none: when the supervisor dies the target runs on, confined, its held calls ENOSYS"


class Notify:
    """The mechanism. A leaky variant overrides a factory, `spec` or `protects`."""

    name: str = MechanismName.NOTIFY
    supervised = True
    make_session: Callable[..., Session] = Session
    make_worker: Callable[[Session], Worker] = Worker
    protects = True
    """Whether signals and the like are kept from the supervisor."""

    def probe(self) -> tuple[Missing, ...]:
        """Listeners, descriptors placed in one step, and openat2, each asked from the kernel."""
        return lacking()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on registers, names and addresses in full; those on what the caller becomes not."""
        return cover_by_supervisor(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The filter, and the policies for the supervisor. Raises Inexpressible, FilterTooLarge."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        lacking = shortfalls((*covers, *cover_of_switching(policies, options)), options)
        return supervised_plan(
            self.name,
            policies,
            abis,
            options,
            inexpressible=lacking,
            spec=self.spec([*([changeable()] if options.rereads else []), *policies], abis),
            partial=options.partial,
        )

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""
        return build_filter(policies, abis)

    def unfit(self, policy: Policy, abis: Sequence[Abi]) -> str | None:
        """Why a policy that was read anew is not enforced in full; None where it is."""
        lost = [each for each in self.cover(policy, abis) if each.extent is not Extent.FULL]
        return str(Inexpressible(lost)) if lost else None

    def describe(self, plan: Plan) -> str:
        """A listing of the filter; USER_NOTIF is where the supervisor decides."""
        return filter_listing(plan)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """See Mechanism.launch."""
        target = Target(plan, command, USER_NOTIF)
        target.announce(log, self.name, guard=GUARD)

        def serve(handshake: Handshake) -> None:
            options = Options(
                defences=target.defences,
                partial=bool(plan.data["partial"]),
                permissive=target.permissive,
            )
            session = self.make_session(
                target.policies[target.place],
                [abi.name for abi in target.abis],
                options,
                log,
                self.make_worker,
            )
            session.attend(desk_of(plan.data.get("desk")))
            session.rereads = rereading(
                target.rereads, lambda policy: self.unfit(policy, target.abis)
            )
            session.serve(handshake)

        launcher = start_supervisor(serve, keep=log_descriptors(log))
        supervisor = int(launcher.wait_ready())
        target.prepare([supervisor] if self.protects else [])
        listener = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.close(listener)
        killable = FilterFlag.WAIT_KILLABLE_RECV
        flags = [killable] if is_flag_available(killable) else []
        launcher.end_with_supervisor()
        launcher.go(str(listener))
        if target.enter(*flags) != listener:
            raise LaunchError("the listener is not where the supervisor looks for it")
        target.execute()


MECHANISM = Notify()
