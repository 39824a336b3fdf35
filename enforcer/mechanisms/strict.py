"""seccomp's first mode: read, write, exit and sigreturn, and every other call kills.

It ends with an execve, so a target has to say itself when it begins (attacks/include/ready.h): a
tracer turns that call into the one that switches it on, and looks on from outside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes, listed
from enforcer.arch import by_audit_arch, native
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import ptrace, seccomp
from enforcer.kernel.execve import find_command
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Missing,
    Options,
    Plan,
    PreparedName,
    Unavailable,
)
from enforcer.mechanisms.frame import told_start
from enforcer.mechanisms.preparing import Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import checked
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import Handshake, execute, log_descriptors, start_supervisor
from enforcer.syscalls import ALIASES, number, table

PERMITTED = frozenset({"read", "write", "exit", "rt_sigreturn", "sigreturn"})
"""mode1_syscalls of kernel/seccomp.c, and of its 32-bit twin."""
READY = 0x4C41_4253
"""The option of prctl(2) by which a target says that it is ready; no kernel knows it."""
NOTE = b"LABORATORY: says when it is ready\0"
"""What a program has in it that will say so."""
PR_SET_SECCOMP, MODE_STRICT = 22, 1
SYSCALL_STOP = signal.SIGTRAP | 0x80
TRACED = ptrace.TRACESYSGOOD | ptrace.TRACEEXIT | ptrace.TRACEEXEC | ptrace.EXITKILL


class Strict:
    """The mechanism."""

    name = PreparedName.STRICT
    needs = Needs(held=False)
    refusals = frozenset[int]()
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """Whoever has seccomp has its first mode."""
        if not seccomp.actions_available():
            return (Missing(feature="seccomp", mend="CONFIG_SECCOMP"),)
        return ()

    def settle(self) -> None:
        """Nothing of it is the machine's."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One policy only, so of most others that much is denied."""
        notes = Notes()
        known = {name for abi in abis for name in table(abi.name)}
        for index, rule in enumerate(policy.rules):
            named = {name for call in rule.calls for name in ALIASES.get(call, (call,))} & known
            kept, others = sorted(named & PERMITTED), sorted(named - PERMITTED)
            if rule.action is Action.PERMIT and others:
                notes.add(index, Extent.PARTIAL, TOO_MUCH_DENIED, f"{listed(others)}: killed")
            if rule.action is not Action.PERMIT and kept:
                extent = Extent.PARTIAL if others else Extent.NONE
                notes.add(index, extent, TOO_MUCH_PERMITTED, f"{listed(kept)} stays permitted")
            if rule.action in (Action.DENY, Action.ASK) and others:
                reason = "the process is killed, nothing is refused"
                notes.add(index, Extent.PARTIAL, TOO_MUCH_DENIED, reason)
        if policy.default is not Action.KILL:
            reason = "whatever no rule names kills, but for four calls"
            notes.add(None, Extent.PARTIAL, TOO_MUCH_DENIED, reason)
        return tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None))

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """There is nothing to be told. Raises Inexpressible."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        data = {"inexpressible": checked(covers, options)}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """The only policy."""
        return f"{', '.join(sorted(PERMITTED))}: permitted; any other call kills\n"

    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Nothing has to be done."""
        return contextlib.nullcontext(plan)

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """No gate: what executes another program cannot be confined already."""
        return ()

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Execute under a tracer that waits until the program is ready."""
        if NOTE not in Path(find_command(command[0])).read_bytes():
            raise Unavailable(f"{Path(command[0]).name} does not say when it is ready")
        told_start(plan, command, log)

        def serve(handshake: Handshake) -> None:
            ptrace.seize(handshake.target, TRACED)
            ptrace.interrupt(handshake.target)
            handshake.ready()
            handshake.close()
            _Looker(handshake.target, log).serve()

        launcher = start_supervisor(
            serve, keep=log_descriptors(log), name="looker", own_session=False
        )
        launcher.wait_ready()
        launcher.close()
        execute(command)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """It is in the log, written by the tracer."""
        return ()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """The log is all there is."""
        return ()


MECHANISM = Strict()


class _Looker:
    """The tracer of one target: switches it on, and tells what the kernel killed for."""

    def __init__(self, target: int, log: EventLog) -> None:
        self._target = target
        self._log = log
        self._asked = False
        self._is_on = False

    def serve(self) -> None:
        """Until the target is gone."""
        with contextlib.suppress(ptrace.TaskGone, ChildProcessError):
            while True:
                _, status = os.waitpid(self._target, ptrace.WALL)
                if not os.WIFSTOPPED(status):
                    break
                self._go_on(self._stopped(status >> 16, os.WSTOPSIG(status)))
        self._log.emit(EventKind.END, decisions=0)

    def _go_on(self, delivered: int) -> None:
        # Once it is on, its calls are the kernel's affair alone.
        if self._is_on:
            ptrace.resume(self._target, delivered)
        else:
            ptrace.resume_to_syscall(self._target, delivered)

    def _stopped(self, event: int, number: int) -> int:
        """The signal that the target is to get."""
        if number == SYSCALL_STOP:
            self._at_call()
            return 0
        if event == ptrace.EVENT_EXIT:
            self._at_exit()
        return 0 if event else number

    def _at_call(self) -> None:
        info = ptrace.syscall_info(self._target)
        op, arch, call, option = info[0], info[1], info[4], info[5]
        abi = native().abis[0]
        if op == ptrace.OP_ENTRY:
            its = arch == abi.audit_arch and call == _number(abi, "prctl")
            if its and option & 0xFFFF_FFFF == READY:
                self._asked = self._switch(abi)
        elif self._asked:
            self._asked = False
            mode = seccomp.status(self._target).mode
            self._is_on = ptrace.exit_result() == 0 and mode == MODE_STRICT
            if self._is_on:
                self._log.emit(
                    EventKind.ENFORCING, mechanism=PreparedName.STRICT, pid=self._target, mode=mode
                )

    def _switch(self, abi: Abi) -> bool:
        """Make of the held prctl the one that switches the mode on; whether it can be made so."""
        content = bytearray(ptrace.registers(self._target))
        layout = abi.layout(len(content))
        if layout.frozen_arguments:
            return False
        word = struct.Struct({4: "=I", 8: "=Q"}[layout.word])
        for offset, value in zip(layout.arguments, (PR_SET_SECCOMP, MODE_STRICT, 0), strict=False):
            word.pack_into(content, offset, value)
        ptrace.set_registers(self._target, content)
        return True

    def _at_exit(self) -> None:
        """Only a call that the mode does not permit dies in itself: nobody else kills there."""
        if not self._is_on or ptrace.event_message(self._target) & 0x7F != signal.SIGKILL:
            return
        call = _call_of(self._target)
        if call and call not in PERMITTED:
            self._log.emit(
                EventKind.DECISION, action=Action.KILL.value, call=call, pid=self._target
            )


def _number(abi: Abi, name: str) -> int:
    found = number(abi.name, name)
    assert found is not None
    return found


def _call_of(tid: int) -> str:
    """The call that a stopped task is in, by its registers and the gate that it came through."""
    content = ptrace.registers(tid)
    layout = native().abis[0].layout(len(content))
    word = struct.Struct({4: "=i", 8: "=q"}[layout.word])
    (made,) = word.unpack_from(content, layout.number)
    for abi in by_audit_arch(ptrace.syscall_info(tid)[1]):
        for name, each in table(abi.name).items():
            if each == made:
                return name
    return "" if made < 0 else f"number {made}"
