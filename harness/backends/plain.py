"""The tracer of old: every call of the target stops it, no filter decides anything beside it."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, TRACE, USER_NOTIF, AbiTable, FilterSpec, always
from enforcer.mechanisms.ptrace import Ptrace
from enforcer.mechanisms.ptrace.private import DELIVER, HELLO
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy.ast import Policy


class PlainTracer(Tracer):
    """PTRACE_SYSCALL from the launcher's greeting on."""

    has_filter = False


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
