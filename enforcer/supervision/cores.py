"""Core dumps: what the kernel writes for a target, by no call that rules could judge.

A dump goes to a name that the system chooses, in whatever directory the target is in, or to a
program (core_pattern, core(5)). So targets may dump nothing, unless a rule speaks of the limit.
"""

from __future__ import annotations

import errno
import resource
import struct
from collections.abc import Mapping, Sequence

from enforcer.call import Action
from enforcer.condition import (
    LOW_HALF,
    All,
    Any,
    Compare,
    Condition,
    Not,
    Operator,
    holds,
)
from enforcer.policy.ast import Policy
from enforcer.policy.residual import residual
from enforcer.supervision.held import HeldCall
from enforcer.supervision.protect import MEDIATED

MOST_BYTES = 1
"""The limit. With 0 the kernel still dumps to a program; 1 says that the dump of a dump handler is
meant, which it refuses, and no file is begun below a page (do_coredump, fs/coredump.c).
"""

LIMITED = "core dumps are written by nobody who could be judged"
"""The reason of a refusal to raise the limit."""

_RESOURCE: Mapping[str, int] = {"setrlimit": 0, "prlimit64": 1}
_NEW, _OLD = 2, 3
_PAIR = struct.Struct("=QQ")

CHANGES: Mapping[str, Condition] = {
    "setrlimit": Compare(0, Operator.EQ, resource.RLIMIT_CORE, LOW_HALF),
    "prlimit64": All(
        (
            Compare(1, Operator.EQ, resource.RLIMIT_CORE, LOW_HALF),
            Compare(_NEW, Operator.NE, 0),
        )
    ),
}
"""Calls that set the limit, and when."""


def watched(policies: Sequence[Policy]) -> Mapping[str, Condition]:
    """What the supervisor must look at for it, beside what else it looks at of these calls."""
    if permits_cores(policies):
        return {}
    both = Any((MEDIATED["prlimit64"], CHANGES["prlimit64"]))
    return {"setrlimit": CHANGES["setrlimit"], "prlimit64": both}


def permits_cores(policies: Sequence[Policy]) -> bool:
    """Whether each policy has a rule that permits to set the limit of core dumps by its number."""
    return all(any(_permits(policy, name) for name in CHANGES) for policy in policies)


def _permits(policy: Policy, name: str) -> bool:
    args = [0] * 6
    args[_RESOURCE[name]] = resource.RLIMIT_CORE
    args[_NEW] = 1
    for clause in residual(policy, name):
        if clause.decision is not None and holds(clause.when, args):
            is_permit = clause.decision.action is Action.PERMIT
            return is_permit and _looks_at(clause.when, _RESOURCE[name])
    return False


def _looks_at(condition: Condition, argument: int) -> bool:
    match condition:
        case Compare():
            return condition.argument == argument
        case All(members) | Any(members):
            return any(_looks_at(member, argument) for member in members)
        case Not(member):
            return _looks_at(member, argument)


def forbid_cores() -> None:
    """Set the limit for the caller and what it executes."""
    _, hardest = resource.getrlimit(resource.RLIMIT_CORE)
    most = MOST_BYTES if hardest == resource.RLIM_INFINITY else min(hardest, MOST_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def change(call: HeldCall, pointer_size: int) -> int:
    """A held call of CHANGES as if the limit could not be raised by anybody: 0 or an errno.

    A limit of 0 is granted in words: what was forbidden stays so. Raises UnreadableMemory.
    """
    long = struct.Struct("=QQ" if call.name == "prlimit64" or pointer_size == 8 else "=II")
    place = call.args[_NEW if call.name == "prlimit64" else 1]
    soft, hard = long.unpack(call.read_bytes(place, long.size))
    if soft > hard:
        return errno.EINVAL
    if hard > MOST_BYTES:
        return errno.EPERM
    if call.name == "prlimit64" and call.args[_OLD]:
        call.view.write_bytes(call.args[_OLD], _PAIR.pack(MOST_BYTES, MOST_BYTES))
    return 0
