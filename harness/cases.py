"""From scenarios to cases: backends x ABIs x variants, filtered by what the user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from enforcer.arch import native
from harness.attack import Attack, AttackKind
from harness.backends import external_names, is_asked_for, is_leaky, needs_machine, usual_of
from harness.model import Case, Scenario, spelled
from harness.ways import parted, rank
from harness.wideners import Widener

EVERY_LEAKY = "leaky"
EVERY_EXTERNAL = "external"
TIMES_DEFAULT = 50
"""How far a race goes beyond the manifest's number: what five wins ask for, of all those attempts
that a leaky one makes at most."""
TIMES_LEAKY = 10
FEWEST_IN_GUEST = 100
"""Of a race whose leaky enforcer lost often: with 80 every delay of race.h has its round, and the
bound is below 3 %."""
ALL = "all"
LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to run. Empty tuples mean everything; `ours` are the backends taken by default.

    `here` are the ABIs whose programs the place runs, empty for this machine. A `quick` run takes
    of every attack its plain variants and, on the first of its ABIs, one way.
    """

    ours: tuple[str, ...]
    backends: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    kernel: str = ""
    place: str = LOCAL
    here: tuple[str, ...] = ()
    quick: bool = False


def expand(
    scenarios: Iterable[Scenario], attacks: Mapping[str, Attack], selection: Selection
) -> tuple[Case, ...]:
    """The cases, those of one scenario together, in the order of the scenarios."""
    cases = []
    for scenario in scenarios:
        attack = attacks[scenario.attack] if scenario.attack else None
        for name in _backends(scenario, selection):
            usual = usual_of(name)
            for place, abi in enumerate(_abis(scenario, attack, selection)):
                most_ways = int(place == 0) if selection.quick else None
                for variant in variants_of(scenario, attack, abi, most_ways=most_ways):
                    case = Case(
                        scenario=scenario,
                        variant=variant,
                        backend=name,
                        abi=abi,
                        kernel=selection.kernel,
                        place=selection.place,
                        leaky=is_leaky(name),
                        external=is_asked_for(name),
                        catalogue=attack.classes(variant) if attack else (),
                        usual=usual,
                    )
                    if matches(f"{case.id} {scenario.attack or ''}", selection.keywords):
                        cases.append(case)
    return tuple(cases)


def variants_of(
    scenario: Scenario, attack: Attack | None, abi: str, *, most_ways: int | None = None
) -> tuple[str, ...]:
    """The variants of a scenario on an ABI. A plain one that it names stands for its ways too,
    but where it names ways of it; wideners it has to name. Of more than `most_ways` ways, those
    that its digest chooses.
    """
    if attack is None or attack.mistakes:
        return ("default",)
    every = {variant: parted(variant) for variant in attack.expanded(abi)}
    if scenario.variants:
        wanted = {*scenario.variants}
        chosen_itself = {plain for each in wanted for plain, way in [parted(each)] if way}
        every = {
            each: (plain, way)
            for each, (plain, way) in every.items()
            if each in wanted or plain in wanted - chosen_itself
        }
    every = {
        each: (plain, way)
        for each, (plain, way) in every.items()
        if each in scenario.variants or not isinstance(way, Widener)
    }
    if most_ways is not None:
        ways = sorted((way for _, way in every.values() if way), key=partial(rank, attack.id))
        taken = {None, *ways[:most_ways]}
        every = {each: (plain, way) for each, (plain, way) in every.items() if way in taken}
    return tuple(every)


def matches(text: str, keywords: Iterable[str]) -> bool:
    """Whether every keyword is in `text`, of one that says `a or b` either; neither case nor the
    spelling (`_` or `-`) counts.
    """
    words = (spelled(keyword.lower()).split(" or ") for keyword in keywords)
    within = spelled(text.lower())
    return all(any(word.strip() in within for word in either) for either in words)


def local_abis() -> tuple[str, ...]:
    """The ABIs whose programs attacks are built for on this machine without a virtual machine."""
    return tuple(abi.name for abi in native().abis if not abi.nr_bit)


def _backends(scenario: Scenario, selection: Selection) -> tuple[str, ...]:
    ours = scenario.backends or selection.ours
    if not selection.backends:
        # A machine of its own is made for who is asked for by name.
        return (*(name for name in ours if not needs_machine(name)), *scenario.leaky)
    chosen: list[str] = []
    for wanted in selection.backends:
        if wanted == ALL:
            chosen += [*ours, *scenario.leaky]
        elif wanted == EVERY_LEAKY:
            chosen += scenario.leaky
        elif wanted == EVERY_EXTERNAL:
            chosen += external_names() if not scenario.backends else ()
        elif (
            wanted in scenario.leaky
            or wanted in ours
            or wanted == "none"
            or (is_asked_for(wanted) and not scenario.backends)
        ):
            chosen.append(wanted)
    return tuple(dict.fromkeys(chosen))


def _abis(scenario: Scenario, attack: Attack | None, selection: Selection) -> Sequence[str]:
    here = selection.here or local_abis()
    if attack is None:
        wanted: Sequence[str] = scenario.abis or here[:1]
    else:
        wanted = scenario.abis or attack.abis
    return [abi for abi in wanted if abi in here and abi in (selection.abis or here)]


def attempts_of(case: Case, attack: Attack | None, *, asked: int | None, quick: bool) -> int:
    """How many tries the attack run makes: the user's number, the scenario's, the manifest's.

    Of a leaky backend the win rate alone is wanted, for which the manifest's lower number serves.
    """
    if attack is None or attack.kind is not AttackKind.RACE:
        return 1
    if asked is not None:
        return asked
    if case.scenario.attempts is not None:
        return case.scenario.attempts
    return attack.attempts.quick if quick or case.leaky else attack.attempts.default


def most_attempts(case: Case, attack: Attack | None, *, asked: int | None) -> int:
    """How many tries a race may be given when its first ones are not enough for a verdict.

    What the user asked for is not raised.
    """
    if attack is None or attack.kind is not AttackKind.RACE:
        return 1
    if asked is not None:
        return asked
    return attack.attempts.default * (TIMES_LEAKY if case.leaky else TIMES_DEFAULT)


def fewest_attempts(case: Case, attack: Attack | None, *, asked: int | None) -> int:
    """How few tries are enough where the leaky enforcer lost to most of them; 0: all are made.

    On this machine the manifest's number of a quick run, fewer in guests, which are emulated for
    the most part: there an attempt may take 40 ms. What a user or a scenario asks for is not
    lowered.
    """
    if attack is None or attack.kind is not AttackKind.RACE or case.leaky:
        return 0
    if asked is not None or case.scenario.attempts is not None:
        return 0
    return attack.attempts.quick if case.place == LOCAL else FEWEST_IN_GUEST
