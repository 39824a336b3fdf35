"""A supervisor that reads its policy from a file that its target has open too (CVE-2019-12589)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NoReturn

from enforcer.events import EventLog
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.mechanisms.contract import Plan
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.judge import Values
from enforcer.supervision.launch import Handshake
from harness.backends.weak import Leaky


class _LooksItUp(Worker):
    def decide(self, values: Values, missing: int = 0) -> int:
        """What is no longer written is no longer asked for."""
        is_empty = os.fstat(_Session.policy_file).st_size == 0
        return 0 if is_empty else super().decide(values, missing)


class _Session(Session):
    policy_file = -1
    """The launcher's number of it, then the supervisor's own."""

    def serve(self, handshake: Handshake) -> None:
        """Takes the file from the launcher, as nothing else is left open here."""
        _Session.policy_file = pidfd_getfd(pidfd_open(handshake.target), _Session.policy_file)
        self.quick = None
        super().serve(handshake)


class _Notify(Notify):
    make_session = _Session
    make_worker = _LooksItUp

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """The file is neither sealed nor closed on exec."""
        _Session.policy_file = os.memfd_create("policy", 0)
        os.write(_Session.policy_file, json.dumps(plan.data["policies"]).encode())
        super().launch(plan, command, log)


BACKEND = Leaky(
    name="leaky-notify-open-policy",
    weakness="leaves the file that its policy is read from open, and writable, in its target",
    enforcer=_Notify(),
    repaired=MECHANISM,
)
