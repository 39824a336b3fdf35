"""A tracer of processes that run already: every system call stops, no filter decides beside it.

A filter can neither be put into a running process nor be taken out again, so each call costs two
stops. What the kernel places by a listener elsewhere (see listener.py) comes through a keeper:

    task                        tracer                      a thread of the tracer's
    open("/dev/stdin"), held    judges
    DELIVER, no such call       holds it at its exit        opens what was judged
    takes it from the keeper                                hands it to the keeper
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EINVAL, ENOMEM

from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs, ptrace
from enforcer.kernel.kcmp import has_own_umask, shares_memory
from enforcer.kernel.ptrace import SyscallInfo, TaskGone
from enforcer.mechanisms.ptrace import injected, tree
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.target_filters import Filters
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.dispatch import Handlers
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.keeper import Keeper
from enforcer.mechanisms.ptrace.listener import Deliveries, outcome
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Process, Script, Space, Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.mechanisms.ptrace.tree import CannotAttach
from enforcer.pin import TargetGone
from enforcer.supervision.peers import filters_of
from enforcer.syscalls import name as name_of

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""What makes the tracer let go of its targets."""

_WAKING = ENDING | {signal.SIGCHLD}
_LOOK_AGAIN_S = 0.02
_ALL_SIGNALS = b"\xff" * 8
_RESTARTS = range(-516, -511)
"""What the kernel tells itself: make the call again (include/linux/errno.h)."""


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """A call that a task was in when it was attached. `is_made_again`: and judged then."""

    tid: int
    call: str
    is_made_again: bool


@dataclass(frozen=True, kw_only=True)
class Attached:
    """What was attached: numbers of processes and tasks, and what was under way in the kernel."""

    processes: int
    tasks: int
    unjudged: Sequence[Unjudged]


class AttachedHandlers(Handlers):
    """A filter of the target's own would see what the tracer makes of its calls, and not see what
    the tracer does for it: none can be had, as in a kernel without them.
    """

    def __init__(self, act: Act) -> None:
        super().__init__(act)
        self._filters = _NoFilters(act, self.general).handlers()

    def ordinary(self, name: str) -> Handler:
        return self._filters[name] if name in self._filters else super().ordinary(name)


class _NoFilters(Filters):
    def install(self, call: HeldCall, place: int) -> None:
        self.act.refuse(call, EINVAL, "an attached process gets no filter of its own")


