"""The bare runs of a case, without which nothing that is refused proves anything.

Pure; the agent asks which are due, and the harness which case they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.model import Observation, Outcome, RunKind

CONTROLS = (RunKind.CONTROL, RunKind.DIRECT_CONTROL)
CONTROLS_AGAIN = 2  # behind the others; with the first one three


def cases(seen: Sequence[Observation]) -> list[dict[RunKind, Observation]]:
    """What was seen of each case in turn, of all with the bare runs that they share. A case ends
    where a run comes that it has already.
    """
    bare = {each.kind: each for each in seen if each.kind in CONTROLS}
    found = [{**bare}]
    for each in seen:
        if each.kind in bare or each.kind is RunKind.CONTROL_AGAIN:
            continue
        if each.kind in found[-1]:
            found.append({**bare})
        found[-1][each.kind] = each
    return found


def shows_something(control: Observation, *, command: bool) -> bool:
    """Whether the runs behind this control can prove anything; a command's own need no effect."""
    if command and control.kind is RunKind.CONTROL:
        return control.exit_status == 0
    return control.effect


def asks_for_another_control(
    seen: Mapping[RunKind, Observation], *, command: bool, race: bool
) -> bool:
    """The control is repeated behind the others before its effect's absence counts, and where it
    shows none itself: what comes and goes proves nothing. Races have a rate of their own.
    """
    control, attack = seen.get(RunKind.CONTROL), seen.get(RunKind.ATTACK)
    if control is None or any(each.outcome is Outcome.BROKEN for each in seen.values()):
        return False
    if command:
        confined = seen.get(RunKind.BENIGN)
        return confined is not None and not alike(control, confined)
    if race or control.outcome is Outcome.UNSUPPORTED:
        return False
    return not control.effect or (attack is not None and not attack.effect)


def repeated(runs: Sequence[Observation]) -> Observation:
    """One observation for several of the same run: the last without effect, else the last."""
    shown = next((each for each in reversed(runs) if not each.effect), runs[-1])
    return replace(shown, repeats=len(runs), effects=sum(each.effect for each in runs))


def alike(bare: Observation, other: Observation) -> bool:
    """Whether two runs of a command ended, printed and left the same."""
    fields = ("exit_status", "signal", "stdout", "stderr", "tree")
    return all(getattr(bare, name) == getattr(other, name) for name in fields)
