"""Which calls a supervisor can make for a target with other ids, and what a policy asks of that.

Whoever carries such a call out first tries it with each elevation that a rule for it names: the
judge permits there only what that rule permits. What no such rule permits is then judged again, and
done with the caller's own ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from enforcer.kernel.credentials import CAP_SETGID, CAP_SETUID
from enforcer.pin import performs
from enforcer.pin.view import own_identity
from enforcer.policy.ast import Policy, Rule
from enforcer.syscalls import ALIASES

OPENS = frozenset({"open", "openat", "openat2", "creat"})
REACHES = frozenset({"bind", "connect"})

NOT_WITH_OTHERS_IDS = "permitted with other ids only, which cannot be taken on for this caller"
NOT_PERMITTED_SO = "not permitted with these ids"


def can_elevate(call: str) -> bool:
    """Whether a supervisor can make the call for its target, so with other ids too."""
    return call in OPENS or call in REACHES or performs(call)


def own_ids_only(rule: Rule) -> str:
    """Why a rule's elevation cannot be given, with its place; empty where it can."""
    if rule.elevation is None:
        return ""
    members = {each for name in rule.calls for each in ALIASES.get(name, {name})}
    alone = sorted(each for each in members if not can_elevate(each))
    if not alone:
        return ""
    shown = ", ".join(alone[:3]) + (f" and {len(alone) - 3} more" if len(alone) > 3 else "")
    where = f"{rule.place}: " if rule.place else ""
    return (
        f"{where}as {rule.elevation}: nobody can make this call for the target, "
        f"which makes it with its own ids: {shown}"
    )


def lacking_ids(policies: Iterable[Policy]) -> str:
    """Why this process cannot act as some rule says; empty where it can, or none says so."""
    for policy in policies:
        for rule in policy.rules:
            if rule.elevation is None:
                continue
            wanted = 1 << CAP_SETUID if rule.elevation.uid is not None else 0
            wanted |= 1 << CAP_SETGID if rule.elevation.gid is not None else 0
            if wanted & ~own_identity().effective:
                where = f"{rule.place}: " if rule.place else ""
                return f"{where}as {rule.elevation} takes a supervisor of root's"
    return ""
