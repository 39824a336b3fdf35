"""What the threads of one supervisor share."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

from enforcer.call import Action
from enforcer.events import EventLog
from enforcer.kernel import procfs, sysfs
from enforcer.mechanisms.contract import Defence, MechanismName, Options
from enforcer.mechanisms.notify.quick import QuickOpens
from enforcer.mechanisms.notify.turn import Turn
from enforcer.pin import Domains
from enforcer.pin.pidfds import Pidfds
from enforcer.pin.places import Places
from enforcer.pin.same_objects import SameObjects
from enforcer.pin.standing import Standings
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.denied_names import names_denied_by_equality
from enforcer.supervision.aimed import Protected
from enforcer.supervision.desk import Desk, StandingAnswers
from enforcer.supervision.journal import Journal
from enforcer.supervision.judge import Judge


class Shared:
    """Its attributes change in one direction only (see `unfix`).

    `is_root_fixed`: no target has had a chance to get another root or mount namespace than the
    supervisor's. `are_credentials_fixed`: the same of credentials. `generation` counts changes.
    `renewals`: an odd number while one policy takes another's place.
    `seen`: the tasks whose calls were held.
    `umask`: that of all targets, None as soon as one may have another.
    """

    def __init__(
        self, policy: Policy, abis: Sequence[str], options: Options, log: EventLog
    ) -> None:
        procfs.root()  # while /proc is surely no target's mount, nor /sys
        sysfs.root()
        self.desk: Desk | None = None
        self.asker: StandingAnswers | None = None
        self.is_permissive = options.permissive
        self.abis = abis
        self.defences = options.defences
        self.is_partial = options.partial
        self.journal = Journal(log, MechanismName.NOTIFY)
        self.target = 0
        self.is_launching = True
        self.generation = 0
        self.seen: set[int] = set()
        self.umask: int | None = None
        self.standings = Standings()
        self.pidfds = Pidfds()
        self.domains = Domains()
        self.is_root_fixed = True
        self.are_credentials_fixed = os.geteuid() == 0 or not _has_capabilities()
        self.places = Places()
        self.quick: QuickOpens | None = None
        self.renewals = 0
        self.renew(policy)
        self.protected = Protected(())
        self.interrupting = threading.Lock()
        self.turn = Turn()

    def renew(self, policy: Policy) -> None:
        """From now on `policy` is the one that counts."""
        names = names_denied_by_equality(policy)
        self.policy = policy
        self.judge = Judge(policy, asker=self.asker, permissive=self.is_permissive)
        self.same_objects = SameObjects(names, self.places) if names else None
        self.tells_missing = policy.dialect is Dialect.SYSTRACE
        is_quick = self.is_sound and not names and self.is_root_fixed
        self.quick = QuickOpens(policy) if is_quick else None
        self.generation += 1

    @property
    def is_classic(self) -> bool:
        """Whether calls are let through after the check, all defences being off."""
        return not {Defence.COPY, Defence.PIN} & self.defences

    @property
    def is_sound(self) -> bool:
        """Whether what is judged is what is done."""
        return {Defence.COPY, Defence.PIN} <= self.defences

    def unfix(self, *, root: bool = False, credentials: bool = False) -> None:
        """From now on ask for every task anew what could be taken as given before."""
        if root:
            self.quick = None
        self.is_root_fixed = self.is_root_fixed and not root
        self.are_credentials_fixed = self.are_credentials_fixed and not credentials
        self.generation += 1

    def detect(self, tid: int, call: str, reason: str, **evidence: object) -> None:
        """Log an interference, with the call that it came by, and end the process."""
        self.journal.detected(reason, action=Action.KILL, call=call, pid=tid, tid=tid, **evidence)
        self.kill(tid)

    def kill(self, tid: int) -> None:
        """End the process of a held task, which cannot run meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(tid, signal.SIGKILL)


def _has_capabilities() -> bool:
    return int(procfs.status_fields(procfs.read(os.getpid(), "status"))[b"CapPrm"], 16) != 0
