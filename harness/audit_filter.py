"""Does a filter of others hold? What is found open in it, as probes that attacks make."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from enforcer.filters.audit import audited
from enforcer.filters.convert import policy_of
from enforcer.filters.read import form_of, read_filter
from enforcer.policy.ast import Dialect
from enforcer.policy.format import format_policies
from enforcer.policy.problem import PolicyError
from harness.attack import Attack
from harness.audit import Probe, Untried


def is_filter(path: Path, form: str | None = None) -> bool:
    """Whether the file is a filter of others, by its dialect, or its name and content."""
    try:
        return form_of(path, form) is not None
    except PolicyError:
        return False  # it cannot be read: said where it is read as a policy


def probes_of_filter(
    path: Path, attacks: Iterable[Attack], form: str | None = None
) -> tuple[list[Probe], list[Untried]]:
    """A probe for each finding whose attack the filter should stop; the other findings.

    The probes run under the policy that is made of the filter. Raises PolicyError, also for a
    compiled filter of which none can be made, and NotFollowed.
    """
    mine = read_filter(path, form)
    text = format_policies((policy_of(mine),), Dialect.STRICT)
    known = {attack.id: attack for attack in attacks}
    probes: list[Probe] = []
    left: list[Untried] = []
    audit = audited(mine)
    for number, each in enumerate(audit.findings):
        if each.is_proof and each.attack in known:
            probes.append(
                Probe(
                    rule=number,
                    place=path.name,
                    said=each.title,
                    attack=known[each.attack],
                    text=text,
                )
            )
        else:
            why = each.words + (f" (the way of {each.attack})" if each.attack else "")
            left.append(Untried(place=path.name, said=each.title, why=why))
    left += [
        Untried(place=path.name, said=line, why="not looked at to the end")
        for line in audit.unproven
    ]
    return probes, left
