"""`harness list`: scenarios, attacks, backends and cases."""

from __future__ import annotations

import json

import click
from rich.table import Table
from rich.text import Text

from harness.backends import backend
from harness.cases import expand, matches
from harness.cli.load import Laboratory, chosen_targets, laboratory, selection
from harness.places.choice import Wish
from harness.report.terminal import console

WHAT = ("scenarios", "attacks", "backends", "cases")


@click.command("list")
@click.argument("what", type=click.Choice(WHAT), default="scenarios")
@click.option("--backend", "-b", "wanted", multiple=True, metavar="NAME")
@click.option("--arch", "-a", "arches", multiple=True, metavar="ARCH")
@click.option("--keyword", "-k", "keywords", multiple=True, metavar="TEXT")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    what: str,
    wanted: tuple[str, ...],
    arches: tuple[str, ...],
    keywords: tuple[str, ...],
    as_json: bool,
) -> None:
    """What there is to run."""
    lab = laboratory()
    if what == "scenarios":
        rows = _scenarios(lab, keywords)
    elif what == "attacks":
        rows = _attacks(lab, keywords)
    elif what == "backends":
        rows = _backends(lab)
    else:
        rows = [
            {"case": case.id, "expected": case.expected.value}
            for target in chosen_targets(Wish(arches=arches))
            for case in expand(lab.scenarios, lab.attacks, selection(wanted, keywords, target))
        ]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    console().print(table)


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


def _backends(lab: Laboratory) -> list[dict[str, str]]:
    return [
        {"backend": name, "kind": "leaky" if found.leaky else "ours", "weakness": found.weakness}
        for name, found in ((name, backend(name)) for name in lab.backends)
    ]
