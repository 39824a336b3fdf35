"""The systems of history as a page: what each can be told, what came of it, what it costs."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from enforcer.arch import ABIS
from enforcer.mechanisms.contract import Inexpressible
from harness.attack import Attack
from harness.backends import backend, needs_machine
from harness.backends.prepared import Prepared
from harness.model import Case, Scenario, VerdictKind
from harness.scenario import SAMPLE, parse_policies, substitute
from harness.vm.machines import MACHINES

SOURCE = Path(__file__).resolve().parent.parent / "systems.yaml"
HEAD = """\
# The systems

Every system that was built to stand between a program and the kernel, as far as we know of it, with
what of it is here. Made by `harness list systems --markdown` from `harness/systems.yaml` and from
what the scenarios expect: a run in which a verdict is another one fails. *Held* and *bypassed*
count scenarios by class of attack, with the catalogue's ids of what goes by; *not logged* are acts,
denied or to be told of, that the log does not name; *not told* are those whose policy the system
cannot be told.
"""
_PLACE = tuple(ABIS[abi] for abi in MACHINES["x86_64"].abis)
"""Of the machine that such a mechanism gets where no other is asked for."""
_KEYS = frozenset({"system", "when", "backend", "missing", "tells", "cost", "said", "found"})


@dataclass(frozen=True, kw_only=True)
class System:
    """One of them. `backend` is "" for one that is not here, and `missing` says why then."""

    name: str
    when: str
    backend: str
    missing: str
    tells: str
    cost: str
    said: str
    found: str


def systems(path: Path = SOURCE) -> tuple[System, ...]:
    """In the order of the file. Raises ValueError for a key that no system has."""
    found = []
    for raw in yaml.safe_load(path.read_text(encoding="utf-8")):
        unknown = {*raw} - _KEYS
        if unknown:
            raise ValueError(f"{path.name}: {raw['system']}: unknown {', '.join(sorted(unknown))}")
        found.append(
            System(
                name=str(raw["system"]),
                when=str(raw["when"]),
                backend=str(raw.get("backend", "")),
                missing=str(raw.get("missing", "")),
                tells=str(raw["tells"]),
                cost=str(raw.get("cost", "")),
                said=str(raw["said"]),
                found=str(raw["found"]),
            )
        )
    return tuple(found)


def verdicts(
    name: str,
    scenarios: Iterable[Scenario],
    attacks: Mapping[str, Attack],
    usual: Sequence[str],
) -> dict[VerdictKind, Counter[str]]:
    """What the scenarios of attacks expect of a backend: verdicts, by class of attack.

    `usual` are the backends of scenarios that name none. A mechanism with machines of its own has
    those whose policy it can be told; of the others the page says nothing.
    """
    found: dict[VerdictKind, Counter[str]] = {}
    for scenario in scenarios:
        attack = attacks.get(scenario.attack or "")
        named = (*(scenario.backends or usual), *scenario.leaky)
        if attack is None or not (name in named or _asked(name, scenario)):
            continue
        for kind in dict.fromkeys(_expected(name, scenario, attack)):
            found.setdefault(kind, Counter())[attack.attack_class] += 1
    return found


def _asked(name: str, scenario: Scenario) -> bool:
    """Whether a mechanism that has machines of its own can be told the scenario's policy."""
    if scenario.backends or not needs_machine(name):
        return False
    # The lines before a policy in its scenario are empty: without them many are the same text.
    return _is_told(name, scenario.policy.strip("\n"), scenario.dialect, name in scenario.partial)


@functools.cache
def _is_told(name: str, policy: str, dialect: str, is_partial: bool) -> bool:
    policies = parse_policies(substitute(policy, SAMPLE.placeholders()), dialect, name)
    confining = backend(name)
    assert isinstance(confining, Prepared)
    try:
        confining.compile(policies, _PLACE, partial=is_partial)
    except Inexpressible:
        return False
    return True


def _expected(name: str, scenario: Scenario, attack: Attack) -> Iterator[VerdictKind]:
    """Of each plain variant."""
    for variant in scenario.variants or attack.every_variant:
        case = Case(
            scenario=scenario,
            variant=variant,
            backend=name,
            abi=attack.abis[0],
            kernel="",
            place="",
            leaky=name in scenario.leaky,
        )
        yield VerdictKind.BYPASSED if case.weakness else case.expected


def systems_page(
    found: Iterable[System],
    scenarios: Sequence[Scenario],
    attacks: Mapping[str, Attack],
    usual: Sequence[str],
) -> str:
    """The page docs/systems.md, in Markdown."""
    lines = [HEAD, "| system | here | what it can be told | verdicts | cost |"]
    lines.append("|---|---|---|---|---|")
    rows = tuple(found)
    for each in rows:
        here = f"`{each.backend}`" if each.backend else f"no: {each.missing}"
        told = _told(each.backend, scenarios, attacks, usual) if each.backend else ""
        cells = (f"{each.name} ({each.when})", here, each.tells, told, each.cost)
        lines.append(f"| {' | '.join(cell or '-' for cell in cells)} |")
    lines += ["", "| system | what was said of it | what was found |", "|---|---|---|"]
    lines += [f"| {each.name} | {each.said} | {each.found} |" for each in rows]
    return "\n".join(lines) + "\n"


def _told(
    backend: str,
    scenarios: Sequence[Scenario],
    attacks: Mapping[str, Attack],
    usual: Sequence[str],
) -> str:
    counted = verdicts(backend, scenarios, attacks, usual)
    words = []
    for kind, word in (
        (VerdictKind.HELD, "held"),
        (VerdictKind.BYPASSED, "bypassed"),
        (VerdictKind.UNLOGGED, "not logged"),
        (VerdictKind.INEXPRESSIBLE, "not told"),
    ):
        if kind in counted:
            each = ", ".join(f"{name} {number}" for name, number in sorted(counted[kind].items()))
            words.append(f"{word}: {each}{_ids(kind, backend, scenarios)}")
    return "; ".join(words) or "asked for by name: `docs/external-matrix.md`"


def _ids(kind: VerdictKind, backend: str, scenarios: Sequence[Scenario]) -> str:
    """The catalogue's ids of known bypasses."""
    if kind is not VerdictKind.BYPASSED:
        return ""
    found = {
        id
        for scenario in scenarios
        for key, id in scenario.known.items()
        if key.partition("/")[0] == backend
    }
    return f" ({' '.join(sorted(found))})" if found else ""
