"""The tracer: one loop over the stops of every task, failing closed on what it does not know."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs, ptrace, sysfs
from enforcer.kernel.ptrace import SyscallInfo, TaskGone
from enforcer.mechanisms.contract import MechanismName
from enforcer.mechanisms.ptrace import faults, injected, new_tasks, repeated, returns
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls import execs
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.dispatch import Dispatch, Handlers
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.listener import Listener
from enforcer.mechanisms.ptrace.looks import QuickWay, ways_of_looking
from enforcer.mechanisms.ptrace.private import ASKS, HELLO
from enforcer.mechanisms.ptrace.quick import Quick
from enforcer.mechanisms.ptrace.registers import NARROW, narrow
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Process, Space, Task
from enforcer.mechanisms.ptrace.watch import Watch
from enforcer.pin import TargetGone
from enforcer.pin.identity import OutOfReach
from enforcer.supervision import failure
from enforcer.supervision.desk import Desk
from enforcer.supervision.peers import filters_of
from enforcer.supervision.processes import shown
from enforcer.supervision.rereading import Rereads, tell

# How waitpid(2) packs a stop: 0x7F for stopped, then the signal (with 0x80 for a call, by
# PTRACE_O_TRACESYSGOOD), then the event (ptrace(2), "Stopped states").
_SECCOMP_STOP = ptrace.EVENT_SECCOMP << 16 | signal.SIGTRAP << 8 | 0x7F
_SYSCALL_STOP = (signal.SIGTRAP | 0x80) << 8 | 0x7F
_STOPPING = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_BIRTHS = frozenset({ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE})


class Tracer:
    """Traces one sandbox from its first task to the end of its last.

    Leaky backends override single methods, `make_act` and `options`.
    """

    make_act = Act
    make_handlers = Handlers
    options = (
        ptrace.TRACESYSGOOD
        | ptrace.TRACEFORK
        | ptrace.TRACEVFORK
        | ptrace.TRACECLONE
        | ptrace.TRACEEXEC
        | ptrace.TRACESECCOMP
        | ptrace.EXITKILL
    )
    has_filter = True
    traces_untraced = True

    def __init__(self, config: Config, log: EventLog) -> None:
        procfs.root()  # while /proc is surely no target's mount, nor /sys
        sysfs.root()
        self.config = config
        self.sandbox = Sandbox(
            config,
            log,
            has_filter=self.has_filter,
            traces_untraced=self.traces_untraced,
            redo=self.redo,
        )
        self.tasks = self.sandbox.tasks
        self.desk: Desk | None = None
        self.denials = 0
        self.act = self.make_act(self.sandbox)
        handlers = self.make_handlers(self.act)
        self.dispatch: Dispatch = handlers.table()
        self.ways: Mapping[int, QuickWay] = {}
        self.quick_arch = 0
        if config.has_quick and self.act.pins and self.act.copies:
            quick = Quick(self.sandbox, handlers.opens)
            self.quick_arch = quick.arch
            looks = ways_of_looking(self.sandbox, config.abis[quick.arch])
            self.ways = {quick.openat: quick.serve, **looks}
            self.sandbox.is_quick = True

    # ----- life -----

    def attend(self, desk: Desk | None) -> None:
        """Ask there, and tell there how things are."""
        if desk is None:
            return
        self.desk = desk
        self.sandbox.waiting.begin(desk, self.answered)
        self.sandbox.journal.noted = self.noted
        desk.describe = self.described
        desk.left_alone = self.sandbox.journal.detected

    def answered(self, task: Task) -> None:
        """The question that a task waits for was answered: its call is judged again."""
        if self.tasks.get(task.tid) is not task:
            return
        task.again = True
        if not task.saved:
            self.redo(task)
            return
        with suppress(TaskGone):
            self.act.repeat(task, ptrace.syscall_info(task.tid))

    def noted(self, fields: Mapping[str, object]) -> None:
        """A refusal."""
        self.denials += 1
        if self.desk is not None:
            self.desk.noted(fields)

    def described(self) -> Mapping[str, object]:
        """What `enforcer status` shows of this tracer."""
        sandbox = self.sandbox
        return {
            "mechanism": MechanismName.PTRACE,
            "policies": sorted({each.policy.source for each in self.config.policies}),
            "processes": shown({each.process.tgid for each in list(self.tasks.values())}),
            "decisions": sandbox.decisions,
            "denials": self.denials,
            "judged": dict(sandbox.judged),
        }

    def attach(self, tid: int, policy: TaskPolicy) -> None:
        """Seize the launcher, which will come under `policy`. Raises OSError, TaskGone."""
        ptrace.seize(tid, self.options)
        process = Process(tid, Space(), policy)
        process.launching = True
        self.tasks[tid] = Task(tid, process)

    def told_to_end(self, number: signal.Signals) -> None:
        """In a thread of its own. The kernel ends whom nobody here knows yet (EXITKILL)."""
        self.say_last_word(action=Action.KILL, signal=number.name)
        self.sandbox.kill_all()

    def say_last_word(self, **fields: object) -> None:
        """What was decided and judged in all, and the time that it took."""
        sandbox = self.sandbox
        cpu_s = round(time.process_time(), 6)
        sandbox.journal.ended(sandbox.decisions, sandbox.judged, cpu_s=cpu_s, **fields)

    def serve(self) -> None:
        """Return when the last task has ended. Whatever goes wrong here ends the sandbox first."""
        sandbox = self.sandbox
        watch = Watch(sandbox)
        watch.start()
        try:
            self.begin()
            while self.see_to_next():
                pass
        except BaseException as error:
            # No enforcement: a failure is not to be taken for a kill that the policy wanted.
            sandbox.end(
                "the tracer failed",
                action=None,
                error=failure.told(error),
                place=failure.place(error),
            )
            raise
        watch.over.set()
        if self.desk is not None:
            self.desk.close()
        self.say_last_word()

    def begin(self) -> None:
        """What comes before the first stop."""

    def see_to_next(self) -> bool:
        """Wait for a stop and handle it; False: no task is left."""
        sandbox = self.sandbox
        sandbox.is_waiting = True
        is_asked = self.desk is not None
        if is_asked:
            sandbox.waiting.idle()
        try:
            tid, status = self.wait()
        except ChildProcessError:
            return False
        if is_asked:
            sandbox.waiting.busy()
        sandbox.at_hand = tid
        sandbox.handled += 1
        sandbox.is_waiting = False
        if self.config.rereads is not None and self.config.rereads.is_due():
            self.read_again(self.config.rereads)
        try:
            self.handle(tid, status)
        except (TaskGone, TargetGone):
            return True
        return True

    def read_again(self, rereads: Rereads) -> None:
        """Take policies that are new, between two stops: nobody is being judged just now."""
        config, sandbox = self.config, self.sandbox
        for news in rereads.news():
            for policy in news.policies:
                place = None if policy.binary is None else config.binaries.exact(policy.binary)
                if place is not None:
                    config.policies[place].renew(policy, sandbox.places)
                elif policy.binary is not None:
                    made = TaskPolicy(policy, permissive=config.permissive)
                    made.watch_other_names(sandbox.places)
                    config.binaries.add(policy.binary, len(config.policies))
                    config.policies.append(made)
                elif len(config.policies) == 1:
                    config.policies[0].renew(policy, sandbox.places)
            tell(sandbox.journal, news)

    def wait(self) -> tuple[int, int]:
        """The next stop or end of any task."""
        # __WALL: a child made by clone(2) with another signal than SIGCHLD is reported as well.
        return os.waitpid(-1, ptrace.WALL)

    # ----- stops -----

    def handle(self, tid: int, status: int) -> None:
        """One report of waitpid."""
        task = self.tasks.get(tid)
        if task is None:
            self.unknown(tid, status)
        elif status == _SECCOMP_STOP:
            self.at_seccomp(task)
        elif status == _SYSCALL_STOP:
            self.at_syscall(task)
        elif os.WIFSTOPPED(status):
            self.at_event(task, status >> 16, status >> 8 & 0xFF)
        else:
            self.ended(task)

    def at_seccomp(self, task: Task) -> None:
        """The filter asks about a call."""
        if task.script is not None:
            injected.enter(self.sandbox, task, ptrace.syscall_info(task.tid))
            return
        if task.anew is not None:
            ptrace.resume_to_syscall(task.tid)
            return
        info = ptrace.syscall_info(task.tid)
        if info[1] == self.quick_arch and self.sandbox.is_quick and task.retry == 0:
            way = self.ways.get(info[4])
            if way is not None and way(task, info):
                return
        self.at_call(task, info)

    def redo(self, task: Task) -> None:
        """A task that waited at a call is looked at once more."""
        try:
            self.at_seccomp(task)
        except (TaskGone, TargetGone):
            return

    def at_call(self, task: Task, info: SyscallInfo) -> None:
        """A task is about to enter the kernel for a call that is judged here."""
        if task.process.launching:
            self.at_launch(task, info)
            return
        view = task.view
        view.fixed_root = not self.sandbox.world_changed
        view.places, view.same_objects = self.sandbox.places, task.process.policy.same_objects
        if info[0] == ptrace.OP_SECCOMP and info[11] != ASKS:
            # A filter of the target's own answers RET_TRACE. Without a tracer of its own, which it
            # cannot have here, the kernel does not make the call (__seccomp_filter: ENOSYS).
            self.act.fail(HeldCall(task, info, str(info[4]), ""), errno.ENOSYS)
            return
        if task.away is not None:
            info = returns.own_call(self.sandbox, task, info, task.away)
        try:
            name, abi, handler = self.dispatch[info[1]][info[4]]
        except KeyError:
            self.at_unknown_call(task, info)
            return
        self.sandbox.count(task, name)
        if self.config.abis[info[1]].bits == NARROW:
            info = narrow(info)
        call = HeldCall(task, info, name, abi)
        try:
            handler(call)
        except OutOfReach as error:
            self.act.refuse(call, errno.EPERM, str(error))

    def at_unknown_call(self, task: Task, info: SyscallInfo) -> None:
        """A number that no table has: ENOSYS, as from a kernel without it."""
        abi = self.config.abis[info[1]].name if info[1] in self.config.abis else ""
        call = HeldCall(task, info, str(info[4]), abi)
        self.sandbox.count(task, call.name)
        self.act.refuse(call, errno.ENOSYS, "unknown call")

    def at_launch(self, task: Task, info: SyscallInfo) -> None:
        """The launcher may do what it needs; its first word brings the listener."""
        if info[4] == HELLO and self.sandbox.listener is None:
            listener = Listener.taken_from(task.tid, info[5])
            listener.start()
            self.sandbox.listener = listener
            self.greet(task, info)
        else:
            self.sandbox.resume(task)

    def greet(self, task: Task, info: SyscallInfo) -> None:
        """Answer the launcher, and say with evidence from the kernel that enforcement is on."""
        fields = procfs.status_fields(task.view.status_text())
        shown = (b"TracerPid", b"Seccomp", b"Seccomp_filters", b"NoNewPrivs")
        evidence = {key.decode(): fields[key].decode() for key in shown if key in fields}
        self.sandbox.journal.emit(EventKind.ENFORCING, tracer=os.getpid(), pid=task.tid, **evidence)
        if self.desk is not None:
            self.desk.start(task.tid, filters_of(task.tid) - 1)
        self.act.cancel(HeldCall(task, info, str(HELLO), self.config.abis[info[1]].name), 0)

    def at_syscall(self, task: Task) -> None:
        """A task made to do something has come to the kernel or back."""
        if task.script is not None:
            info = ptrace.syscall_info(task.tid)
            if info[0] == ptrace.OP_EXIT:
                injected.advance(self.sandbox, task, info, ptrace.exit_result())
            else:
                injected.enter(self.sandbox, task, info)
        elif task.anew is not None and not task.anew.is_made:
            repeated.advance(self.sandbox, task)
        elif task.at_exit is not None:
            continuation, task.at_exit = task.at_exit, None
            continuation(task)
        elif self.has_filter:
            ptrace.resume(task.tid)
        else:
            self.at_plain_syscall(task)

    def at_plain_syscall(self, task: Task) -> None:
        """Without a filter every call stops, at its entry and at its exit."""
        info = ptrace.syscall_info(task.tid)
        if info[0] != ptrace.OP_ENTRY:
            ptrace.resume_to_syscall(task.tid)
        elif info[1] not in self.dispatch:
            call = str(info[4])
            self.sandbox.end("foreign ABI", task.process, tid=task.tid, call=call, arch=info[1])
        else:
            self.at_call(task, info)

    def at_event(self, task: Task, event: int, number: int) -> None:
        """Any other stop of a known task: `number` is the signal it stopped with."""
        if event == 0:  # a signal is about to be delivered: its handler must not see our detour
            if task.away is not None:
                returns.bring_back(self.sandbox, task, task.away)
            if number in faults.FAULTS and faults.ends_init(task, number):
                faults.end_init(self.sandbox, task, number)
            else:
                self.sandbox.resume(task, number)
        elif event in _BIRTHS:
            new_tasks.born(self.sandbox, task)
        elif event == ptrace.EVENT_EXEC:
            execs.executed(self.sandbox, task)
        elif event == ptrace.EVENT_STOP and number in _STOPPING:
            # A group-stop: let run, the task would not stay stopped; with PTRACE_LISTEN it does,
            # and SIGCONT wakes it (ptrace(2), "Group-stop").
            ptrace.listen(task.tid)
        elif event == ptrace.EVENT_STOP:
            new_tasks.started(self.sandbox, task)
        else:
            seen = {"tid": task.tid, "stop": event, "number": number}
            self.sandbox.end("unknown stop", task.process, **seen)

    def unknown(self, tid: int, status: int) -> None:
        """A new task may report before its parent's fork event does: it waits for that."""
        sandbox = self.sandbox
        # ptrace(2): a new tracee's first stop may be reported before the event of who made it. That
        # event alone says whose process, memory and policy it shares: until then it stays stopped.
        if not os.WIFSTOPPED(status):
            sandbox.early.discard(tid)
        elif status >> 16 == ptrace.EVENT_STOP:
            sandbox.early.add(tid)
            new_tasks.adopt_orphans(sandbox)
        else:
            lost = Process(tid, Space(), self.config.policies[0])
            sandbox.end("stop of an unknown task", lost, tid=tid, status=status)

    def ended(self, task: Task) -> None:
        """A task is no more."""
        del self.tasks[task.tid]
        self.sandbox.forget(task)
        if self.sandbox.early:
            new_tasks.adopt_orphans(self.sandbox)
