"""Which defence stops which attack: attacks against mechanisms with some defences off.

All, all but one, one alone, none. With none on the mechanism is its own leaky backend, by which
the others are judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence
from harness.attack import Attack
from harness.cases import Selection, expand
from harness.catalogue import order
from harness.evidence import killed_by_enforcer
from harness.model import Case, Reference, Result, RunKind, Scenario, VerdictKind
from harness.ways import parted

MECHANISMS = ("ptrace", "notify")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A mechanism with these defences on."""

    mechanism: str
    on: frozenset[Defence]

    @property
    def label(self) -> str:
        """What is on, or the one that is off."""
        off = DEFAULT_DEFENCES - self.on
        if not off:
            return "all on"
        if len(off) == 1:
            return f"no {min(off)}"
        return f"{min(self.on)} only" if self.on else "all off"


_EACH = sorted(DEFAULT_DEFENCES)
COMBINATIONS = (
    DEFAULT_DEFENCES,
    *(DEFAULT_DEFENCES - {defence} for defence in _EACH),
    *(frozenset({defence}) for defence in _EACH),
    frozenset[Defence](),
)
SETTINGS = tuple(
    Setting(mechanism=mechanism, on=on) for mechanism in MECHANISMS for on in COMBINATIONS
)


def cases(
    scenarios: Iterable[Scenario], attacks: Mapping[str, Attack], selection: Selection
) -> list[Case]:
    """Each attack in the first scenario that has leaky backends, under every setting; in no other
    way than plainly.

    Settings with all defences off are leaky ones and come first.
    """
    chosen: dict[str, Scenario] = {}
    for scenario in scenarios:
        if scenario.attack and scenario.leaky:
            chosen.setdefault(scenario.attack, scenario)
    found = [
        replace(case, defences=setting.on, leaky=not setting.on)
        for case in expand(chosen.values(), attacks, replace(selection, backends=MECHANISMS))
        if case.expected is not VerdictKind.INEXPRESSIBLE and parted(case.variant)[1] is None
        for setting in SETTINGS
        if setting.mechanism == case.backend
    ]
    return sorted(found, key=lambda case: not case.leaky)


def reference(case: Case, results: Iterable[Result]) -> Reference | None:
    """The same attack with every defence off, among results of this run."""
    off = replace(case, defences=frozenset[Defence](), leaky=True)
    for result in results:
        if result.case == off and result.verdict.kind in (VerdictKind.BYPASSED, VerdictKind.HELD):
            return Reference(
                backend=f"{case.backend} with all defences off",
                attempts=max(result.verdict.attempts, 1),
                wins=result.verdict.wins,
                source="this run",
                rung=_rung(result),
            )
    return None


def was_ended(result: Result) -> bool:
    """Whether the enforcer killed the target instead of refusing, by its own word."""
    return any(
        seen.kind is RunKind.ATTACK and not seen.finished and killed_by_enforcer(seen.events)
        for seen in result.observations
    )


def has_broken(result: Result) -> bool:
    """Whether this is our own failure. A target that was killed for an interference has no rate,
    and attempts too few for a verdict have one: both are what the table is to tell.
    """
    is_told = was_ended(result) or result.verdict.attempts > 0
    return result.verdict.kind is VerdictKind.BROKEN and not is_told


def _rung(result: Result) -> int | None:
    """The delay that won most of the attack run's attempts."""
    of_it = (seen.rung for seen in result.observations if seen.kind is RunKind.ATTACK)
    return next(of_it, None)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One attack, and its results by setting; a setting that it cannot have has none."""

    attack: Attack
    cells: Mapping[Setting, Sequence[Result]]


def lines(results: Iterable[Result], attacks: Mapping[str, Attack]) -> list[Line]:
    """The results by attack, in the catalogue's order."""
    found: dict[str, dict[Setting, list[Result]]] = {}
    for result in results:
        case = result.case
        setting = Setting(mechanism=case.backend, on=case.defences or frozenset())
        cells = found.setdefault(case.scenario.attack or "", {})
        cells.setdefault(setting, []).append(result)
    arranged = [Line(attack=attacks[name], cells=cells) for name, cells in found.items()]
    return sorted(
        arranged,
        key=lambda line: [order(each) for each in line.attack.catalogue],
    )
