"""The filter of the mechanism: what goes to the supervisor beside what the policy defers.

Calls that the policy permits by registers alone are held all the same where the supervisor must
know of them: its own protection, and changes of what it takes as given about its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import (
    USER_NOTIF,
    FilterSpec,
    SpecClause,
    always,
)
from enforcer.condition import LOW_HALF, TRUE, Any, Compare, Condition, Operator
from enforcer.mechanisms.filter_spec import spec_from_policies, supervised, supervised_answer
from enforcer.pin.places import MOUNTING
from enforcer.policy.ast import Policy
from enforcer.supervision import cores
from enforcer.supervision.greeting import GREETING
from enforcer.supervision.protect import MEDIATED, mediate
from enforcer.syscalls import name as name_of
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Kind

HELLO = GREETING
"""The launcher's first call under the filter, answered by the supervisor."""

EXECUTIONS = frozenset({"execve", "execveat"})
"""Held whatever the policy says: the launcher's own execution is not the target's."""

UMASK = "umask"
"""The only call by which a target gets another umask than it was born with."""

_CLONE_NEW = 0x0002_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x4000_0000
"""CLONE_NEWNS, NEWUTS, NEWIPC, NEWUSER and NEWNET."""

_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28


def _has_bits(register: int, bits: int) -> Condition:
    return Any(
        tuple(
            Compare(register, Operator.NE, 0, bit)
            for bit in (1 << i for i in range(32))
            if bits & bit
        )
    )


def root_changes(abi: str) -> Mapping[str, Condition]:
    """Calls by which a target gets another root, or other namespaces, than its supervisor."""
    flags = next(each for each in syscall("clone", abi).arguments if each.kind is Kind.FLAGS)
    return {
        "chroot": TRUE,
        **dict.fromkeys(MOUNTING, TRUE),
        "setns": TRUE,
        "unshare": _has_bits(0, _CLONE_NEW),
        "clone": _has_bits(flags.index, _CLONE_NEW),
    }


_IDS = ("uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid", "groups")
CREDENTIAL_CHANGES: Mapping[str, Condition] = {
    **{f"set{ids}{bits}": TRUE for ids in _IDS for bits in ("", "32")},
    "capset": TRUE,
    "landlock_restrict_self": TRUE,
    "prctl": Any(
        (
            Compare(0, Operator.EQ, _PR_CAPBSET_DROP, LOW_HALF),
            Compare(0, Operator.EQ, _PR_SET_SECUREBITS, LOW_HALF),
        )
    ),
}
"""Calls by which a target gets other credentials than its supervisor."""


def build_filter(policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
    """The filter under which targets of `policies` run; the first ABI is the launcher's own.

    clone3 hides its flags in memory, where no supervisor can hold them fast: the supervisor answers
    it with ENOSYS, and says so, upon which the C library makes do with clone.
    """
    spec = spec_from_policies(policies, abis, defer=USER_NOTIF, answer=supervised_answer)
    spec = supervised(spec, USER_NOTIF)
    watched = {**MEDIATED, **CREDENTIAL_CHANGES, **cores.watched(policies), UMASK: TRUE}
    spec = mediate(spec, watched, USER_NOTIF)
    tables = [
        mediate(FilterSpec((table,), spec.foreign), root_changes(table.abi.name), USER_NOTIF).tables
        for table in spec.tables
    ]
    spec = replace(spec, tables=tuple(table for (table,) in tables))
    for name in (*EXECUTIONS, "clone3"):
        spec = _rewritten(spec, name, lambda _: always(USER_NOTIF, "held by the supervisor"))
    launcher = spec.tables[0]
    greeted = replace(launcher, calls={**launcher.calls, HELLO: always(USER_NOTIF, "greeting")})
    return replace(spec, tables=(greeted, *spec.tables[1:]))


def _rewritten(
    spec: FilterSpec,
    call: str,
    rewrite: Callable[[tuple[SpecClause, ...]], tuple[SpecClause, ...]],
) -> FilterSpec:
    tables = []
    for table in spec.tables:
        calls = {
            nr: rewrite(clauses) if name_of(table.abi.name, nr) == call else clauses
            for nr, clauses in table.calls.items()
        }
        tables.append(replace(table, calls=calls))
    return replace(spec, tables=tuple(tables))
