"""The attacks as a page, and the weaknesses that scenarios know of: of manifests and programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.attack import Attack
from harness.catalogue import Entry
from harness.model import Scenario
from harness.report.numbers import Number, in_words

HEAD = """\
# The attacks

Made from the attacks' manifests and programs, and from the scenarios, by
`harness list attacks --markdown`. *Falls* are the leaky backends that it defeats; a known weakness
is a strict expectation, in docs/limits.md with its reason. *Last numbers* are verdicts, the cases
that had them, and the wins in all attempts of a race, from [numbers.tsv](../attacks/numbers.tsv).
What the runs saw here is told by `harness explain SCENARIO`, which classes have attacks by
[COVERAGE.md](../attacks/COVERAGE.md).
"""
KNOWN_HEAD = """\
## Known bypasses

Attacks that get past a backend, as scenarios expect it: a run in which one no longer does fails as
well. Made by `harness list scenarios --markdown`.

| backend | scenario | class | what it does not stop |
|---|---|---|---|
"""


def header_comment(program: Path) -> list[str]:
    """The lines of a program's first comment: its claim, and the interleaving."""
    text = program.read_text(encoding="utf-8")
    start = text.find("/*\n")
    end = text.find("*/", start)
    if start < 0 or end < 0:
        return []
    lines = text[start + 3 : end].splitlines()
    return [line.removeprefix(" *").removeprefix(" ").expandtabs(8) for line in lines]


def attacks_page(
    attacks: Iterable[Attack],
    scenarios: Iterable[Scenario],
    numbers: Mapping[str, tuple[Number, ...]],
) -> str:
    """The page docs/attacks.md, in Markdown."""
    every = tuple(scenarios)
    lines = [HEAD]
    group = ""
    for attack in attacks:
        if attack.attack_class != group:
            group = attack.attack_class
            lines += [f"## {group}", ""]
        of_it = [each for each in every if each.attack == attack.id]
        lines += _attack(attack, of_it, numbers.get(attack.id, ()))
    return "\n".join(lines).rstrip("\n") + "\n"


def known_bypasses(scenarios: Iterable[Scenario], catalogue: Mapping[str, Entry]) -> str:
    """The section of docs/limits.md, in Markdown: of each backend, what it is known to let by."""
    rows = sorted(
        (backend.replace("/", ", "), scenario, id)
        for scenario, backend, id in (
            (scenario.id, backend, id)
            for scenario in scenarios
            for backend, id in scenario.known.items()
        )
    )
    return KNOWN_HEAD + "".join(
        f"| {backend} | {scenario} | {id} {catalogue[id].name} | {_cell(catalogue[id].claim)} |\n"
        for backend, scenario, id in rows
    )


def _attack(attack: Attack, scenarios: list[Scenario], numbers: tuple[Number, ...]) -> list[str]:
    falls = sorted({name for scenario in scenarios for name in scenario.leaky})
    known = sorted(
        {
            f"{backend.replace('/', ', ')} ({id})"
            for scenario in scenarios
            for backend, id in scenario.known.items()
        }
    )
    facts = {
        "classes": " ".join(attack.every_class),
        "effect": f"{attack.effect}, seen on a {attack.sentinel}; {attack.kind}",
        "variants": ", ".join(attack.variants),
        "ways": ", ".join(attack.ways),
        "wideners": ", ".join(attack.wideners),
        "falls": ", ".join(falls),
        "known weaknesses": ", ".join(known),
        "last numbers": in_words(numbers),
        "scenarios": ", ".join(scenario.id for scenario in scenarios),
        "sources": "; ".join(attack.source),
    }
    return [
        f"### {attack.name}",
        "",
        f"[{attack.id}.c](../attacks/{attack.id}.c): {attack.title}.",
        "",
        "```text",
        *(line.rstrip() for line in header_comment(attack.program)),
        "```",
        "",
        *(f"- {word}: {text}" for word, text in facts.items() if text),
        "",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
