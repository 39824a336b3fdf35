"""A tracer that hands the kernel its own copy of a name, in the target's own stack (TORTTOU)."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.supervision.memory import UnreadableMemory, write_bytes
from harness.backends.weak import Leaky

BELOW_RED_ZONE = 256
STACK_POINTER = 3


class _ToStack(Act):
    def pass_copied(self, call: HeldCall, texts: Mapping[int, bytes]) -> None:
        """The copies lie below the stack pointer, where the target can write."""
        arguments = list(call.args)
        place = call.info[STACK_POINTER] - BELOW_RED_ZONE
        try:
            for argument, text in texts.items():
                place -= len(text) + 1
                write_bytes(call.tid, place, text + b"\0")
                arguments[argument] = place
        except UnreadableMemory as error:
            self.fail(call, error.errno)
            return
        self.redirect(call, call.number, arguments, self.restore_after)


class _CopiesToStack(Tracer):
    make_act = _ToStack


class _Ptrace(Ptrace):
    make_tracer = _CopiesToStack


BACKEND = Leaky(
    name="leaky-ptrace-stack-copy",
    weakness="keeps its copy of the name in memory that the target can write",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
    options=Options(defences=frozenset({Defence.COPY})),
)
