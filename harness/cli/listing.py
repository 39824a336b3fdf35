"""`harness list`: scenarios, attacks, backends, cases, systems and the catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from harness.backends import BrokenBackend, backend, is_external, is_leaky
from harness.cases import expand, matches
from harness.catalogue import catalogue
from harness.cli.load import (
    Laboratory,
    chosen_targets,
    laboratory,
    our_backends,
    selection,
    wanted_in,
)
from harness.cli.names import complete_backends, complete_scenarios
from harness.places.choice import Wish
from harness.report.attacks import attacks_page, known_bypasses
from harness.report.coverage import Covered, coverage, covered, summary
from harness.report.numbers import FILE, load_numbers
from harness.report.systems import systems, systems_page
from harness.report.terminal import console

CATALOGUE = "catalogue"
SYSTEMS = "systems"
WHAT = ("scenarios", "attacks", "backends", "cases", SYSTEMS, CATALOGUE)
PAGES: Mapping[str, Callable[[Laboratory], str]] = {
    CATALOGUE: lambda lab: coverage(covered(catalogue(), lab.attacks.values())),
    "attacks": lambda lab: attacks_page(
        lab.attacks.values(), lab.scenarios, load_numbers(lab.root / "attacks" / FILE)
    ),
    "scenarios": lambda lab: known_bypasses(lab.scenarios, catalogue()),
    SYSTEMS: lambda lab: systems_page(systems(), lab.scenarios, lab.attacks, our_backends()),
}


@click.command("list")
@click.argument("what", type=click.Choice(WHAT), default="scenarios")
@click.option(
    "--backend", "-b", "wanted", multiple=True, metavar="NAME", shell_complete=complete_backends
)
@click.option("--arch", "-a", "arches", multiple=True, metavar="ARCH")
@click.option(
    "--keyword", "-k", "keywords", multiple=True, metavar="TEXT", shell_complete=complete_scenarios
)
@click.option(
    "--catalogue",
    "as_catalogue",
    is_flag=True,
    help="The published classes of failure and the attacks that show them: as `list catalogue`.",
)
@click.option(
    "--markdown",
    is_flag=True,
    help="As the page attacks/COVERAGE.md (catalogue) or docs/attacks.md (attacks), or the known "
    "bypasses of docs/limits.md (scenarios), or docs/systems.md (systems).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    what: str,
    wanted: tuple[str, ...],
    arches: tuple[str, ...],
    keywords: tuple[str, ...],
    as_catalogue: bool,
    markdown: bool,
    as_json: bool,
) -> None:
    """What there is to run, and of which classes of failure."""
    lab = laboratory()
    what = CATALOGUE if as_catalogue else what
    if markdown:
        if what not in PAGES or as_json or keywords:
            raise click.UsageError(f"--markdown goes with {', '.join(PAGES)} alone")
        click.echo(PAGES[what](lab), nl=False)
        return
    if what == "scenarios":
        rows = _scenarios(lab, keywords)
    elif what == "attacks":
        rows = _attacks(lab, keywords)
    elif what == "backends":
        rows = _backends(lab)
    elif what == SYSTEMS:
        rows = [
            {"system": each.name, "backend": each.backend, "what it can be told": each.tells}
            for each in systems()
        ]
    elif what == CATALOGUE:
        rows = _catalogue(lab, keywords)
    else:
        rows = [
            {"case": case.id, "expected": case.expected.value}
            for target in chosen_targets(Wish(arches=arches), wanted)
            if (here := wanted_in(target, wanted)) is not None
            for case in expand(lab.scenarios, lab.attacks, selection(here, keywords, target))
        ]
    if as_json:
        for record in _records(lab, keywords) if what == CATALOGUE else rows:
            click.echo(json.dumps(record))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    console().print(table)
    if what == CATALOGUE and not keywords:
        click.echo(f"\n{summary(covered(catalogue(), lab.attacks.values()))}")


def _scenarios(lab: Laboratory, keywords: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {
            "scenario": scenario.id,
            "attack or command": scenario.attack or " ".join(scenario.command),
            "title": scenario.title,
        }
        for scenario in lab.scenarios
        if matches(f"{scenario.id} {scenario.attack} {scenario.title}", keywords)
    ]


def _attacks(lab: Laboratory, keywords: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {
            "attack": attack.id,
            "catalogue": " ".join(attack.catalogue),
            "effect": attack.effect.value,
            "kind": attack.kind.value,
            "variants": " ".join(attack.every_variant),
            "abis": " ".join(attack.abis),
            "title": attack.title,
        }
        for attack in lab.attacks.values()
        if matches(f"{attack.id} {attack.title} {attack.catalogue}", keywords)
    ]


def _catalogue(lab: Laboratory, keywords: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {
            "class": each.entry.id,
            "starred": "★" if each.entry.starred else "",
            "name": each.entry.name,
            "attacks here": each.said,
        }
        for each in _classes(lab, keywords)
    ]


def _records(lab: Laboratory, keywords: tuple[str, ...]) -> list[dict[str, object]]:
    """The classes in full; the keys are an interface."""
    return [
        {
            **asdict(each.entry),
            "state": each.state.value,
            "attacks": [attack.id for attack in each.attacks],
        }
        for each in _classes(lab, keywords)
    ]


def _classes(lab: Laboratory, keywords: tuple[str, ...]) -> list[Covered]:
    return [
        each
        for each in covered(catalogue(), lab.attacks.values())
        if matches(f"{each.entry.id} {each.entry.name} {each.entry.claim} {each.said}", keywords)
    ]


def _backends(lab: Laboratory) -> list[dict[str, str]]:
    return [
        {"backend": name, "kind": _kind(name), "weakness": _weakness(name)} for name in lab.backends
    ]


def _kind(name: str) -> str:
    if is_external(name):
        return "external"
    return "leaky" if is_leaky(name) else "ours"


def _weakness(name: str) -> str:
    try:
        return backend(name).weakness
    except BrokenBackend as error:
        return f"broken: {error}"
