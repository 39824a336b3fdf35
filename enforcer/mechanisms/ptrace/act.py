"""What the tracer does with a held call: decide, let it go on, change it, cancel it.

Handlers take a held call and this, nothing more. Leaky backends override single methods.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from enforcer.call import Action, Decision
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace import injected, repeated
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.private import NO_CALL
from enforcer.mechanisms.ptrace.registers import NARROW, FrozenArgument
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.slots import SLOT_SIZE, SMALL_SLOT_SIZE
from enforcer.mechanisms.ptrace.tasks import Continuation, Script, Task
from enforcer.mechanisms.ptrace.trampoline import FRAME, HOW_OFFSET, NAME_ROOM, WAYS
from enforcer.pin.places import UNPLACED
from enforcer.supervision.addresses import early_refusal
from enforcer.supervision.desk import given_answer
from enforcer.supervision.elevation import NOT_PERMITTED_SO, NOT_WITH_OTHERS_IDS
from enforcer.supervision.journal import UNREADABLE, refusal
from enforcer.supervision.judge import Values
from enforcer.syscalls.arguments import signed
from enforcer.syscalls.memory import Refused, UnreadableMemory

_NOTHING: Values = {}
WayArguments = tuple[int, int, int, int]


class Act:
    """The acts of one tracer."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.abis = sandbox.abis
        self.arena = sandbox.arena
        self.registers = sandbox.registers
        self.copies = sandbox.copies
        self.pins = sandbox.pins
        self.verifies = sandbox.verifies

    # ----- deciding -----

    def decide(
        self, call: HeldCall, values: Values = _NOTHING, missing: int = 0, name: str = ""
    ) -> Decision:
        """The answer of the task's policy to the call (or to another `name`) with these texts."""
        self.sandbox.decisions += 1
        policy = call.policy
        uid = gid = 0
        if policy.has_predicates:
            identity = call.task.view.standing().identity
            uid, gid = identity.uids[1], identity.gids[1]
        call.values = values
        judged = name or call.name
        decision = policy.decide(judged, call.args, values, uid, gid, missing, call.abi)
        if not decision.is_plain or call.elevation is not None:
            decision = self._as_granted(call, judged, decision)
        call.decision = decision
        return decision

    @staticmethod
    def _as_granted(call: HeldCall, name: str, decision: Decision) -> Decision:
        """The same, held against the ids that the call is tried with, and against given answers."""
        granted = decision.elevation if decision.action is Action.PERMIT else None
        if granted != call.elevation:
            tried = call.elevation is not None
            decision = refusal(errno.EPERM, NOT_PERMITTED_SO if tried else NOT_WITH_OTHERS_IDS)
        if decision.action is Action.ASK and call.task.granted:
            decision = given_answer(call.task.granted, name, call.values, decision)
        return decision

    def knows(self, call: HeldCall, name: bytes) -> bool:
        """Whether the call is surely permitted by this canonical name, or address."""
        if call.elevation is not None or name not in call.policy.known[call.name]:
            return False
        self.sandbox.decisions += 1
        return True

    def note(self, call: HeldCall, decision: Decision) -> bool:
        """Log what is to be logged; False when the process was killed, or the task waits now."""
        if decision.is_plain:
            return True
        if decision.action is Action.ASK and self.sandbox.waiting.ask(call, decision):
            return False
        if decision.action is not Action.PERMIT or decision.log:
            process, told = call.task.process, (decision, call.values)
            # A call that the tracer has sent round again, to map its slots, was told of before.
            if told not in call.task.told:
                call.task.told.append(told)
                self.sandbox.journal.decided(call, process.policy.policy, decision, call.values)
            if decision.action is Action.KILL:
                self.sandbox.kill(process.tgid)
                return False
        return True

    def settle(self, call: HeldCall, decision: Decision) -> bool:
        """Log and carry out a refusal; True when the call is permitted and still to be done."""
        if not self.note(call, decision):
            return False
        if decision.action is Action.PERMIT:
            return True
        self.fail(call, decision.refusal)
        return False

    def permits(self, call: HeldCall, values: Values = _NOTHING, missing: int = 0) -> bool:
        """Decide and settle."""
        return self.settle(call, self.decide(call, values, missing))

    def judge_names(self, call: HeldCall, values: Values, missing: int = 0) -> int:
        """The errno of the policy's answer to what pinned names are; without any it is refused."""
        if not values.get("filename"):
            call.decision = refusal(errno.EACCES, UNPLACED)
            return errno.EACCES
        return self.decide(call, values, missing).refusal

    def refuse(self, call: HeldCall, number: int, reason: str) -> None:
        """The mechanism itself refuses the call, and says so."""
        self.settle(call, refusal(number, reason))

    # ----- answering -----

    def proceed(self, call: HeldCall) -> None:
        """Let the call go on with the arguments that were judged, all of them in registers."""
        if call.is_multiplexed:
            self.redirect(call, call.number, call.args, self.restore_after)
        else:
            self.sandbox.resume(call.task)

    def cancel(self, call: HeldCall, result: int) -> None:
        """The call is not carried out; the task goes on with `result` (or -errno)."""
        task = call.task
        task.retry = 0
        abi = self.abis[call.arch]
        if abi.layouts[0].result_waits:
            self.answer_at_exit(call, result)
            return
        self.registers.cancel(task.tid, abi, result)
        self.sandbox.resume(task)

    def fail(self, call: HeldCall, number: int) -> None:
        """The call is not carried out and fails with errno `number`."""
        self.cancel(call, -number)

    def fail_early(self, call: HeldCall, error: UnreadableMemory | Refused) -> None:
        """A socket call's address is wrong, unless its descriptor was wrong before that."""
        wrong = early_refusal(call.name, signed(call.args[0]), call.view.duplicate)
        if wrong:
            self.fail(call, wrong)
        elif isinstance(error, Refused):
            self.fail(call, error.number)
        else:
            self.refuse(call, error.errno, UNREADABLE)

    def answer_at_exit(self, call: HeldCall, result: int) -> None:
        """End the call with `result`, its number put back at its exit."""

        def answered(task: Task) -> None:
            self.sandbox.release_slot(task)
            saved, task.saved = task.saved, b""
            self.registers.restore(task.tid, self.abis[call.arch], saved, result)
            self.sandbox.resume(task)

        self.redirect(call, NO_CALL, (), answered)

    # ----- changing -----

    def inject(self, call: HeldCall, script: Script) -> None:
        """Let the task make other calls instead of its own, for now."""
        injected.begin(self.sandbox, call.task, call.info, script)

    def take_slot(self, call: HeldCall, size: int = SLOT_SIZE) -> int | None:
        """A slot of `size` bytes that the task's memory maps. None: the call is seen to otherwise.

        What is small goes where the task has its names in opens, so that hundreds of calls may
        block at once (connect). It will come again once the slots are mapped, or it was refused. A
        clone3 is refused as if the kernel had none (ENOSYS): C libraries go back to clone then.
        """
        sandbox, task = self.sandbox, call.task
        space = task.process.space
        if not space.verified and not injected.has_slots(sandbox, task):
            abi = self.abis[call.arch]
            lacking = errno.ENOSYS if call.name == "clone3" else errno.ENOMEM
            if space.mapper:  # another thread of this memory is about to: one mapping serves all
                space.waiters.append(task.tid)
                task.again = True
            elif sandbox.listener is None or abi.number_in_instruction:
                self.refuse(call, lacking, "no memory for a copy of its arguments")
            else:
                space.mapper = task.tid
                self.inject(call, injected.map_slots(sandbox, task, abi, lacking))
            return None
        if self.abis[call.arch].bits == NARROW and space.base >> NARROW:
            self.refuse(call, errno.ENOMEM, "the copies are where its pointers cannot point")
            return None
        if size <= SMALL_SLOT_SIZE:
            if task.small is None:
                task.small = self.arena.take_small()
            if task.small is not None:
                return task.small
        if task.slot is None:
            task.slot = self.arena.take()
            if task.slot is None:
                self.refuse(call, errno.EAGAIN, "too many calls are held at once")
        return task.slot

    def redirect(
        self, call: HeldCall, number: int, arguments: Sequence[int], at_exit: Continuation
    ) -> None:
        """Let the kernel carry out another call; `at_exit` is called when it is done."""
        task, info = call.task, call.info
        abi = self.abis[info[1]]
        task.saved = self.registers.of_call(task.tid, abi, info)
        task.at_exit = at_exit
        try:
            self.registers.rewrite(task.tid, info, abi, number, arguments)
        except FrozenArgument:
            repeated.begin(self.sandbox, task, info, number, arguments)
        ptrace.resume_to_syscall(task.tid)

    def restore(self, task: Task, info: SyscallInfo) -> None:
        """At the exit of a redirected call: its result in otherwise the task's own registers."""
        if task.anew is not None and repeated.was_interrupted(task):
            self.repeat(task, info)
            return
        self.sandbox.release_slot(task)
        self.registers.restore(task.tid, self.abis[info[1]], task.saved)
        task.saved = b""
        self.sandbox.resume(task)

    def restore_after(self, task: Task) -> None:
        """The continuation of a call that was redirected and needs no second look."""
        self.restore(task, ptrace.syscall_info(task.tid))

    def repeat(self, task: Task, info: SyscallInfo) -> None:
        """At the exit of a redirected call: the task makes its own call again."""
        self.sandbox.release_slot(task)
        task.anew = None
        self.registers.call_again(task.tid, self.abis[info[1]], task.saved)
        task.saved = b""
        task.again = True
        self.sandbox.resume(task)

    def pass_by_way(
        self,
        call: HeldCall,
        number: int,
        arguments: Callable[[int], WayArguments],
        data: bytes = b"",
        *,
        how: tuple[int, int, int] = (0, 0, 0),
        relative: bool = False,
    ) -> bool:
        """Let the kernel carry another call out, without a stop at its exit (see trampoline.py).

        `arguments` are the first four, given the address of the slot with `data` in it, which is
        the second of them: by it the way finds the task's own, which it gives back. `how` stands at
        HOW_OFFSET. After ELOOP, or if `relative` what an absolute name alone may fail with, the
        call comes here once more, with `retry` counted up. False: nothing was done, there is no way
        here.
        """
        task, info = call.task, call.info
        space = task.process.space
        abi = self.abis[info[1]]
        way = WAYS.get(abi.name)
        is_open = way is not None and space.has_way and space.verified
        if way is None or not is_open or call.is_multiplexed or len(data) > NAME_ROOM:
            return False
        slot = task.small
        if slot is None:
            slot = task.small = self.arena.take_small()
            if slot is None:
                return False
        memory = self.arena.memory
        memory[slot : slot + len(data)] = data
        _, _, pointer, _, _, a, b, c, d, e, f, _ = info
        FRAME.pack_into(memory, slot + HOW_OFFSET, *how, a, c, d, pointer, b)
        task.away = info
        changed = (*arguments(space.base + slot), e, f)
        after = space.base + (way.relative if relative else way.absolute)
        self.registers.send(task.tid, info, abi, number, changed, after)
        self.sandbox.resume(task)
        return True

    def pass_copied(self, call: HeldCall, texts: Mapping[int, bytes]) -> None:
        """Let the call itself go on, its names (by argument) taken from the slot under `copy`."""
        copies = {place: text + b"\0" for place, text in texts.items()}
        self.pass_changed(call, copies)

    def pass_changed(
        self,
        call: HeldCall,
        copies: Mapping[int, bytes],
        at_exit: Continuation | None = None,
        *,
        registers: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """Let the call itself go on; under `copy` these arguments point to our bytes.

        Two copies at most, each of SLOT_SIZE / 2 bytes. `registers` go with them (lengths).
        """
        if not self.copies:
            self.proceed(call)
            return
        size = len(next(iter(copies.values()))) if len(copies) == 1 else SLOT_SIZE
        slot = self.take_slot(call, size)
        if slot is None:
            return
        arguments = list(call.args)
        for place, value in registers.items():
            arguments[place] = value
        base = call.task.process.space.base
        for place, data in copies.items():
            self.arena.write(slot, data)
            arguments[place] = base + slot
            slot += SLOT_SIZE // 2
        self.redirect(call, call.number, arguments, at_exit or self.restore_after)