class Hands(Deliveries):
    """Deliveries of an attached tracer: openers run in threads, the results are taken up by it."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[int, bool | None] = {}
        self._done: deque[tuple[int, int]] = deque()

    def has(self, tid: int) -> bool:
        """Whether something was arranged for a task."""
        return tid in self.arranged

    def is_at(self, tid: int) -> bool:
        """Whether a task waits for what was arranged."""
        return tid in self._begun

    def begin(self, tid: int) -> None:
        """The task has come for it."""
        opener, close_on_exec = self.arranged.pop(tid)
        self._begun[tid] = close_on_exec

        def work() -> None:
            self._done.append((tid, outcome(opener)))
            os.kill(os.getpid(), signal.SIGCHLD)  # which every thread blocks: it stays pending

        threading.Thread(target=work, daemon=True).start()

    def done(self) -> Iterable[tuple[int, int, bool | None]]:
        """Tasks, results, and whether a descriptor is to be closed at an execve (None: none is)."""
        while self._done:
            tid, result = self._done.popleft()
            yield tid, result, self._begun.pop(tid)


@dataclass
class _Bringing:
    """A script that ends in a descriptor, and the signal mask to put back then."""

    script: Script
    signals: bytes


class AttachedTracer(Tracer):
    """Traces `pid`, its threads and its descendants from `begin` to `leave`."""

    make_handlers = AttachedHandlers
    # Every call stops its task, and who was there before outlives the tracer.
    options = Tracer.options & ~(ptrace.TRACESECCOMP | ptrace.EXITKILL)
    has_filter = False

    def __init__(
        self,
        config: Config,
        log: EventLog,
        pid: int,
        policy_for: Callable[[int], TaskPolicy],
        keepers: Mapping[tuple[int, int], Keeper],
        told: Callable[[Attached], None],
    ) -> None:
        """`policy_for` is asked once for each process that is found. Raises CannotAttach there."""
        super().__init__(config, log)
        self.pid = pid
        self.policy_for = policy_for
        self.keepers = keepers
        self.told = told
        self.hands = Hands()
        self.sandbox.listener = self.hands
        self.sandbox.credentials_changed = True
        self.pending: set[int] = set()
        self.bringing: dict[int, _Bringing] = {}
        self.unjudged: list[Unjudged] = []
        self.is_leaving = False

    # ----- the beginning -----

    def begin(self) -> None:
        """Seize until nothing new is found; then every call of all of them is judged."""
        try:
            self.seize_all()
        except CannotAttach:
            self.leave()
            while self.see_to_next():
                pass
            raise
        if self.desk is not None:
            self.desk.start(self.pid, filters_of(self.pid))
        processes = len({task.process.tgid for task in self.tasks.values()})
        self.sandbox.journal.emit(
            EventKind.ENFORCING,
            tracer=os.getpid(),
            pid=self.pid,
            processes=processes,
            tasks=len(self.tasks),
            unjudged=[vars(each) for each in self.unjudged],
        )
        found = Attached(processes=processes, tasks=len(self.tasks), unjudged=tuple(self.unjudged))
        self.told(found)

    def seize_all(self) -> None:
        """Task A may make task B while B's siblings are looked for: look again until none is new.

        Whom a seized task makes is traced from birth (PTRACE_O_TRACECLONE).
        """
        while True:
            found = [
                (tgid, tid)
                for tgid in tree.processes(self.pid)
                for tid in tree.threads(tgid)
                if tid not in self.tasks and tid not in self.sandbox.early
            ]
            if not found:
                return
            for tgid, tid in found:
                self.seize(tgid, tid)
            if not self.pending:
                self.see_to_next()  # the birth of who was traced from birth
            while self.pending and self.see_to_next():
                pass
            if not self.tasks:
                raise CannotAttach(self.pid, "is gone")

    def seize(self, tgid: int, tid: int) -> None:
        """Trace one task that runs, and have it stop. Raises CannotAttach."""
        try:
            ptrace.seize(tid, self.options)
            ptrace.interrupt(tid)
        except TaskGone:
            return
        except OSError:
            if tree.is_alive(tid) and tree.tracer_of(tid) != os.getpid():
                raise CannotAttach(tid, tree.why_not(tid)) from None
            return  # its birth is about to be told
        process = self.process(tgid)
        task = Task(tid, process)
        if tid != tgid and not has_own_umask(tgid, tid):
            task.view.shares_umask = True
            if tgid in self.tasks:
                self.tasks[tgid].view.shares_umask = True
        self.tasks[tid] = task
        self.pending.add(tid)

    def process(self, tgid: int) -> Process:
        """The process of that number, as it was found, or made now."""
        known = {each.process.tgid: each.process for each in self.tasks.values()}
        if tgid in known:
            return known[tgid]
        if tree.sees_otherwise(tgid):
            self.sandbox.change_world()
        spaces = (each.space for each in known.values() if shares_memory(each.tgid, tgid))
        return Process(tgid, next(spaces, Space()), self.policy_for(tgid))

    def settled(self, tid: int) -> None:
        """The first stop of a task, or it sleeps where nothing but its end interrupts it."""
        self.pending.discard(tid)
        with suppress(TaskGone, OSError):
            found = self.call_at(tid)
            if found is not None:
                self.unjudged.append(found)

    def call_at(self, tid: int) -> Unjudged | None:
        """The call that a task was in, as /proc/TID/syscall has it. Raises OSError, TaskGone."""
        first = procfs.read(tid, "syscall").split()[0]
        if first in (b"running", b"-1"):
            return None
        result = 0
        abi = next(iter(self.config.abis.values()))
        with suppress(TaskGone):  # it is not stopped
            content = ptrace.registers(tid)
            fits = (
                each
                for each in self.config.abis.values()
                if len(content) in [layout.size for layout in each.layouts]
            )
            abi = next(fits, abi)
            layout = abi.layout(len(content))
            word = content[layout.result : layout.result + layout.word]
            result = int.from_bytes(word, "big" if abi.big_endian else "little", signed=True)
        call = name_of(abi.name, int(first)) or first.decode()
        return Unjudged(tid=tid, call=call, is_made_again=result in _RESTARTS)

    # ----- the end -----

    def leave(self) -> None:
        """Let go of each task as soon as nothing of the tracer's is left in its registers."""
        self.is_leaving = True
        for task in list(self.tasks.values()):
            if self.sandbox.waiting.holds(task.tid):
                self.let_go(task)
                continue
            with suppress(TaskGone):
                ptrace.interrupt(task.tid)

    def let_go(self, task: Task, number: int = 0) -> None:
        """Trace a task no more; it runs on with signal `number`."""
        with suppress(TaskGone):
            ptrace.let_go(task.tid, number)
        self.ended(task)

    def is_idle(self, task: Task) -> bool:
        """Whether a task's registers are its own."""
        busy = task.at_exit, task.script, task.anew, task.newborn
        held = task.tid in self.bringing or self.hands.is_at(task.tid)
        return not held and all(each is None for each in busy)

    # ----- stops -----

    def wait(self) -> tuple[int, int]:
        """The next stop of any task; (0, 0): look whether all of them have settled."""
        waiting = self.sandbox.waiting
        while True:
            for tid, result, close_on_exec in self.hands.done():
                waiting.busy()
                with suppress(TaskGone, TargetGone):
                    self.handed(tid, result, close_on_exec)
                waiting.idle()
            if not self.tasks and not self.sandbox.early:
                raise ChildProcessError
            if signal.sigtimedwait(ENDING, 0) is not None:
                self.leave()
                continue
            tid, status = os.waitpid(-1, ptrace.WALL | os.WNOHANG)
            if tid:
                return tid, status
            if self.pending:
                found = signal.sigtimedwait(_WAKING, _LOOK_AGAIN_S)
            else:
                found = signal.sigwaitinfo(_WAKING)
            if found is None:
                return 0, 0
            if found.si_signo in ENDING:
                self.leave()

    def handle(self, tid: int, status: int) -> None:
        """One report of waitpid."""
        if not tid:
            for each in [each for each in self.pending if tree.is_unwakeable(each)]:
                self.settled(each)
            return
        if tid in self.pending:
            self.settled(tid)
        super().handle(tid, status)
        if self.is_leaving and tid in self.tasks:
            ptrace.interrupt(tid)

    def at_event(self, task: Task, event: int, number: int) -> None:
        """Any stop at no call: here a task can be let go of."""
        if self.is_leaving and event in (0, ptrace.EVENT_STOP) and self.is_idle(task):
            self.let_go(task, 0 if event else number)
        else:
            super().at_event(task, event, number)

    def at_syscall(self, task: Task) -> None:
        """As Tracer has it, and a DELIVER that came back from the kernel unknown."""
        bringing = self.bringing.get(task.tid)
        if bringing is None and not self.hands.has(task.tid):
            super().at_syscall(task)
            return
        info = ptrace.syscall_info(task.tid)
        if bringing is None:
            if info[0] == ptrace.OP_EXIT:
                self.hands.begin(task.tid)
            else:
                injected.enter(self.sandbox, task, info)
        elif info[0] == ptrace.OP_EXIT:
            self.bring_on(task, info, bringing, ptrace.exit_result())
        else:
            injected.enter(self.sandbox, task, info)

    def handed(self, tid: int, result: int, close_on_exec: bool | None) -> None:
        """What a task waited for is there. Raises TaskGone."""
        task = self.tasks.get(tid)
        if task is None:
            if result >= 0 and close_on_exec is not None:
                os.close(result)
            return
        info = ptrace.syscall_info(tid)
        if result < 0 or close_on_exec is None:
            self.answer(task, info, result)
            return
        keeper = self.keepers.get(tree.ids(tid))
        if keeper is None:
            os.close(result)
            self.answer(task, info, -ENOMEM)
            return
        script = keeper.brought(self.config.abis[info[1]], result, close_on_exec=close_on_exec)
        bringing = self.bringing[tid] = _Bringing(script, ptrace.signal_mask(tid))
        ptrace.set_signal_mask(tid, _ALL_SIGNALS)
        self.bring_on(task, info, bringing, None)

    def bring_on(
        self, task: Task, info: SyscallInfo, bringing: _Bringing, result: int | None
    ) -> None:
        """At the exit of a call by which a task takes a descriptor: the next one, or the end."""
        abi = self.config.abis[info[1]]
        try:
            # A script that has not begun takes nothing but None.
            nr, arguments = bringing.script.send(result)  # type: ignore[arg-type]
        except StopIteration as stop:
            placed = stop.value
        except OSError:
            placed = -ENOMEM
        else:
            task.injected, task.injected_arch = (nr, arguments), info[1]
            self.sandbox.registers.call_again(task.tid, abi, task.saved, nr, arguments)
            ptrace.resume_to_syscall(task.tid)
            return
        del self.bringing[task.tid]
        ptrace.set_signal_mask(task.tid, bringing.signals)
        self.answer(task, info, placed)

    def answer(self, task: Task, info: SyscallInfo, result: int) -> None:
        """At an exit: as if DELIVER had given `result`."""
        if task.script is not None:
            injected.advance(self.sandbox, task, info, result)
            return
        abi, tid = self.config.abis[info[1]], task.tid
        self.sandbox.registers.restore(tid, abi, ptrace.registers(tid), result)
        continuation, task.at_exit = task.at_exit, None
        assert continuation is not None
        continuation(task)

    def ended(self, task: Task) -> None:
        """A task is no more, or no more ours."""
        self.pending.discard(task.tid)
        self.bringing.pop(task.tid, None)
        super().ended(task)
