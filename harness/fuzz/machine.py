"""A rule-based machine: each rule has one task make one call, and nothing may escape.

The machine keeps only what it must to write sensible steps: which tasks there are, in which
processes, and which descriptors they were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.backends import backend as backend_of
from harness.fuzz.cell import cell
from harness.fuzz.escapes import SUPERVISOR
from harness.fuzz.live import fewest
from harness.fuzz.property import Mismatch, Search, Tally, Trial
from harness.fuzz.sentinel import hiding
from harness.fuzz.show import policy_text
from harness.fuzz.steps import (
    TASKS,
    Argument,
    Operation,
    Result,
    Slot,
    Space,
    Step,
    Text,
    TreeCase,
)
from harness.fuzz.strategies.programs import THREAD, carry, flags, unix_address
from harness.fuzz.wire import to_json
from harness.fuzz.worlds import ROOT

DEFAULT_BACKEND = "ptrace"
STEPS = 30
"""Rules that one example runs at most."""

NAMES = (
    *("secret/file", "secret/file", "secret", "secret/prog", "secret/new", "secret/.", "file"),
    *("sub", "sub/file", "jail", "jail/file", "new", "sub/new", "prog", "link", "link/file", "."),
    *("sub/../secret/file", "new/file", ".."),
)
PREFIXES = (
    *(f"{ROOT}/", f"{ROOT}/", "", "", "../", "../../w/", "/proc/self/cwd/", "/proc/self/fd/5/"),
    *(f"/proc/self/root{ROOT}/", f"{ROOT}/jail/../", "/"),
)
_UNTRACED, _VFORK, _PTRACE = 0x0080_0000, 0x4000, 0x2000
_SIGCHLD = 17
BIRTHS = (
    (_SIGCHLD, False),
    (_SIGCHLD | _UNTRACED, False),
    (_SIGCHLD | _UNTRACED, True),
    (_SIGCHLD | _PTRACE, False),
    (flags("CLONE_FILES") | _SIGCHLD, False),
    (flags("CLONE_FS") | _SIGCHLD, True),
    (flags("CLONE_VM") | _VFORK | _SIGCHLD, False),
    (flags("CLONE_VM") | _VFORK | _UNTRACED | _SIGCHLD, False),
    (flags(*THREAD), False),
    (flags(*THREAD) | _UNTRACED, False),
)
OPENINGS = (0, 0, 1, 2, 0o1102, 0x10000, 0x200000, 0x200000 | 0x20000, 0x20000, 0o2000001)

ATTEMPTS = 60
"""Openings of one race."""

SENDING, RECEIVING = 3, 4
"""The ends of the pair of sockets that every task has."""

_who = st.integers(0, 7)
_names = st.builds(str.__add__, st.sampled_from(PREFIXES), st.sampled_from(NAMES)).map(Text)


class Confined(RuleBasedStateMachine):
    """Tasks of one sandbox. `make` makes steps; see `machine` for a class that can be run."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.alive = {0: 0}  # task -> its process, named by its first task
        self.pids: dict[int, Argument] = {}
        self.held: dict[int, int] = {}  # parent by vfork -> its child
        self.made = 1
        self.descriptors: list[Argument] = [-1]
        self.over = False

    def make(self, steps: tuple[Step, ...]) -> list[int]:
        """Their results."""
        return [0] * len(steps)

    def by(self, who: int) -> int:
        """A task that can make calls."""
        able = [task for task in self.alive if task not in self.held]
        return able[who % len(able)]

    def add(
        self,
        task: int,
        call: str,
        *args: Argument,
        operation: Operation = Operation.CALL,
    ) -> tuple[Result, int]:
        """The step's result as an argument, and as it came."""
        step = Step(task, call, args, operation)
        place = len(self.steps)
        return Result(place), self.make((step,))[0]

    def opened(self, descriptor: Argument, result: int) -> None:
        if result >= 0:
            self.descriptors.append(descriptor)

    def descriptor(self, which: int) -> Argument:
        return self.descriptors[which % len(self.descriptors)]

    def ended(self, process: int) -> None:
        """All tasks of a process are gone; who waited for it goes on."""
        gone = [task for task, of in self.alive.items() if of == process]
        for task in gone:
            del self.alive[task]
            self.held.pop(task, None)
        self.released(gone)

    def released(self, tasks: list[int]) -> None:
        self.held = {parent: child for parent, child in self.held.items() if child not in tasks}

    def alone(self, task: int) -> bool:
        """Whether a task is the only one of its process, and no vfork's parent waits in it."""
        return list(self.alive.values()).count(self.alive[task]) == 1

    @initialize()
    def begin(self) -> None:
        """A pair of sockets that every task has: the first two free descriptors."""
        self.add(0, "socketpair", 1, 0o4002, 0, Slot(1))

    @rule()
    def rest(self) -> None:
        """Nothing, so that there is a rule when the sandbox has ended."""

    @precondition(lambda self: len(self.alive) < 6 and self.made < TASKS and not self.over)
    @rule(who=_who, birth=st.sampled_from(BIRTHS))
    def birth(self, who: int, birth: tuple[int, bool]) -> None:
        """A process or a thread, also one that asks not to be traced."""
        task, new = self.by(who), self.made
        how, by_clone3 = birth
        call = "clone3" if by_clone3 else "clone"
        pid, result = self.add(task, call, how, new, by_clone3, operation=Operation.CLONE)
        if result > 0:
            self.made += 1
            is_thread = how & flags("CLONE_THREAD")
            self.alive[new] = self.alive[task] if is_thread else new
            self.pids[new] = pid
            if how & _VFORK:
                self.held[task] = new

    @precondition(lambda self: len(self.alive) > 1 and not self.over)
    @rule(who=_who)
    def exit(self, who: int) -> None:
        """The end of a process that is not the first."""
        task = self.by(who)
        process = self.alive[task]
        if process != 0 and self.alone(task):
            self.add(task, "exit_group", 1, operation=Operation.EXIT)
            self.ended(process)

    @precondition(lambda self: not self.over)
    @rule(who=_who, victim=_who, number=st.sampled_from((9, 9, 19)))
    def kill(self, who: int, victim: int, number: int) -> None:
        """SIGKILL to another process, or SIGKILL and SIGSTOP to the one that watches over it."""
        task = self.by(who)
        others = [each for each in self.pids if self.alive.get(each) == each]
        if victim < 2 or not others or number != 9:
            self.add(task, "kill", SUPERVISOR, number)
            return
        chosen = others[victim % len(others)]
        if self.alive[chosen] != self.alive[task] and not self._waits(chosen):
            result = self.add(task, "kill", self.pids[chosen], 9)[1]
            if result == 0:
                self.ended(self.alive[chosen])

    def _waits(self, process: int) -> bool:
        """Whether a task of the process waits for a child by vfork."""
        return any(self.alive[parent] == process for parent in self.held)

    @precondition(lambda self: not self.over)
    @rule(who=_who, name=_names)
    def execute(self, who: int, name: Text) -> None:
        """A new image for a process with one task."""
        task = self.by(who)
        if self.alone(task):
            result = self.add(task, "execve", name, who & 1, operation=Operation.EXEC)[1]
            if result == 0:
                self.released([task])

    @precondition(lambda self: not self.over)
    @rule(who=_who, name=_names, how=st.sampled_from(OPENINGS), at=_who)
    def open(self, who: int, name: Text, how: int, at: int) -> None:
        """A descriptor, also relative to one."""
        directory = self.descriptor(at) if at & 1 else -100
        self.opened(*self.add(self.by(who), "openat", directory, name, how | 0x800, 0o644))

    @precondition(lambda self: not self.over)
    @rule(who=_who, which=_who, sort=st.sampled_from(("read", "dup", "close", "getdents64")))
    def use(self, who: int, which: int, sort: str) -> None:
        """Reading, doubling and closing a descriptor."""
        task, descriptor = self.by(who), self.descriptor(which)
        if sort == "dup":
            self.opened(*self.add(task, "dup", descriptor))
        elif sort == "close":
            self.add(task, "close", descriptor)
        else:
            self.add(task, sort, descriptor, Space(256), 256)

    @precondition(lambda self: not self.over)
    @rule(who=_who, to=_who, which=_who)
    def hand_over(self, who: int, to: int, which: int) -> None:
        """A descriptor from one task to another, as a message (SCM_RIGHTS)."""
        store = Operation.STORE
        sender, receiver = self.by(who), self.by(to)
        descriptor = Step(sender, "store", (Slot(2, 16), self.descriptor(which)), store)
        nothing = Step(sender, "store", (Slot(2, 16), -1), store)
        taken = Step(receiver, "load", (Slot(2, 16),), Operation.LOAD)
        sent = (descriptor, *carry(sender, SENDING, "sendmsg"), nothing)
        steps = (*sent, *carry(receiver, RECEIVING, "recvmsg"), taken)
        place = len(self.steps) + len(steps) - 1
        self.opened(Result(place), self.make(steps)[-1])

    @precondition(lambda self: not self.over)
    @rule(who=_who, name=_names, which=_who, sort=st.sampled_from(("chdir", "fchdir", "chroot")))
    def go(self, who: int, name: Text, which: int, sort: str) -> None:
        """Another directory or another root."""
        if sort == "fchdir":
            self.add(self.by(who), sort, self.descriptor(which))
        elif sort == "chroot":
            self.add(self.by(who), sort, Text(f"{ROOT}/jail") if which & 1 else name)
        else:
            self.add(self.by(who), sort, name)

    @precondition(lambda self: not self.over)
    @rule(
        who=_who,
        name=_names,
        other=_names,
        sort=st.sampled_from(("rename", "link", "symlink", "unlink", "chmod", "truncate", "stat")),
        at=_who,
    )
    def change(self, who: int, name: Text, other: Text, sort: str, at: int) -> None:
        """Names and attributes."""
        task = self.by(who)
        directory = self.descriptor(at) if at & 1 else -100
        if sort in ("rename", "link"):
            extra = (0,) if sort == "link" or at & 2 else ()
            call = "linkat" if sort == "link" else "renameat2" if extra else "renameat"
            self.add(task, call, directory, name, -100, other, *extra)
        elif sort == "symlink":
            self.add(task, "symlinkat", name, directory, other)
        elif sort == "unlink":
            self.add(task, "unlinkat", directory, name, 0x200 if at & 2 else 0)
        elif sort == "chmod":
            self.add(task, "fchmodat", directory, name, 0o777)
        elif sort == "truncate":
            self.add(task, "truncate", name, 5)
        else:
            self.add(task, "newfstatat", directory, name, Space(144), 0)

    @precondition(lambda self: not self.over)
    @rule(who=_who, prefix=st.sampled_from(PREFIXES), by_message=st.booleans())
    def speak(self, who: int, prefix: str, by_message: bool) -> None:
        """A message to the socket that nobody may reach."""
        task = self.by(who)
        end, result = self.add(task, "socket", 1, 0o4002, 0)
        if result < 0 or self.over:
            return
        address = unix_address(f"{prefix}secret/socket")
        size = len(address.tail)
        if by_message:
            self.add(task, "sendto", end, Text("reached"), 7, 0x4040, address, size)
        else:
            self.add(task, "connect", end, address, size)
            if not self.over:
                self.add(task, "write", end, Text("reached"), 7)

    @precondition(lambda self: not self.over)
    @rule(who=_who)
    def race(self, who: int) -> None:
        """A name that another thread rewrites while the call is judged."""
        task = self.by(who)
        if not self.alone(task) or self.held:
            return
        names = Text(f"{ROOT}/jail/./file"), Text(f"{ROOT}/secret/file")
        self.add(task, "openat", Slot(5), *names, Slot(6), 64, ATTEMPTS, operation=Operation.RACE)

    @invariant()
    def nothing_escapes(self) -> None:
        """The cell has watched the last step: what it saw is no breach."""
        self.raise_breach()

    def raise_breach(self) -> None:
        """Raises what a breach is reported by."""


