"""A launcher whose handles of what it denies are still open in the program that it executes.

As runc's was: CVE-2016-9962, CVE-2024-21626.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from enforcer.events import EventLog
from enforcer.mechanisms.contract import Plan
from enforcer.mechanisms.notify import Notify
from enforcer.policy.wire import policy_from_json
from harness.backends.handles import open_handles
from harness.backends.weak import Leaky


class _HasHandles(Notify):
    is_inherited = False

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """With what the policy denies open, to compare with it."""
        policies = plan.data["policies"]
        assert isinstance(policies, Sequence)
        for policy in policies:
            for handle in open_handles(policy_from_json(policy)):
                os.set_inheritable(handle, self.is_inherited)
        super().launch(plan, command, log)


class _LeavesThemOpen(_HasHandles):
    is_inherited = True


BACKEND = Leaky(
    name="leaky-notify-inherited",
    weakness="executes the target with the launcher's own descriptors open",
    enforcer=_LeavesThemOpen(),
    repaired=_HasHandles(),
)
