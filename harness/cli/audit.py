"""`harness audit`: does a user's own policy hold?"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NoReturn

import click

from enforcer.access.notes import listed
from enforcer.cli import form_option
from enforcer.filters.walk import NotFollowed
from enforcer.mechanisms.contract import MechanismName
from enforcer.policy.problem import PolicyError
from harness.attack import Attack
from harness.audit import Judged, Probe, Untried, judged, probes, untried, write
from harness.audit_filter import is_filter, probes_of_filter
from harness.backends import external_names, is_leaky
from harness.campaign import jobs_of
from harness.cases import EVERY_EXTERNAL, EVERY_LEAKY, matches
from harness.cli import Status, UserError
from harness.cli.asked import Asked
from harness.cli.audit_runtime import audit_runtimes
from harness.cli.load import Laboratory, chosen_targets, laboratory, opened, selection
from harness.cli.progress import Counted, progress
from harness.cli.run import Run, crew_of, origin_of
from harness.directories import state_directory
from harness.model import VerdictKind
from harness.places.choice import Driver, Wish
from harness.process import end_as_interrupted
from harness.report.lines import json_line
from harness.report.matrix import SHORT
from harness.report.terminal import console
from harness.results import Row, default_path
from harness.runner import Job

WIDTH = 80
SHOWN = 3
"""Of the cases that came out worst, how many are named."""

FAILING = (VerdictKind.BYPASSED, VerdictKind.NOT_ENFORCING, VerdictKind.UNLOGGED)
FAILED = Counted(word="failed", holds_for=lambda row: not row.leaky and row.verdict in FAILING)
"""A policy's author expects nothing of a case: a rule is to hold in it."""


@click.command("audit")
@click.argument(
    "policy", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--backend", "-b", "wanted", multiple=True, metavar="NAME", help="Default: ours, as for `run`."
)
@click.option(
    "--keyword", "-k", "keywords", multiple=True, metavar="TEXT", help="Attacks with this text."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the scenarios are written, for `harness repro` and `explain` there.",
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Cases at once; default: CPUs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each case.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME",
    help="What NAME installs from POLICY instead (crun, systemd...; pid:N, a process that runs).",
)
@click.option("--table", "as_table", is_flag=True, help="With --runtime: rows of Markdown.")
@form_option
def command(
    policy: Path | None,
    wanted: tuple[str, ...],
    keywords: tuple[str, ...],
    keep: Path | None,
    jobs: int | None,
    as_json: bool,
    results: Path | None,
    runtimes: tuple[str, ...],
    as_table: bool,
    form: str | None,
) -> NoReturn:
    """Does POLICY hold? Its denying rules, each against the attacks that it should stop.

    POLICY may be a filter of others (docs/filters.md): what `enforcer audit` finds open in it is
    proven by the attacks that it should stop, under the policy that is made of it.

    Names and addresses that the rules deny are exchanged for those of a scratch directory with
    sentinels in it; the user's files are never touched.

    With --runtime nothing is attacked: a program is started by the runtime under POLICY, its
    filters are read from it, and compared with what POLICY means, over all calls and registers.
    `--runtime chromium` takes no POLICY: its processes are compared with what its documents say.

    Exit status: 0 every rule that could be judged holds, 1 one falls or is not enforced, 2 usage,
    3 no rule could be judged, 130 interrupted. What a mechanism cannot express is told, and fails
    nothing.
    """
    end_as_interrupted()
    if runtimes:
        sys.exit(audit_runtimes(runtimes, policy, form, keep, as_json=as_json, as_table=as_table))
    if policy is None:
        raise click.UsageError("Missing argument 'POLICY'.")
    lab = laboratory()
    attacks = [each for each in lab.attacks.values() if matches(each.id, keywords)]
    asked_for = selection(wanted, (), chosen_targets(Wish(driver=Driver.NONE))[0])
    named = _named(asked_for.backends)
    dialect = _dialect(policy, form)
    if is_filter(policy, form):
        found, left = _probes_of_filter(policy, attacks, form)
        backends = named or (MechanismName.SECCOMP.value,)
    else:
        found, left = _probes(policy, attacks, dialect)
        backends = named or asked_for.ours
    directory = _directory(policy, keep)
    write(found, directory, dialect=dialect, backends=backends, scenarios=lab.scenarios)
    rows = _carry_out(laboratory(directory), jobs, results)
    if as_json:
        for row in rows:
            click.echo(json_line(row))
    else:
        _print(found, rows, directory)
        _print_untried(left)
    verdicts = [each for _, of_it in _by_rule(found, rows) for each in judged(of_it)]
    sys.exit(_status(verdicts))