def search(trial: Trial, tally: Tally) -> Search:
    """Runs of the machine under the backend of `tally`, each in a sandbox of its own."""
    backend = tally.backend or DEFAULT_BACKEND

    class Running(Confined):
        def __init__(self) -> None:
            super().__init__()
            self.breach: dict[str, str] = {}
            trial.begin()
            cell().ask({"work": "escapes", "backend": backend})

        def make(self, steps: tuple[Step, ...]) -> list[int]:
            if self.over:
                return [-1] * len(steps)
            self.steps += steps
            self.over = True  # unless there is an answer: an interrupt asks nothing further
            answer = cell().ask({"steps": to_json(steps)})
            tally.decisions += len(steps)
            results = cast("list[int]", answer["results"])
            self.heard(answer)
            return results + [-1] * (len(steps) - len(results))

        def heard(self, answer: Mapping[str, object]) -> None:
            self.over = bool(answer["over"])
            self.breach = cast("dict[str, str]", answer["breach"])

        def raise_breach(self) -> None:
            if self.breach:
                case = TreeCase(tuple(self.steps))
                trial.fail(case, mismatch(case, backend, self.breach))

        def teardown(self) -> None:
            if self.over:
                return
            self.heard(cell().ask({"end": True}))
            self.raise_breach()
            trial.end()

    def run(configured: settings, number: int) -> None:
        limited = settings(configured, stateful_step_count=STEPS)
        run_state_machine_as_test(seed(number)(Running), settings=limited)

    return run


