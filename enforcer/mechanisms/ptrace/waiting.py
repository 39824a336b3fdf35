"""Tasks that wait for a person's answer: each stays stopped at its call, and no other with it.

The answer comes in the desk's thread, but only the tracer's own may touch its tracees (ptrace(2)).
That waits in waitpid for the next stop of any of them; a signal takes it out of there.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType

from enforcer.call import Decision
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.supervision.desk import Desk
from enforcer.supervision.journal import decision_fields
from enforcer.supervision.judge import Values

_WAKE = signal.SIGUSR2
_AGAIN_S = 0.02


class Waiting:
    """Those of one tracer. Nobody is asked before `begin`."""

    def __init__(self) -> None:
        self._redo: Callable[[Task], None] = lambda task: None
        self._desk: Desk | None = None
        self._numbers: dict[int, int] = {}
        self._answers: deque[tuple[Task, str, Values, Decision | None]] = deque()
        self._is_idle = False
        self._tracer = 0

    def begin(self, desk: Desk, redo: Callable[[Task], None]) -> None:
        """In the tracer's thread, which is the process's first.

        `redo` takes up again the call at which a task waits.
        """
        self._desk = desk
        self._redo = redo
        self._tracer = threading.get_ident()
        signal.signal(_WAKE, self._woken)

    def ask(self, call: HeldCall, decision: Decision) -> bool:
        """Have a person asked about a held call; False where nobody can be."""
        desk, standing, task = self._desk, call.policy.standing, call.task
        if desk is None or standing is None:
            return False
        name, values = call.name, call.values

        def answered(answer: Decision | None) -> None:
            self._answers.append((task, name, values, answer))
            threading.Thread(target=self._wake, daemon=True).start()

        fields = decision_fields(call, call.policy.policy, decision, values)
        number = desk.put(standing, fields, answered)
        if number:
            self._numbers[task.tid] = number
        return number != 0

    def holds(self, tid: int) -> bool:
        """Whether a task waits."""
        return tid in self._numbers

    def forget(self, tid: int) -> None:
        """A task is gone."""
        number = self._numbers.pop(tid, 0)
        if number and self._desk is not None:
            self._desk.withdraw(number)

    def idle(self) -> None:
        """The tracer is about to wait. What was answered is taken up before, and meanwhile."""
        self._is_idle = True
        while self._answers and self._is_idle:
            self._take()

    def busy(self) -> None:
        """The tracer has a stop to see to."""
        self._is_idle = False

    def _woken(self, number: int, frame: FrameType | None) -> None:
        while self._answers and self._is_idle:
            self._take()

    def _take(self) -> None:
        self._is_idle = False
        try:
            task, name, values, answer = self._answers.popleft()
            self._numbers.pop(task.tid, None)
            if answer is not None:
                task.granted.append((name, values, answer))
            self._redo(task)
        finally:
            self._is_idle = True

    def _wake(self) -> None:
        """A signal that comes just before waitpid is entered does not end it: so more than one."""
        while self._answers:
            signal.pthread_kill(self._tracer, _WAKE)
            time.sleep(_AGAIN_S)