def _named(wanted: Sequence[str]) -> tuple[str, ...]:
    """The backends that are asked for, one by one. Raises UserError where one of them is leaky."""
    for name in wanted:
        if name == EVERY_LEAKY or is_leaky(name):
            raise UserError(
                f"{name}: a leaky backend loses, so that others can be judged by it: name those, "
                f"or see it lose: harness run -b {name}"
            )
    every = {EVERY_EXTERNAL: external_names()}
    return tuple(name for each in wanted for name in every.get(each, (each,)))


def _directory(policy: Path, keep: Path | None) -> Path:
    """Where the scenarios are to be written: an empty one. Raises UserError."""
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise UserError(f"{keep} is not empty: nothing of yours is written over")
        return keep.resolve()
    directory = state_directory() / "audit" / policy.stem
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def _dialect(policy: Path, form: str | None) -> str:
    """Of the policies that are tried: the one that is made of a filter of others is YAML."""
    if form is not None:
        return "systrace" if form == "systrace" else "yaml"
    is_yaml = policy.suffix in (".yaml", ".yml") or is_filter(policy)
    return "yaml" if is_yaml else "systrace"


def _probes_of_filter(
    policy: Path, attacks: Sequence[Attack], form: str | None
) -> tuple[list[Probe], list[Untried]]:
    """What is proven of a filter of others, and what it leaves open beside. Raises UserError."""
    try:
        found, left = probes_of_filter(policy, attacks, form)
    except (PolicyError, NotFollowed) as error:
        raise UserError(str(error)) from None
    if not found:
        rest = "".join(f"\n  {each.said}: {each.why}" for each in left)
        raise UserError(
            f"{policy}: no attack proves anything of it: `enforcer audit` says what is open{rest}"
        )
    return found, left


def _probes(
    policy: Path, attacks: Sequence[Attack], dialect: str
) -> tuple[list[Probe], list[Untried]]:
    """What is tried, and the rules for which nothing is. Raises UserError where that is all."""
    try:
        text = policy.read_text(encoding="utf-8")
        found = probes(text, dialect, policy.name, attacks)
        left = untried(text, dialect, policy.name, attacks, found)
    except UnicodeDecodeError:
        raise UserError(f"{policy}: the file is not UTF-8") from None
    except PolicyError as error:
        raise UserError(str(error)) from None
    if not found:
        calls = listed(sorted({each.direct_call for each in attacks}))
        rules = "".join(f"\n  {each.place}: {each.said}: {each.why}" for each in left)
        raise UserError(
            f"{policy}: no attack speaks of a denial in it: it has to deny some of {calls} in one "
            f"place, and to permit them in another{rules}"
        )
    return found, left


