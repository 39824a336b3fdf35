"""A session of single steps under an enforcer, inside a cell: after each of them nothing escaped.

What is watched from outside: the sentinels, every descriptor of the task that acted, and every task
of the sandbox, which must be traced or filtered as the first one is.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from enforcer.mechanisms.contract import MechanismName
from harness.backends import backend
from harness.fuzz.sentinel import Sentinel, hiding
from harness.fuzz.session import Answer, Exchange
from harness.fuzz.steps import Argument, Image, Operation, Result, Step, Text, moved
from harness.fuzz.target import (
    STEP_S,
    Target,
    TargetError,
    end_all,
    plan_of,
    processes,
    stop,
    supervisors,
)
from harness.fuzz.wire import from_json
from harness.fuzz.worlds import ROOT

STEPS = 1000
SUPERVISOR = -1001
"""As an argument: the pid of the first supervisor."""

_DEAD = ("Z", "X")


def prepare(question: Mapping[str, object], root: Path) -> None:
    """The plan, once for all sessions: compiling it takes longer than a session."""
    name = str(question["backend"])
    plan_of(name, hiding(root / "w", backend(name).mechanism))


def answer(question: Mapping[str, object], root: Path, exchange: Exchange) -> Answer:
    """A cell's work: lists of steps, each answered, until one breaks something or `end` comes."""
    session = Session(root, str(question["backend"]))
    try:
        said: Answer = {"over": False, "breach": {}, "results": []}
        while not said["over"]:
            line = exchange(said)
            steps = from_json(line.get("steps", []))
            assert isinstance(steps, tuple)
            results = []
            for step in steps:
                results.append(session.step(step))
                if session.breach or session.over:
                    break
            if line.get("end") and not session.breach and not session.over:
                session.finish()
            over = bool(session.breach or session.over or line.get("end"))
            said = {"over": over, "breach": session.breach, "results": results}
        return said
    finally:
        session.close()


class Session:
    """One target and its sentinels. `breach` has the words of a Mismatch once something escaped;
    `over`: the target has ended before its time, as it may when the enforcer kills it."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.mechanism = backend(name).mechanism
        self.world = root / "w"
        self.breach: dict[str, str] = {}
        self.over = False
        self.image = Image(STEPS, 1 << 21, told=True)
        program = root / "bin" / "tasks"
        self.sentinel = Sentinel(self.world, program)
        policy = hiding(self.world, self.mechanism)
        self.target = Target(program, self.image, name, policy, self.world)
        self.target.arrived()
        self.supervisors = supervisors(self.target.main)
        self.filters = _filters(_facts(self.target.main, self.target.main))

    def close(self) -> None:
        self.sentinel.close()
        self.target.close()
        end_all()

    def step(self, step: Step) -> int:
        """Have a step made and look whether anything escaped; its result."""
        step = moved(step, ROOT, str(self.world))
        place = self.image.put(replace(step, args=tuple(map(self._known, step.args))))
        pid = self.target.pids.get(step.task, 0)
        newborn = step.args[1] if step.operation is Operation.CLONE else None
        assert newborn is None or isinstance(newborn, int)
        try:
            result = self.target.tell(place, step.task, newborn)
            self._settle(step, result, pid)
        except TargetError as error:
            self.over = True
            if _is_alive(pid):
                self._broken(step, "an answer", str(error))
            result = -1
        self._watch(step, place, pid)
        return result

    def _known(self, value: Argument) -> Argument:
        """Results by their places: one step, of the session's own, was before all others."""
        if isinstance(value, Result):
            return Result(value.step + 1)
        return self.supervisors[0] if value == SUPERVISOR and self.supervisors else value

    def _settle(self, step: Step, result: int, pid: int) -> None:
        """Wait for what a step brings about later: ends of tasks, and what they release."""
        if step.operation is Operation.EXIT:
            self._until(lambda: not _is_alive(pid))
            del self.target.pids[step.task]
            self.target.released(step.task)
        elif step.operation is Operation.EXEC and result == 0:
            self.target.released(step.task)
        elif step.call == "kill" and result == 0 and isinstance(step.args[0], Result):
            victim = self.image.result(step.args[0].step + 1)
            self._until(lambda: not _is_alive(victim))
            for task, known in list(self.target.pids.items()):
                if not _is_alive(known):
                    del self.target.pids[task]
                    self.target.released(task)

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STEP_S
        while not holds():
            if time.monotonic() > deadline:
                raise TargetError("a task that was ended does not end")
            select.select([], [], [], 0.001)

    def _watch(self, step: Step, place: int, pid: int) -> None:
        if self.breach:
            return
        if found := self.sentinel.reached(self.image.filled(place)):
            self._broken(step, "denied objects as they were", found)
            return
        images = self.mechanism == MechanismName.PTRACE
        if found := self.sentinel.held_by(pid, images=images):
            self._broken(step, "no task that holds a denied object", found)
            return
        if found := self._loose():
            self._broken(step, "every task under the enforcer", found)

    def _loose(self) -> str:
        """A task of the sandbox that nobody watches; or empty."""
        for pid in processes():
            if pid == 1 or pid in self.supervisors:
                continue
            for tid in _threads(pid):
                facts = _facts(pid, tid)
                if not facts or facts["State"][0] in _DEAD:
                    continue
                tracer = int(facts["TracerPid"])
                if self.mechanism == MechanismName.PTRACE and tracer not in self.supervisors:
                    return f"task {tid} has tracer {tracer}"
                if _filters(facts) < self.filters:
                    return f"task {tid} has {_filters(facts)} filters of {self.filters}"
        return ""

    def finish(self) -> None:
        """The supervisor dies: a tracer's tasks die with it, a supervisor's reach nothing."""
        for pid in self.supervisors:
            stop(pid)
        last = Step(0, "end of the supervisor", ())
        if self.mechanism == MechanismName.PTRACE:
            try:
                self._until(lambda: not any(map(_is_alive, self._others())))
            except TargetError:
                self._broken(last, "no task that outlives its tracer", f"{self._others()} live")
            return
        file = f"{ROOT}/secret/file"
        for task in sorted(self.target.pids):
            if task not in self.target.suspended():
                opening = Step(task, "openat", (-100, Text(file), os.O_RDONLY))
                if not self.breach and self.step(opening) >= 0:
                    self._broken(opening, "no file that is opened", "a descriptor")

    def _others(self) -> list[int]:
        return [pid for pid in processes() if pid != 1 and pid not in self.supervisors]

    def _broken(self, step: Step, expected: str, got: str) -> None:
        self.breach = {
            "call": f"task {step.task}: {step.call} {step.args}",
            "expected": expected,
            "got": f"{got} ({self.name})",
            "signature": f"stateful, {self.name}, {expected}",
        }


def _threads(pid: int) -> list[int]:
    try:
        return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _facts(pid: int, tid: int) -> dict[str, str]:
    """The fields of a task's status; none when it is gone."""
    try:
        text = Path(f"/proc/{pid}/task/{tid}/status").read_text(errors="replace")
    except OSError:
        return {}
    fields = (line.partition(":") for line in text.splitlines())
    return {word: value.strip() for word, _, value in fields}


def _filters(facts: Mapping[str, str]) -> int:
    """How many filters a task has; kernels before 5.9 say only whether it has any."""
    return int(facts.get("Seccomp_filters", int(facts.get("Seccomp", "0") == "2")))


def _is_alive(tid: int) -> bool:
    """Whether a task lives; one that waits to be reaped does not."""
    facts = _facts(tid, tid)
    return bool(facts) and facts["State"][0] not in _DEAD