def check_tree(case: TreeCase, tally: Tally) -> None:
    """The steps of a case again, in a sandbox of their own. Raises Mismatch."""
    backend = tally.backend or DEFAULT_BACKEND
    cell().ask({"work": "escapes", "backend": backend})
    answer = cell().ask({"steps": to_json(case.steps), "end": True})
    tally.decisions += len(case.steps)
    if breach := cast("dict[str, str]", answer["breach"]):
        raise mismatch(case, backend, breach)


def smallest_tree(case: TreeCase, tally: Tally) -> TreeCase:
    """The case without the steps that the breach does not need."""

    def breaks(steps: tuple[Step, ...]) -> bool:
        if tally.is_late():
            return False
        try:
            check_tree(TreeCase(steps), Tally(backend=tally.backend))
        except Mismatch:
            return True
        return False

    return TreeCase(fewest(case.steps, breaks))


def mismatch(case: TreeCase, backend: str, breach: Mapping[str, str]) -> Mismatch:
    """The breach with the policy and all steps that led to it."""
    steps = "\n         ".join(
        f"{place}: task {step.task} {step.call} {step.args}"
        for place, step in enumerate(case.steps)
    )
    policy = policy_text(hiding(Path(ROOT), backend_of(backend).mechanism))
    words = {**breach, "call": f"{steps}\n         where {breach['call']}"}
    return Mismatch(policy=policy, **words)
