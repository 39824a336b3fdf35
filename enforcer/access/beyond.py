"""What a policy says of calls that an enforcer has no say in, or answers otherwise."""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence

from enforcer.access.notes import OTHER_ERRNO, TOO_MUCH_PERMITTED, Notes, listed
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Extent
from enforcer.policy.ast import Policy, Rule
from enforcer.syscalls import ALIASES, table


def note_beyond(
    policy: Policy,
    abis: Sequence[Abi],
    mediated: Collection[str],
    notes: Notes,
    *,
    refusals: Collection[int],
    exact: Collection[str] = (),
) -> None:
    """Note what each denying rule says of calls that are not `mediated`, and where refusals are
    other errnos than its own; those of the calls `exact` are the rule's.
    """
    known = {name for abi in abis for name in table(abi.name)}
    for index, rule in enumerate(policy.rules):
        if rule.action is Action.PERMIT:
            continue
        named = {name for call in rule.calls for name in ALIASES.get(call, (call,))} & known
        beyond = sorted(named.difference(mediated))
        within = named.intersection(mediated)
        if beyond:
            extent = Extent.PARTIAL if within else Extent.NONE
            notes.add(index, extent, TOO_MUCH_PERMITTED, f"no say in {listed(beyond)}")
        if rule.action is Action.KILL and within:
            reason = "the call is denied, the process not killed"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        elif within.difference(exact) and refusals and set(refusals) != {rule.errno}:
            note_errno(index, rule, refusals, notes)


def note_errno(index: int, rule: Rule, found: Collection[int], notes: Notes) -> None:
    """Note that refusals of a rule may be other errnos than its own."""
    others = sorted({*found} - {rule.errno})
    names = " or ".join(errno.errorcode.get(each, str(each)) for each in others)
    wanted = errno.errorcode.get(rule.errno, str(rule.errno))
    notes.add(index, Extent.PARTIAL, OTHER_ERRNO, f"refusals may be {names}, not {wanted}")
