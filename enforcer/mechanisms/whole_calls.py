"""What a policy says of whole calls, for mechanisms that know of a call its number and no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from enforcer.access.beyond import note_errno
from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes, listed
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Cover, Extent, Inexpressible, Options
from enforcer.policy.ast import Policy, Rule, TrueSymbol
from enforcer.policy.residual import residual
from enforcer.syscalls import ALIASES, table, varies

REFUSING = (Action.DENY, Action.KILL)


@dataclass(frozen=True, kw_only=True)
class WholeCalls:
    """`denied` are the names of calls that a policy denies whatever their arguments, sorted."""

    denied: tuple[str, ...]
    covers: tuple[Cover, ...]


def whole_calls(
    policy: Policy, abis: Sequence[Abi], *, errno: int, needed: Collection[str]
) -> WholeCalls:
    """The calls that a policy denies as a whole. Every refusal is `errno`; `needed` are calls that
    cannot be denied to anybody.
    """
    notes = Notes()
    known = {name for abi in abis for name in table(abi.name)}
    denied = {name for name in known if _is_denied(policy, name, abis)} - {*needed}
    for index, rule in enumerate(policy.rules):
        named = {name for call in rule.calls for name in ALIASES.get(call, (call,))} & known
        _note(index, rule, named, needed, errno, notes)
        taken = sorted(named & denied)
        if taken and rule.action not in REFUSING:
            reason = f"{listed(taken)}: another rule denies the whole call"
            notes.add(index, Extent.NONE, TOO_MUCH_DENIED, reason)
    if policy.default is not Action.PERMIT:
        reason = "what no rule names stays as it is"
        notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    covers = tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None))
    return WholeCalls(denied=tuple(sorted(denied)), covers=covers)


def compiled(
    policies: Sequence[Policy],
    abis: Sequence[Abi],
    options: Options,
    *,
    errno: int,
    needed: Collection[str],
) -> tuple[tuple[str, ...], list[dict[str, object]]]:
    """What is denied by the one policy, and what is lost of it. Raises Inexpressible."""
    found = whole_calls(policies[0], abis, errno=errno, needed=needed)
    covers = list(found.covers)
    if any(policy != policies[0] for policy in policies):
        reason = "it has one policy for all programs"
        covers.append(Cover(rule=None, extent=Extent.NONE, reason=reason))
    if not found.denied and all(cover.extent is Extent.FULL for cover in covers):
        reason = "it can take calls away, and this policy takes none"
        covers = [Cover(rule=None, extent=Extent.NONE, reason=reason)]
    return found.denied, checked(covers, options)


def checked(covers: Iterable[Cover], options: Options) -> list[dict[str, object]]:
    """What is lost, as plans tell it. Raises Inexpressible unless that may be."""
    lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
    if lacking and not options.partial:
        raise Inexpressible(lacking)
    return [
        {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs} for c in lacking
    ]


def _is_denied(policy: Policy, name: str, abis: Sequence[Abi]) -> bool:
    """On every ABI that has it, and by rules of the policy's that name it."""
    there = [abi for abi in abis if name in table(abi.name)]
    asked = [abi.name for abi in there] if varies(name) else [None]
    if not any(_names(rule, name) for rule in policy.rules if rule.action in REFUSING):
        return False
    for abi in asked:
        clauses = residual(policy, name, abi=abi)
        if len(clauses) != 1 or clauses[0].decision is None:
            return False
        if clauses[0].decision.action not in REFUSING:
            return False
    return True


def _names(rule: Rule, name: str) -> bool:
    return any(name == call or name in ALIASES.get(call, ()) for call in rule.calls)


def _note(
    index: int,
    rule: Rule,
    named: Collection[str],
    needed: Collection[str],
    errno: int,
    notes: Notes,
) -> None:
    plain = rule.predicate is None and rule.when in (None, TrueSymbol())
    if not plain:
        reason = "a call is there or it is not, whatever its arguments and whoever makes it"
        notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    if rule.action is Action.ASK or rule.elevation is not None:
        notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, "nobody is asked, no ids are changed")
    if rule.action not in REFUSING or not plain:
        return
    kept = sorted({*named} & {*needed})
    if kept:
        reason = f"without {listed(kept)} nothing could be started"
        notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    if rule.action is Action.KILL:
        reason = "the call is denied, the process not killed"
        notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
    elif rule.errno != errno:
        note_errno(index, rule, {errno}, notes)
