"""A supervisor whose log has room for so many lines, and drops the rest (nono PR 129)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from enforcer.call import Decision
from enforcer.events import EventLog
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.shared import Shared
from enforcer.mechanisms.notify.worker import Worker
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky

ROOM = 100


class _Forgets(Worker):
    def __init__(self, shared: Shared, lines: Iterator[int]) -> None:
        super().__init__(shared)
        self.lines = lines

    def report(self, decision: Decision) -> None:
        """Only while there is room; the threads share it."""
        if next(self.lines) < ROOM:
            super().report(decision)


class _Session(Session):
    def __init__(
        self,
        policy: Policy,
        abis: Sequence[str],
        options: Options,
        log: EventLog,
        worker: object = None,
    ) -> None:
        lines = itertools.count()
        super().__init__(policy, abis, options, log, lambda shared: _Forgets(shared, lines))


class _Capped(Notify):
    make_session = _Session


BACKEND = Leaky(
    name="leaky-notify-capped-log",
    weakness=f"writes {ROOM} lines of its log and drops the others",
    enforcer=_Capped(),
    repaired=MECHANISM,
)
