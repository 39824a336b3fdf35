"""Calls without handlers of their own: judged by registers, or performed on pinned objects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from errno import EFAULT, EPERM

from enforcer.call import Action, Decision
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.tasks import Script
from enforcer.pin import Judge, finish, prepare
from enforcer.pin.glance import GLANCES, glance
from enforcer.pin.performing import perform_walking
from enforcer.supervision.devices import device_texts
from enforcer.supervision.held import walk_of
from enforcer.supervision.journal import UNREADABLE
from enforcer.supervision.judge import Values
from enforcer.supervision.strings import are_copied, read_once
from enforcer.syscalls import number, syscall
from enforcer.syscalls.arguments import read_texts, signed
from enforcer.syscalls.memory import Memory, ReadOnce, UnreadableMemory
from enforcer.syscalls.model import Kind

WAITING = frozenset({"truncate", "truncate64"})
"""Calls performed that may wait for others: for who holds a lease (break_lease in fs/locks.c)."""

_NOTHING: Values = {}
_NOT_HELD = "its names cannot be held"

_STATUS_FLAGS = {"newfstatat": 3, "fstatat64": 3, "statx": 2}
_DIRECT = {"newfstatat": "fstat", "fstatat64": "fstat64"}


class General:
    """The general handlers."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.paths: dict[tuple[str, str], tuple[int, ...]] = {}

    def by_registers(self, call: HeldCall) -> None:
        """No argument in memory is judged: what was decided stays decided."""
        if self.act.permits(call):
            self.act.proceed(call)

    def performed(self, call: HeldCall) -> None:
        """The tracer does the call itself, on the objects that it judged."""
        act = self.act
        if not call.policy.needs(call.name):
            self.by_registers(call)
            return
        if not act.pins:
            self.unheld(call)
            return
        if call.name in _STATUS_FLAGS and self.status_of_descriptor(call):
            return
        given, known = self.given(call), device_texts(call.name, call.abi, call.args)
        if "string" in call.policy.needs(call.name):
            more, texts = read_once(call, call.name, call.abi, call.args)
            given |= more
            known = {**known, **texts}
        self.answer(call, self.perform(call, self.judge(call, known), given))

    def waited_for(self, call: HeldCall) -> None:
        """A call that may wait for others: judged at once, done by a thread of the listener's.

        target                      tracer                   listener
        truncate("leased"), held    judges
                                    has it make DELIVER
        waits for its answer        serves others            truncates: break_lease waits
        """
        act = self.act
        listener = act.sandbox.listener
        if listener is None or not act.pins or not call.policy.needs(call.name):
            self.performed(call)
            return
        view, tid = call.view, call.tid
        ready = prepare(view, call.abi, call.name, call.args, self.judge(call), self.given(call))
        if isinstance(ready, int):
            self.answer(call, ready)
        elif call.decision is None or act.note(call, call.decision):
            listener.arrange_result(tid, lambda: finish(ready))
            act.inject(call, _delivered())
        else:
            ready.close()

    def judge(self, call: HeldCall, known: Values = _NOTHING) -> Judge:
        """What a call's pinned names are judged by, with what is `known` of it beside them."""

        def judge(names: tuple[str, ...], missing: int) -> int:
            values = {**known, "filename": names} if known else {"filename": names}
            return self.act.judge_names(call, values, missing)

        return judge

    def answer(self, call: HeldCall, result: int) -> None:
        """End a call that was carried out, or judged and not carried out."""
        act = self.act
        if result == -EFAULT and call.decision is None:
            act.refuse(call, EFAULT, UNREADABLE)
        elif call.decision is None or act.note(call, call.decision):
            act.cancel(call, result)

    def glanced(self, name: str) -> Handler:
        """The handler of a call that mostly needs no more than a glance."""
        how = GLANCES[name]
        place = how.name
        decide, note, cancel = self.act.decide, self.act.note, self.act.cancel

        def handle(call: HeldCall) -> None:
            if not self.act.pins or call.abi != NATIVE_ABI or not call.policy.needs(name):
                self.performed(call)
                return
            try:
                text = call.read_string(call.args[place])
            except UnreadableMemory:
                self.performed(call)
                return

            def refusal(canonical: bytes) -> int:
                return decide(call, {"filename": (os.fsdecode(canonical),)}).refusal

            result = glance(how, call.task.view, call.args, text, refusal)
            if result is None:
                self.performed(call)
            elif call.decision is None or note(call, call.decision):
                cancel(call, result)

        return handle

    def given(self, call: HeldCall) -> dict[int, bytes]:
        """The names of a call by register, as far as they can be read.

        What cannot is for `perform` to tell, because the kernel looks at most flags before names.
        """
        paths = self.paths.get((call.abi, call.name))
        if paths is None:
            arguments = syscall(call.name, call.abi).arguments
            paths = tuple(each.index for each in arguments if each.kind is Kind.PATH)
            self.paths[call.abi, call.name] = paths
        args = call.args
        found: dict[int, bytes] = {}
        for place in paths:
            if args[place]:
                with suppress(UnreadableMemory):
                    found[place] = call.read_string(args[place])
        return found

    def perform(self, call: HeldCall, judge: Judge, given: Mapping[int, bytes]) -> int:
        """The act itself, for which a glance was not enough. Raises TargetGone."""
        return perform_walking(call.view, call.abi, call.name, call.args, judge, given)

    def status_of_descriptor(self, call: HeldCall) -> bool:
        """newfstatat and statx of an empty name: the C library's fstat, and judged as that.

        False: the call names a file after all.
        """
        act, args = self.act, call.args
        if not args[_STATUS_FLAGS[call.name]] & AT_EMPTY_PATH or signed(args[0]) < 0:
            return False
        try:
            if args[1] and call.read_bytes(args[1], 1) != b"\0":
                return False
        except UnreadableMemory:
            return False
        if act.settle(call, act.decide(call, name="fstat")):
            empty = act.copies and act.pass_by_way(
                call, call.number, lambda place: (args[0], place, args[2], args[3]), b"\0"
            )
            if empty:
                return True
            if call.name == "statx":
                act.pass_copied(call, {1: b""} if args[1] else {})
            else:
                direct = number(call.abi, _DIRECT[call.name]) or call.number
                act.redirect(call, direct, (args[0], args[2]), act.restore_after)
        return True

    def unheld(self, call: HeldCall) -> None:
        """A call on names that the tracer cannot do for its caller, or is told not to pin.

        With `pin` on it is permitted only where the rules for it look at no name: its walk
        cannot be held to what was judged. Without, the copied text (`copy`) or nothing is held.
        """
        act = self.act
        needs = call.policy.needs(call.name)
        if not needs:
            self.by_registers(call)
            return
        memory = ReadOnce(call)
        is_held = not act.pins or are_copied(call.name, needs)
        try:
            names = self.strings(memory, call, has_names="filename" in needs)
        except UnreadableMemory as error:
            if is_held:
                act.refuse(call, error.errno, UNREADABLE)
            else:
                act.refuse(call, EPERM, _NOT_HELD)
            return
        walk = walk_of(call.view)
        texts, missing = read_texts(memory, walk, call.name, call.abi, call.args)
        decision = act.decide(call, texts, missing)
        if not is_held and (decision.action is Action.PERMIT or None in texts.get("filename", ())):
            decision = Decision(action=Action.DENY, errno=EPERM, reason=_NOT_HELD)
        if act.settle(call, decision):
            act.pass_copied(call, names)

    @staticmethod
    def strings(memory: Memory, call: HeldCall, *, has_names: bool) -> dict[int, bytes]:
        """The names, if any counts, and texts as they stand in memory, by register.

        Raises UnreadableMemory.
        """
        found: dict[int, bytes] = {}
        for argument in syscall(call.name, call.abi).arguments:
            address = call.args[argument.index]
            may_be_null = argument.null or argument.nullable
            is_name = has_names and argument.kind is Kind.PATH and (address or not may_be_null)
            is_text = argument.kind is Kind.STRING and address and argument.length is None
            if is_name or is_text:
                found[argument.index] = memory.read_string(address)
        return found


def _delivered() -> Script:
    return (yield DELIVER, ())
