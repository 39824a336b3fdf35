"""How far the tracer enforces a policy."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.pin import performs
from enforcer.policy.ast import Policy, Rule
from enforcer.policy.decider import Decider
from enforcer.policy.order import judged_rules
from enforcer.policy.translators import known_syscall
from enforcer.supervision.elevation import own_ids_only
from enforcer.supervision.strings import are_copied
from enforcer.syscalls import table

_HELD = frozenset(
    {
        "bind",
        "chdir",
        "chroot",
        "clone3",
        "connect",
        "creat",
        "execve",
        "execveat",
        "ipc",
        "open",
        "openat",
        "openat2",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "socketcall",
    }
)
"""Calls whose memory is held to what was judged by handlers of their own."""

_NAMED = 3


def can_hold(name: str, needs: frozenset[str]) -> bool:
    """Whether a call judged by these texts is made as it was judged."""
    return name in _HELD or performs(name) or are_copied(name, needs)


def cover_by_tracer(policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
    """One Cover a rule and one for the default."""
    decider = Decider(policy)
    refused: list[list[str]] = [[] for _ in policy.rules]
    looking: set[int] = set()
    for name in sorted({name for abi in abis for name in table(abi.name)}):
        model = known_syscall(name)
        if model is None or not decider.needs(name):
            continue
        looking |= {judged.index for judged in judged_rules(policy, model)}
        if can_hold(name, decider.needs(name)):
            continue
        for judged in judged_rules(policy, model):
            if judged.rule.action is Action.PERMIT:
                refused[judged.index].append(name)
    fixed = [abi.name for abi in abis if abi.number_in_instruction]
    covers = [
        _cover_without_slots(index, fixed)
        if fixed and index in looking
        else _cover(index, rule, refused[index])
        for index, rule in enumerate(policy.rules)
    ]
    return (*covers, Cover(rule=None, extent=Extent.FULL, reason=_note(policy.default)))


def _cover_without_slots(index: int, fixed: Sequence[str]) -> Cover:
    reason = f"on {fixed[0]} a task cannot be made to map the memory of its judged arguments"
    return Cover(
        rule=index, extent=Extent.NONE, reason=reason, errs="denies too much", elsewhere=True
    )


def _cover(index: int, rule: Rule, refused: Sequence[str]) -> Cover:
    reason = own_ids_only(rule)
    if reason:
        return Cover(rule=index, extent=Extent.NONE, reason=reason, errs="denies too much")
    reason = f"refused, because their names cannot be held: {_listed(refused)}" if refused else ""
    return Cover(rule=index, extent=Extent.FULL, reason=reason or _note(rule.action))


def _note(action: Action) -> str:
    return "nobody is asked: denied" if action is Action.ASK else ""


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
