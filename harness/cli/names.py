"""Completion of what the laboratory's files name: scenarios, classes, cases, attacks, backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from harness.cases import ALL, EVERY_LEAKY, Selection, expand
from harness.catalogue import catalogue
from harness.cli.load import Laboratory, laboratory, our_backends
from harness.places.local import kernel_release

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
"""As click's `shell_complete` wants it."""


def _completing(found: Callable[[Laboratory], Iterable[tuple[str, str]]]) -> Complete:
    """Names and what they are, of a tree that loads; nothing, where there is none."""

    def complete(
        context: click.Context, parameter: click.Parameter, begun: str
    ) -> list[CompletionItem]:
        try:
            lab = laboratory()
        except click.ClickException:
            return []
        return [
            CompletionItem(name, help=what) for name, what in found(lab) if name.startswith(begun)
        ]

    return complete


def _backends(lab: Laboratory) -> Iterable[tuple[str, str]]:
    yield from ((name, "") for name in lab.backends)
    yield EVERY_LEAKY, "all leaky ones"
    yield ALL, "all backends"


def _cases(lab: Laboratory) -> Iterable[tuple[str, str]]:
    chosen = Selection(ours=our_backends(), backends=(ALL, *lab.backends), kernel=kernel_release())
    return ((case.id, "") for case in expand(lab.scenarios, lab.attacks, chosen))


def _scenarios(lab: Laboratory) -> Iterable[tuple[str, str]]:
    return ((scenario.id, scenario.title) for scenario in lab.scenarios)


def _told(lab: Laboratory) -> Iterable[tuple[str, str]]:
    yield from _scenarios(lab)
    yield from ((entry.id, entry.name) for entry in catalogue().values())


complete_attacks = _completing(
    lambda lab: ((attack.id, attack.title) for attack in lab.attacks.values())
)
complete_backends = _completing(_backends)
complete_cases = _completing(_cases)
complete_scenarios = _completing(_scenarios)
complete_told = _completing(_told)

among_backends = click.option(
    "--backend",
    "-b",
    "among",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_backends,
    help="Of these backends, as `harness run` takes them: a FILE of your own must be named.",
)
