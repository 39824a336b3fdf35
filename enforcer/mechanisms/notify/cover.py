"""How far a supervisor that acts for its targets enforces a policy."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.call import Action, Transition
from enforcer.mechanisms.contract import Cover, Extent, Options
from enforcer.mechanisms.notify.calls import is_acted_on, is_unbound
from enforcer.policy.ast import Policy, Rule
from enforcer.policy.decider import Decider
from enforcer.policy.order import judged_rules
from enforcer.policy.translators import known_syscall
from enforcer.supervision.elevation import own_ids_only
from enforcer.syscalls import table

TOO_MUCH_PERMITTED = "permits too much"
TOO_MUCH_DENIED = "denies too much"
_NAMED = 3


def cover_by_supervisor(policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
    """One Cover a rule and one for the default.

    A call that nobody can do for its caller (execve, chdir, mount) cannot be bound to the copy that
    was judged: rules that need its memory are not enforced. The same call reached through an alias
    is refused, which is noted.
    """
    decider = Decider(policy)
    unbound: list[list[str]] = [[] for _ in policy.rules]
    refused: list[list[str]] = [[] for _ in policy.rules]
    for name in sorted({name for abi in abis for name in table(abi.name)}):
        model = known_syscall(name)
        if model is None or not decider.needs(name) or is_acted_on(name, decider.needs(name)):
            continue
        found = unbound if is_unbound(policy, name) else refused
        for judged in judged_rules(policy, model):
            found[judged.index].append(name)
    covers = [
        _cover(index, rule, unbound[index], refused[index])
        for index, rule in enumerate(policy.rules)
    ]
    return (*covers, Cover(rule=None, extent=Extent.FULL, reason=_note(policy.default)))


def cover_of_switching(policies: Sequence[Policy], options: Options) -> tuple[Cover, ...]:
    """What is lost because the supervisor does not see which image an execve brings.

    The policy of the command holds for all that it executes, which is nothing less than what was
    asked for where policies are inherited, and may permit too much or deny too much elsewhere.
    """
    if options.inherit or all(policy == policies[0] for policy in policies):
        return ()
    reason = "the policy of the command is kept by all that it executes"
    return (Cover(rule=None, extent=Extent.NONE, reason=reason, errs=TOO_MUCH_PERMITTED),)


def _cover(index: int, rule: Rule, unbound: Sequence[str], refused: Sequence[str]) -> Cover:
    if unbound:
        reason = f"nobody can do it for the caller, who reads it again: {_listed(unbound)}"
        return Cover(rule=index, extent=Extent.NONE, reason=reason, errs=TOO_MUCH_PERMITTED)
    reason = own_ids_only(rule)
    if reason:
        return Cover(rule=index, extent=Extent.NONE, reason=reason, errs=TOO_MUCH_DENIED)
    if rule.action is Action.PERMIT and rule.transition is Transition.DETACH:
        reason = "an execution cannot leave its supervisor"
        return Cover(rule=index, extent=Extent.NONE, reason=reason, errs=TOO_MUCH_DENIED)
    note = _note(rule.action)
    if refused:
        note = f"refused instead of judged: {_listed(refused)}"
    return Cover(rule=index, extent=Extent.FULL, reason=note)


def _note(action: Action) -> str:
    return "nobody is asked: denied" if action is Action.ASK else ""


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
