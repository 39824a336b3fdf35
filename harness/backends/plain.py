"""The tracer of old: every call of the target stops it, no filter decides anything beside it."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, TRACE, USER_NOTIF, AbiTable, FilterSpec, always
from enforcer.events import EventLog
from enforcer.mechanisms.ptrace import Ptrace
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.calls.processes import Processes
from enforcer.mechanisms.ptrace.calls.protection import Protection
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.private import DELIVER, HELLO
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy.ast import Policy
from harness.backends.handlers import exchanged


class PlainTracer(Tracer):
    """PTRACE_SYSCALL from the launcher's greeting on; calls at the tracer are as any others."""

    has_filter = False

    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        general = General(self.act)
        others = Processes(self.act, general).handlers()
        aimed = Protection(self.act, general, others).handlers()
        unaimed = {name: others.get(name, general.by_registers) for name in aimed}
        self.dispatch = exchanged(self.dispatch, unaimed)


class PlainPtrace(Ptrace):
    """Nothing protects the tracer but what ptrace itself offers."""

    make_tracer = PlainTracer
    protects = False

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """A filter that permits everything; it serves the greeting and the tracer's listener."""
        own = {
            HELLO: always(TRACE(), "the launcher's greeting"),
            DELIVER: always(USER_NOTIF, "a descriptor for a held call"),
        }
        tables = tuple(AbiTable(abi, own, unknown=ALLOW) for abi in abis)
        return FilterSpec(tables, foreign=ALLOW)