def _carry_out(lab: Laboratory, at_once: int | None, results: Path | None) -> list[Row]:
    (target,) = chosen_targets(Wish(driver=Driver.NONE))

    def jobs(names: tuple[str, ...]) -> list[Job]:
        chosen = selection(names, (), target, quick=True)
        return jobs_of(lab.scenarios, lab.attacks, chosen, attempts=None, quick=True)

    todo = [job for job in jobs(()) if not job.case.leaky]
    store = opened(results or default_path())
    campaign = store.begin(sys.argv[1:], len(todo), origin_of(lab, Asked.quickly()))
    messages = console(stderr=True)
    with progress(messages, len(todo), FAILED) as shown:
        run = Run(store=store, campaign=campaign, write=lambda row: None, shown=shown)
        try:
            crew = partial(crew_of, at_once=at_once, shown=shown, remote=None)
            run.carry_out([target], todo, jobs((EVERY_LEAKY,)), crew, again=False)
        except KeyboardInterrupt:
            messages.print("interrupted")
            sys.exit(Status.INTERRUPTED)
    store.finish(campaign.id)
    store.close()
    return run.rows


def _by_rule(found: Sequence[Probe], rows: Sequence[Row]) -> list[tuple[list[Probe], list[Row]]]:
    """The results of each rule, beside its probes."""
    by_rule = []
    for _, of_it in groupby(found, key=lambda probe: probe.rule):
        together = list(of_it)
        ids = {probe.id for probe in together}
        by_rule.append((together, [row for row in rows if row.scenario in ids]))
    return by_rule


def _print(found: Sequence[Probe], rows: Sequence[Row], directory: Path) -> None:
    for of_rule, of_it in _by_rule(found, rows):
        probe = of_rule[0]
        permitted = {each.id: each.permitted for each in of_rule}
        click.echo(textwrap.fill(f"{probe.place}: {probe.said}", WIDTH, subsequent_indent="    "))
        for each in judged(of_it):
            counts = ", ".join(
                f"{SHORT[kind]} {sum(row.verdict == kind for row in each.rows)}"
                for kind in dict.fromkeys(VerdictKind(row.verdict) for row in each.rows)
            )
            click.echo(f"  {each.backend:12} {_word(each):16} {counts}")
            for line in _shown(each, permitted):
                click.echo(f"      {line}")
        click.echo()
    click.echo(f"by hand: cd {directory}\n         harness explain 'CASE'; harness repro 'CASE'")


def _print_untried(left: Sequence[Untried]) -> None:
    for each in left:
        click.echo()
        click.echo(textwrap.fill(f"{each.place}: {each.said}", WIDTH, subsequent_indent="    "))
        why = textwrap.fill(f"not tried: {each.why}", WIDTH - 2)
        click.echo(textwrap.indent(why, "  "))


def _shown(each: Judged, permitted: Mapping[str, Sequence[str]]) -> list[str]:
    """The cases in which the rule falls, or why there is no verdict. `permitted` are, by scenario,
    the calls that the policy itself leaves to the attack.
    """
    if each.holds:
        return []
    if each.kind not in FAILING:
        why = each.worst[0].reason.partition("\n")[0]
        return textwrap.wrap(why, WIDTH - 6, break_long_words=False)
    shown = []
    for row in each.worst[:SHOWN]:
        shown.append(row.case_id)
        if left := permitted[row.scenario]:
            shown += textwrap.wrap(f"the policy itself permits {listed(left)}", WIDTH - 6)
    more = len(each.worst) - SHOWN
    return [*shown, f"and {more} more: --json"] if more > 0 else shown


def _word(each: Judged) -> str:
    words = {
        VerdictKind.HELD: "holds",
        VerdictKind.BYPASSED: "FALLS",
        VerdictKind.NOT_ENFORCING: "NOT ENFORCED",
        VerdictKind.UNLOGGED: "UNLOGGED",
        VerdictKind.INEXPRESSIBLE: "inexpressible",
    }
    return words.get(each.kind, "not judged")


def _status(verdicts: Sequence[Judged]) -> Status:
    told = [each for each in verdicts if each.is_judged]
    if any(each.kind in FAILING for each in told):
        return Status.UNEXPECTED
    return Status.EXPECTED if any(each.holds for each in told) else Status.BROKEN
