"""A watched supervisor that keeps out of reach the threads that it began with, and no later one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from enforcer.mechanisms.notify import Notify
from enforcer.supervision.aimed import Protected
from enforcer.supervision.protect import numbers_named
from harness.backends.watched import Watched
from harness.backends.weak import Leaky


class _First(Protected):
    def __init__(self, processes: Iterable[int]) -> None:
        super().__init__(processes)
        self._known = {int(each.name) for each in Path("/proc/self/task").iterdir()}

    def refusal(self, name: str, args: Sequence[int], tid: int) -> int:
        """Only for numbers that were a thread's when the target began."""
        named = numbers_named(name, args)
        return super().refusal(name, args, tid) if self._known.intersection(named) else 0


class _KnowsAll(Watched):
    make_protected = Protected


class _KnowsFirst(Watched):
    make_protected = _First


class _Sound(Notify):
    make_session = _KnowsAll


class _Leaky(Notify):
    make_session = _KnowsFirst


BACKEND = Leaky(
    name="leaky-notify-first-threads",
    weakness="keeps the target from the threads that it began with, not from later ones",
    enforcer=_Leaky(),
    repaired=_Sound(),
)
