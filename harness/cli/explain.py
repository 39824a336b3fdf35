"""`harness explain`: what a scenario attacks, how, and why its verdicts came out; or a class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from enforcer.arch import native
from enforcer.mechanisms.contract import Extent
from enforcer.policy.problem import PolicyError
from harness.attack import Attack
from harness.backends import BrokenBackend, backend, blamed
from harness.calibration import Calibration, needs_reference
from harness.campaign import belongs
from harness.cases import Selection, attempts_of, expand, most_attempts
from harness.catalogue import catalogue
from harness.cli.load import (
    Laboratory,
    found_backend,
    laboratory,
    opened,
    our_backends,
)
from harness.cli.names import among_backends, complete_told
from harness.model import Case, RunKind, Scenario, VerdictKind, spelled
from harness.oracle import described
from harness.places.features import lacking
from harness.places.local import LocalPlace, kernel_release
from harness.report.attacks import header_comment
from harness.report.coverage import Covered, covered
from harness.report.matrix import MEANING
from harness.report.terminal import folded
from harness.results import Row, default_path
from harness.runner import Job, needs_of
from harness.scenario import parse_policies, substitute
from harness.ways import JOINT, MANNERS
from harness.wideners import WIDENERS

FIRST = " " * 4
WIDEST_KIND = max(map(len, RunKind))
TOLD_BY_REASON = (VerdictKind.HELD, VerdictKind.BYPASSED)
"""What these mean is the beginning of their reasons."""


@click.command("explain")
@click.argument("scenario", shell_complete=complete_told)
@among_backends
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path))
def command(scenario: str, among: tuple[str, ...], results: Path | None) -> None:
    """What SCENARIO attacks, how each backend covers its policy, and the last verdicts.

    SCENARIO is an id or a file, or the id of one case as reports and `harness list cases` print it;
    or an attack that has no scenario of its name; or a class of the catalogue (B10 or
    rename-parent), of which all is told that is known. Words may be joined by '-' or '_'.
    """
    lab = laboratory()
    if (known := _class(spelled(scenario), lab)) is not None:
        _explain_class(known, lab.scenarios)
        return
    name = scenario.removeprefix("attacks/").removesuffix(".yaml").removesuffix(".c")
    if (alone := _attack_alone(spelled(name), lab)) is not None:
        _explain_attack(alone)
        _point_to_scenarios([alone], lab.scenarios)
        return
    case = lab.case(scenario, among) if "[" in scenario else None
    found = case.scenario if case else lab.scenario(scenario)
    attack = lab.attacks[found.attack] if found.attack else None
    click.echo(folded(f"{found.id}: {found.title}"))
    click.echo(f"    {found.path}")
    if attack is not None:
        _explain_attack(attack)
    else:
        words = " ".join(found.command)
        click.echo("\n" + folded(f"Command, compared with its bare run: {words}"))
    _explain_needs(found, attack)
    _explain_policy(found)
    named = tuple(found_backend(name) for name in among)
    selection = Selection(ours=our_backends(), backends=named, kernel=kernel_release())
    cases = [case] if case else expand([found], lab.attacks, selection)
    asked_for = dict.fromkeys(each.backend for each in cases) if case or among else ()
    _explain_cover(found, asked_for or found.backends or our_backends())
    path = results or default_path()
    store = opened(path) if path.exists() else None
    if attack is not None:
        recorded = store.leaky_runs() if store else ()
        _explain_references(cases, attack, Calibration(recorded, belongs=belongs))
    rows = [store.last_of(each.id) for each in cases] if store else []
    _explain_results([row for row in rows if row is not None])


def _class(wanted: str, lab: Laboratory) -> Covered | None:
    """The class of this id or name."""
    classes = covered(catalogue(), lab.attacks.values())
    return next((each for each in classes if wanted in (each.entry.id, each.entry.name)), None)


def _explain_class(found: Covered, scenarios: Iterable[Scenario]) -> None:
    entry = found.entry
    click.echo(f"{entry.id} {entry.name}{' (starred)' if entry.starred else ''}\n")
    said = {
        "claim": entry.claim,
        "falls": entry.falls,
        "holds": entry.holds,
        "seen by": entry.oracle,
        "needs": entry.needs or "nothing in particular",
        "trials": entry.determinism,
    }
    for word, text in (*said.items(), *(("source", each) for each in entry.sources)):
        click.echo(folded(text, f"{word + ':':9}", " " * 9))
    click.echo("\n" + folded(found.said, "here:    ", " " * 9))
    _point_to_scenarios(found.attacks, scenarios)


def _attack_alone(wanted: str, lab: Laboratory) -> Attack | None:
    """The attack of this id, where no scenario has the same."""
    here = any(scenario.id == wanted for scenario in lab.scenarios)
    return None if here else lab.attacks.get(wanted)


def _point_to_scenarios(attacks: Iterable[Attack], scenarios: Iterable[Scenario]) -> None:
    ids = [attack.id for attack in attacks]
    for scenario in scenarios:
        if scenario.attack in ids:
            click.echo(f"    harness explain {scenario.id}")


def _explain_attack(attack: Attack) -> None:
    click.echo("\n" + folded(f"Attack {attack.id}: {attack.title}"))
    click.echo(f"    {attack.program}")
    for id in attack.every_class:
        click.echo(f"    class {id} {catalogue()[id].name}: harness explain {id}")
    for line in header_comment(attack.program):
        click.echo(f"| {line}".rstrip())
    click.echo(f"    effect: {attack.effect}, seen on a {attack.sentinel}; {attack.kind}")
    click.echo(folded(f"variants: {', '.join(attack.variants)}", FIRST))
    for way in attack.ways:
        said = f"way {attack.variants[0]}{JOINT}{way}: {MANNERS[way].meaning}"
        click.echo(folded(said, FIRST))
    for widener in attack.wideners:
        said = f"widener {attack.variants[0]}{JOINT}{widener}: {WIDENERS[widener].meaning}"
        click.echo(folded(said, FIRST))
    for source in attack.source:
        click.echo(folded(f"source: {source}", FIRST))


def _explain_needs(scenario: Scenario, attack: Attack | None) -> None:
    variants = scenario.variants or ("default",)
    needed = sorted({need for variant in variants for need in needs_of(scenario, attack, variant)})
    missing = lacking(needed)
    for name in needed:
        here = f"lacking here, so inapplicable: {missing[name]}" if name in missing else "here"
        click.echo(folded(f"needs: {name} ({here})", FIRST))


def _explain_references(cases: Iterable[Case], attack: Attack, known: Calibration) -> None:
    """By which leaky enforcer each of these is judged, as far as earlier runs measured it."""
    click.echo("\nHeld is judged by the same attack on a leaky enforcer:")
    for case in cases:
        least = attempts_of(case, attack, asked=None, quick=False)
        most = most_attempts(case, attack, asked=None)
        job = Job(case=case, attack=attack, attempts=least, most=most)
        if not needs_reference(job):
            continue
        reference = known.reference(job)
        said = described(reference) if reference else "not measured yet; the next run does it first"
        click.echo(folded(f"{case.id}: {said}", FIRST))
        if job.race:
            tries = known.fitted(job).attempts
            click.echo(f"        {tries} attempts in a full run, at most {most}")


def _explain_policy(scenario: Scenario) -> None:
    click.echo("\nPolicy:")
    text = substitute(scenario.policy, LocalPlace().layout().placeholders())
    for line in text.strip("\n").splitlines():
        click.echo(f"    {line}")


def _explain_cover(scenario: Scenario, backends: Iterable[str]) -> None:
    text = substitute(scenario.policy, LocalPlace().layout().placeholders())
    try:
        policies = parse_policies(text, scenario.dialect, str(scenario.path))
    except PolicyError as error:
        click.echo(str(error))
        return
    click.echo("\nHow far each backend enforces it:")
    for name in backends:
        try:
            with blamed(name):
                found = backend(name)
                covers = [
                    cover for policy in policies for cover in found.cover(policy, native().abis)
                ]
        except BrokenBackend as error:
            click.echo(folded(str(error), FIRST))
            continue
        except ImportError as error:
            click.echo(folded(f"{name}: not available: {error}", FIRST))
            continue
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        click.echo(f"    {name}:{' in full' if not lacking else ''}")
        for cover in lacking:
            where = "the default" if cover.rule is None else f"rule {cover.rule + 1}"
            errs = f" ({cover.errs})" if cover.errs else ""
            click.echo(folded(f"{where}: {cover.extent}{errs}: {cover.reason}", FIRST * 2))


def _explain_results(rows: list[Row]) -> None:
    click.echo("\nLast verdicts:" if rows else "\nIt has not been run yet.")
    for row in rows:
        mark = "" if row.as_expected else f"   (expected: {row.expected})"
        click.echo(f"    {row.case_id}: {row.verdict}{mark}")
        kind = VerdictKind(row.verdict)
        meaning = "" if kind in TOLD_BY_REASON else f"{MEANING[kind]}: "
        click.echo(folded(f"{meaning}{row.reason}", FIRST * 2))
        for observation in row.observations:
            wins, attempts = observation["wins"], observation["attempts"]
            numbers = f"{wins} win{'s' * (wins != 1)}"
            if attempts:
                numbers += f" in {attempts} attempt{'s' * (attempts != 1)}"
            errno = f", errno {observation['errno']}" if observation["errno"] else ""
            detail = f", {observation['detail']}" if observation["detail"] else ""
            said = f"{observation['outcome']} ({numbers}{errno}{detail})"
            click.echo(folded(f"{observation['kind']:{WIDEST_KIND}} {said}", FIRST * 2))
