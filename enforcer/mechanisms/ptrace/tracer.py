"""The tracer: one loop over the stops of every task, failing closed on what it does not know."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from enforcer.call import Action, Decision
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs, ptrace
from enforcer.kernel.ptrace import SyscallInfo, TaskGone
from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.ptrace import anew, births, execs, returns, scripts
from enforcer.mechanisms.ptrace.authority import Authority, errno_of
from enforcer.mechanisms.ptrace.config import Config, Texts
from enforcer.mechanisms.ptrace.dispatch import Entry, dispatch_table
from enforcer.mechanisms.ptrace.listener import Listener
from enforcer.mechanisms.ptrace.private import HELLO
from enforcer.mechanisms.ptrace.quick import Quick
from enforcer.mechanisms.ptrace.reading import Reading
from enforcer.mechanisms.ptrace.registers import NARROW, CallRegisters, FrozenArgument, narrow
from enforcer.mechanisms.ptrace.returns import WAYS
from enforcer.mechanisms.ptrace.slots import SLOT_SIZE, Arena
from enforcer.mechanisms.ptrace.tasks import Continuation, Process, Space, Task
from enforcer.mechanisms.ptrace.watch import Watch
from enforcer.pin import TargetGone

_SECCOMP_STOP = ptrace.EVENT_SECCOMP << 16 | signal.SIGTRAP << 8 | 0x7F
_SYSCALL_STOP = (signal.SIGTRAP | 0x80) << 8 | 0x7F
_STOPPING = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_BIRTHS = frozenset({ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE})
_CODE = b"".join(way.code for way in WAYS.values())


class Tracer(Reading):
    """Traces one sandbox from its first task to the end of its last.

    Leaky backends override single methods and `options`.
    """

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
    """Whether CLONE_UNTRACED is taken from the target."""

    def __init__(self, config: Config, log: EventLog) -> None:
        procfs.root()  # while /proc is surely no target's mount
        self.config = config
        self.log = log
        self.tasks: dict[int, Task] = {}
        self.early: set[int] = set()
        self.arena = Arena(_CODE)
        self.registers = CallRegisters()
        self.listener: Listener | None = None
        self.world_changed = False
        self.credentials_changed = False
        self.has_domains = False
        self.decisions = 0
        self.judged: Counter[str] = Counter()
        self.call = ""
        self.handled = 0
        self.is_waiting = True
        self.copies = Defence.COPY in config.defences
        self.pins = Defence.PIN in config.defences
        self.verifies = Defence.VERIFY in config.defences
        self.quick: Quick | None = None
        self.dispatch = dispatch_table(self)

    # ----- life -----

    def attach(self, tid: int, authority: Authority) -> None:
        """Seize the launcher, which will come under `authority`. Raises OSError, TaskGone."""
        ptrace.seize(tid, self.options)
        process = Process(tid, Space(), authority)
        process.launching = True
        self.tasks[tid] = Task(tid, process)

    def serve(self) -> None:
        """Return when the last task has ended. Whatever goes wrong here ends the sandbox first."""
        watch = Watch(self)
        watch.start()
        try:
            while True:
                self.is_waiting = True
                try:
                    tid, status = self.wait()
                except ChildProcessError:
                    break
                self.handled += 1
                self.is_waiting = False
                try:
                    self.handle(tid, status)
                except (TaskGone, TargetGone):
                    continue
        except BaseException as error:
            self.end("the tracer failed", error=f"{type(error).__name__}: {error}")
            raise
        watch.over.set()
        self.log.emit(
            EventKind.END,
            decisions=self.decisions,
            judged=dict(self.judged),
            cpu_s=round(time.process_time(), 6),
        )

    def wait(self) -> tuple[int, int]:
        """The next stop or end of any task."""
        return os.waitpid(-1, ptrace.WALL)

    def resume(self, task: Task, number: int = 0) -> None:
        """Let a task run on with signal `number`, to its call's exit if something waits for it."""
        if task.at_exit is not None or task.script is not None or not self.has_filter:
            ptrace.resume_to_syscall(task.tid, number)
        else:
            ptrace.resume(task.tid, number)

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
        if task.script is not None or task.anew is not None:
            ptrace.resume_to_syscall(task.tid)
            return
        if (
            self.quick is not None
            and task.retry == 0
            and not self.world_changed
            and self.quick.serve(task)
        ):
            return
        self.at_call(task, ptrace.syscall_info(task.tid))

    def at_call(self, task: Task, info: SyscallInfo) -> None:
        """A task is about to enter the kernel for a call that is judged here."""
        if task.process.launching:
            self.at_launch(task, info)
            return
        task.view.fixed_root = not self.world_changed
        if task.away is not None:
            info = returns.own_call(self, task, info, task.away)
        table = self.dispatch.get(info[1])
        entry = None if table is None else table.get(info[4])
        if entry is None:
            self.refuse(task, info, errno.ENOSYS)
            return
        self.count(task, entry.name)
        if self.config.abis[info[1]].bits == NARROW:
            info = narrow(info)
        entry.handler(task, info, entry)

    def count(self, task: Task, name: str) -> None:
        """A call is held; one that the tracer itself sent round again was counted before."""
        self.call = name
        if task.again:
            task.again = False
        else:
            self.judged[name] += 1

    def at_launch(self, task: Task, info: SyscallInfo) -> None:
        """The launcher may do what it needs; its first word brings the listener."""
        if info[4] == HELLO and self.listener is None:
            self.listener = Listener.taken_from(task.tid, info[5])
            self.listener.start()
            self.emit_witness(task)
            self.cancel(task, info, 0)
        else:
            self.resume(task)

    def emit_witness(self, task: Task) -> None:
        """Say with evidence from the kernel that enforcement is on."""
        fields = procfs.status_fields(task.view.status_text())
        shown = (b"TracerPid", b"Seccomp", b"Seccomp_filters", b"NoNewPrivs")
        evidence = {key.decode(): fields[key].decode() for key in shown if key in fields}
        self.log.emit(EventKind.ENFORCING, tracer=os.getpid(), pid=task.tid, **evidence)

    def at_syscall(self, task: Task) -> None:
        """A task made to do something has come to the kernel or back."""
        if task.script is not None:
            info = ptrace.syscall_info(task.tid)
            if info[0] == ptrace.OP_EXIT:
                scripts.advance(self, task, info, ptrace.exit_result())
            else:
                ptrace.resume_to_syscall(task.tid)
        elif task.anew is not None and not task.anew.is_made:
            anew.advance(self, task)
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
            self.end("foreign ABI", task.process, tid=task.tid, call=str(info[4]), arch=info[1])
        else:
            self.at_call(task, info)

    def at_event(self, task: Task, event: int, number: int) -> None:
        """Any other stop of a known task: `number` is the signal it stopped with."""
        if event == 0:
            if task.away is not None:
                returns.bring_back(self, task, task.away)
            self.resume(task, number)
        elif event in _BIRTHS:
            births.born(self, task)
        elif event == ptrace.EVENT_EXEC:
            execs.executed(self, task)
        elif event == ptrace.EVENT_STOP and number in _STOPPING:
            ptrace.listen(task.tid)
        elif event == ptrace.EVENT_STOP:
            if task.newborn is not None:
                births.give_registers(self, task)
            self.resume(task)
        else:
            self.end("unknown stop", task.process, tid=task.tid, stop=event, number=number)

    def unknown(self, tid: int, status: int) -> None:
        """A new task may report before its parent's fork event does: it waits for that."""
        if not os.WIFSTOPPED(status):
            self.early.discard(tid)
        elif status >> 16 == ptrace.EVENT_STOP:
            self.early.add(tid)
            births.adopt_orphans(self)
        else:
            self.detect("stop of an unknown task", tid=tid, status=status, action=Action.KILL)
            _kill(tid)

    def ended(self, task: Task) -> None:
        """A task is no more."""
        del self.tasks[task.tid]
        self.forget(task)
        if self.early:
            births.adopt_orphans(self)

    def forget(self, task: Task) -> None:
        """Let go of what a task held."""
        process = task.process
        process.tasks.discard(task.tid)
        self.release_slot(task)
        if task.small is not None:
            self.arena.give_small(task.small)
            task.small = task.away = None
        if task.held is not None:
            task.held.close()
            task.held = None
        if task.script is not None:
            task.script.close()
            task.script = None
        task.at_exit = task.anew = None
        if self.listener is not None:
            self.listener.forget(task.tid)
        if process.space.mapper == task.tid:
            self.wake_waiters(process.space)

    # ----- what handlers use: deciding -----

    def decide(
        self,
        task: Task,
        name: str,
        args: Sequence[int],
        texts: Texts,
        abi: str | None = None,
        missing: int = 0,
    ) -> Decision:
        """The answer of the task's policy to a call with these texts."""
        self.decisions += 1
        authority = task.process.authority
        uid = gid = 0
        if authority.has_predicates:
            identity = task.view.standing().identity
            uid, gid = identity.uids[1], identity.gids[1]
        return authority.decide(name, args, texts, uid, gid, missing, abi)

    def note(self, task: Task, name: str, decision: Decision, texts: Texts) -> bool:
        """Log what is to be logged; False when the decision killed the process."""
        if decision.action is not Action.PERMIT or decision.log:
            self.log.emit(
                EventKind.DECISION,
                action=decision.action.value,
                errno=errno_of(decision),
                call=name,
                pid=task.process.tgid,
                tid=task.tid,
                policy=task.process.authority.policy.source,
                rule=decision.rule,
                reason=decision.reason,
                values={key: list(value) for key, value in texts.items()},
            )
        if decision.action is Action.KILL:
            self.kill(task.process)
            return False
        return True

    def settle(
        self, task: Task, info: SyscallInfo, name: str, decision: Decision, texts: Texts
    ) -> bool:
        """Log and carry out a refusal; True when the call is permitted and still to be done."""
        if not self.note(task, name, decision, texts):
            return False
        if decision.action is Action.PERMIT:
            return True
        self.refuse(task, info, errno_of(decision))
        return False

    # ----- what handlers use: acting -----

    def proceed(self, task: Task, info: SyscallInfo) -> None:
        """Let the call go on with the arguments that were judged, all of them in registers."""
        if task.multiplexed:
            self.redirect(task, info, info[4], info[5:11], self.restore_after)
        else:
            self.resume(task)

    def cancel(self, task: Task, info: SyscallInfo, result: int) -> None:
        """The call is not carried out; the task goes on with `result` (or -errno)."""
        task.retry = 0
        task.multiplexed = False
        abi = self.config.abis[info[1]]
        if abi.layouts[0].result_waits:
            scripts.answer(self, task, info, result)
            return
        self.registers.cancel(task.tid, abi, result)
        self.resume(task)

    def refuse(self, task: Task, info: SyscallInfo, number: int) -> None:
        """The call is not carried out and fails with errno `number`."""
        self.cancel(task, info, -number)

    def refuse_unreadable(self, task: Task, info: SyscallInfo, entry: Entry, number: int) -> None:
        """An argument cannot be read: the call fails as it does in the kernel, and is logged."""
        decision = Decision(action=Action.DENY, errno=number, reason="an argument is not readable")
        self.note(task, entry.name, decision, {})
        self.refuse(task, info, number)

    def take_slot(self, task: Task, info: SyscallInfo) -> int | None:
        """A slot that the task's memory maps. None: the call is being seen to otherwise.

        It will come again once the slots are mapped, or it was refused.
        """
        space = task.process.space
        abi = self.config.abis[info[1]]
        if not space.verified and not scripts.has_slots(self, task):
            if space.mapper:
                space.waiters.append(task.tid)
                task.again = True
            elif self.listener is None or abi.number_in_instruction:
                self.refuse(task, info, errno.ENOMEM)
            else:
                space.mapper = task.tid
                scripts.begin(self, task, info, scripts.map_slots(self, task, abi))
            return None
        if task.slot is None:
            task.slot = self.arena.take()
            if task.slot is None:
                self.refuse(task, info, errno.EAGAIN)
        return task.slot

    def release_slot(self, task: Task) -> None:
        """The kernel has read what was in the task's slot."""
        if task.slot is not None:
            self.arena.give(task.slot)
            task.slot = None
        if task.area is not None:
            self.arena.give_area(task.area)
            task.area = None

    def wake_waiters(self, space: Space) -> None:
        """Those who waited for the slots look again."""
        space.mapper = 0
        waiters, space.waiters = space.waiters, []
        for tid in waiters:
            task = self.tasks.get(tid)
            if task is not None:
                try:
                    self.at_seccomp(task)
                except (TaskGone, TargetGone):
                    continue

    def redirect(
        self,
        task: Task,
        info: SyscallInfo,
        number: int,
        arguments: Sequence[int],
        at_exit: Continuation,
    ) -> None:
        """Let the kernel carry out another call; `at_exit` is called when it is done."""
        abi = self.config.abis[info[1]]
        task.saved = self.registers.of_call(task.tid, abi, info)
        task.multiplexed = False
        task.at_exit = at_exit
        try:
            self.registers.rewrite(task.tid, info, abi, number, arguments)
        except FrozenArgument:
            anew.begin(self, task, info, number, arguments)
        ptrace.resume_to_syscall(task.tid)

    def restore(self, task: Task, info: SyscallInfo) -> None:
        """At the exit of a redirected call: its result in otherwise the task's own registers."""
        if task.anew is not None and anew.was_interrupted(task):
            self.repeat(task, info)
            return
        self.release_slot(task)
        self.registers.restore(task.tid, self.config.abis[info[1]], task.saved)
        task.saved = b""
        self.resume(task)

    def restore_after(self, task: Task) -> None:
        """The continuation of a call that was redirected and needs no second look."""
        self.restore(task, ptrace.syscall_info(task.tid))

    def repeat(self, task: Task, info: SyscallInfo) -> None:
        """At the exit of a redirected call: the task makes its own call again."""
        self.release_slot(task)
        task.anew = None
        abi = self.config.abis[info[1]]
        self.registers.call_again(task.tid, abi, task.saved)
        task.saved = b""
        task.again = True
        self.resume(task)

    def pass_copied(self, task: Task, info: SyscallInfo, names: Mapping[int, bytes]) -> None:
        """Let the call itself go on, its `names` (by argument) taken from the slot under `copy`."""
        if not self.copies:
            self.proceed(task, info)
            return
        slot = self.take_slot(task, info)
        if slot is None:
            return
        arguments = list(info[5:11])
        base = task.process.space.base
        for place, text in names.items():
            self.arena.write(slot, text + b"\0")
            arguments[place] = base + slot
            slot += SLOT_SIZE // 2
        self.redirect(task, info, info[4], arguments, self.restore_after)

    # ----- ends -----

    def detect(self, reason: str, **fields: object) -> None:
        """Log an interference."""
        self.log.emit(EventKind.DETECTION, reason=reason, **fields)

    def end(self, reason: str, process: Process | None = None, **fields: object) -> None:
        """End the sandbox, or one process of it, for an interference that is logged before.

        Without a better word the call is the one that the tracer was last concerned with.
        """
        try:
            self.detect(reason, **{"action": Action.KILL, "call": self.call, **fields})
        finally:
            self.kill_all() if process is None else self.kill(process)

    def kill(self, process: Process) -> None:
        """End one process."""
        _kill(process.tgid)

    def kill_all(self) -> None:
        """End the sandbox."""
        for tid in (*self.tasks, *self.early):
            _kill(tid)


def _kill(tid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(tid, signal.SIGKILL)
