"""The mechanism: probing, cover, compilation, description and launch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import USER_NOTIF, FilterSpec
from enforcer.events import EventLog
from enforcer.kernel.seccomp import FilterFlag, is_flag_available
from enforcer.mechanisms.contract import (
    Cover,
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
from enforcer.supervision.planning import Supervised
from enforcer.supervision.target import Target, lacking

GUARD = "none: when the supervisor dies the target runs on, confined, its held calls ENOSYS"


class Notify(Supervised):
    """The mechanism."""

    name: str = MechanismName.NOTIFY
    make_session: Callable[..., Session] = Session
    make_worker: Callable[[Session], Worker] = Worker

    def probe(self) -> tuple[Missing, ...]:
        """Listeners, descriptors placed in one step, and openat2, each asked from the kernel."""
        return lacking()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on registers, names and addresses in full; those on what the caller becomes not."""
        return cover_by_supervisor(policy, abis)

    def cover_together(self, policies: Sequence[Policy], options: Options) -> tuple[Cover, ...]:
        """A program's own policy would have to come into force at its execve: none does."""
        return cover_of_switching(policies, options)

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""
        return build_filter(policies, abis)

    def own_data(self, abis: Sequence[Abi], options: Options) -> Mapping[str, object]:
        """Whether rules are missing, which the supervisor must know."""
        return {"partial": options.partial}

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
            session.rereads = self.rereads(target.rereads, target.abis)
            session.serve(handshake)

        launcher = start_supervisor(serve, keep=log_descriptors(log))
        # Meanwhile the supervisor gets ready, on another processor where there is one.
        target.prepare([launcher.supervisor] if self.protects else [])
        launcher.wait_ready()
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
