"""A tracer that looks at calls when they return, and takes their results away (agentsh, Tetragon).

Mbox (USENIX ATC 2013, section 4.2.1) checked at the exit as well.
"""

from __future__ import annotations

from enforcer.call import Action, Decision
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.weak import Leaky


class _AfterTheFact(Act):
    def settle(self, call: HeldCall, decision: Decision) -> bool:
        """What a rule denies is carried out, and its result replaced by the errno."""
        if decision.rule is None or decision.action is not Action.DENY:
            return super().settle(call, decision)
        self.note(call, decision)

        def returned(task: Task) -> None:
            saved, task.saved = task.saved, b""
            abi = self.abis[call.arch]
            self.registers.restore(task.tid, abi, saved, -decision.refusal)
            self.sandbox.resume(task)

        self.redirect(call, call.number, call.args, returned)
        return False


class _Tracer(Tracer):
    make_act = _AfterTheFact


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-late",
    weakness="denies a call when the kernel has carried it out",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
    options=Options(defences=frozenset()),
)
