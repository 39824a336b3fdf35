"""The systems of history as a page: what each can be told, what came of it, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.attack import Attack
from harness.model import Case, Scenario, VerdictKind

SOURCE = Path(__file__).resolve().parent.parent / "systems.yaml"
HEAD = """\
# The systems

Every system that was built to stand between a program and the kernel, as far as we know of it, with
what of it is here. Made by `harness list systems --markdown` from `harness/systems.yaml` and from
what the scenarios expect: a run in which a verdict is another one fails. *Held* and *bypassed*
count scenarios by class of attack, with the catalogue's ids of what goes by; *not told* are those
whose policy the system cannot be told.
"""
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
    backend: str,
    scenarios: Iterable[Scenario],
    attacks: Mapping[str, Attack],
    usual: Sequence[str],
) -> dict[VerdictKind, Counter[str]]:
    """What the scenarios of attacks expect of a backend: verdicts, by class of attack.

    `usual` are the backends of scenarios that name none.
    """
    found: dict[VerdictKind, Counter[str]] = {}
    for scenario in scenarios:
        attack = attacks.get(scenario.attack or "")
        named = (*(scenario.backends or usual), *scenario.leaky)
        if attack is None or backend not in named:
            continue
        for kind in dict.fromkeys(_expected(backend, scenario, attack)):
            found.setdefault(kind, Counter())[attack.attack_class] += 1
    return found


def _expected(backend: str, scenario: Scenario, attack: Attack) -> Iterator[VerdictKind]:
    """Of each plain variant."""
    for variant in scenario.variants or attack.every_variant:
        case = Case(
            scenario=scenario,
            variant=variant,
            backend=backend,
            abi=attack.abis[0],
            kernel="",
            place="",
            leaky=backend in scenario.leaky,
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
