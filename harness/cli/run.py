"""`harness run`: cases carried out, verdicts stored, the matrix printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource
from rich.console import Console

from harness import tree
from harness.backends import is_file, leaky_names
from harness.build import awaited
from harness.calibration import Calibration, natives
from harness.campaign import Places, Pool, belongs, carry_out_all, jobs_of
from harness.cases import EVERY_LEAKY
from harness.cli import Status, UserError
from harness.cli.asked import Asked
from harness.cli.load import (
    Laboratory,
    chosen_targets,
    laboratory,
    opened,
    selection,
    supported,
    unmeasured,
    wanted_in,
)
from harness.cli.names import complete_backends, complete_scenarios
from harness.cli.progress import Shown, progress
from harness.cli.written import STANDARD_OUTPUT, lines, write_junit
from harness.judged import (
    Excuse,
    JudgedError,
    load_excuses,
    machine_of,
    nothing_judged,
    unexcused,
)
from harness.model import Result, VerdictKind
from harness.places.choice import Driver, Target, footprint_mib
from harness.places.local import machine_in_words
from harness.process import end_as_interrupted
from harness.provenance import modules_digest
from harness.report.junit import junit
from harness.report.terminal import console, print_results
from harness.results import Campaign, Origin, ResultsError, Row, Store, default_path, row_of
from harness.runner import Job
from harness.suites import Suite, mutation_score
from harness.vm.capacity import free_mib, machines_at_once, processors
from harness.workers import pool


@click.command("run")
@click.option(
    "--backend",
    "-b",
    "wanted",
    shell_complete=complete_backends,
    multiple=True,
    metavar="NAME",
    help="ptrace, seccomp, notify, landlock, broker, capabilities, strict, none; apparmor, tomoyo, "
    "selinux, bpf-lsm, audit, removed, syscalls-cgroup, in machines of their own; a leaky one, "
    "or `leaky` for all of those; bwrap, preload, systemd and others' sandboxes, or `external` "
    "for all of those; a FILE that describes one; `all`. May be repeated. Default: what the "
    "scenarios name.",
)
@click.option(
    "--arch",
    "-a",
    "arches",
    multiple=True,
    metavar="ARCH",
    help="x86_64, i386, arm, arm64, riscv64, s390x, ppc64le; may be repeated. What this machine "
    "does not run is run in virtual machines.",
)
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="KERNEL",
    help="6.1, 6.12 or 7.2 (Debian's), `host`, or the path of a kernel or its build tree.",
)
@click.option(
    "--vm",
    "driver",
    type=click.Choice([driver.value for driver in Driver]),
    help="Restored snapshots, virtme-ng, or none. Default: snapshots where a VM is needed.",
)
@click.option(
    "--abi",
    "abis",
    multiple=True,
    metavar="ABI",
    help="Programs of this calling convention: i386 or x32 on x86_64, arm on arm64.",
)
@click.option(
    "--cpus", type=click.IntRange(1, 8), default=2, show_default=True, help="CPUs of a guest."
)
@click.option("--root", metavar="DIR", help="With --vm vng: the guest's root file system.")
@click.option(
    "--keyword",
    "-k",
    "keywords",
    shell_complete=complete_scenarios,
    multiple=True,
    metavar="TEXT",
    help="Only cases whose id or attack has this text, or one of 'TEXT or TEXT'; repeated: all.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    help="Attempts per race, also where a verdict would take more, or fewer would be enough.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="One way of each attack beside its plain variants, and lower numbers of attempts; "
    "what is left out is counted.",
)
@click.option(
    "--all-ways",
    is_flag=True,
    help="Every way of each attack in virtual machines, too, where by default there is one.",
)
@click.option(
    "--suite",
    type=click.Choice([suite.value for suite in Suite]),
    help="`mutation`: every attack on its leaky backends, one way of each, and the score: 1 is the "
    "exit status unless each attack defeats one and each one is defeated.",
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Cases at once; default: CPUs.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Send cases to the workers of Dask's scheduler there (tcp://HOST:8786): machines of this "
    "kind, with this version. See docs/scale.md.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write one JSON object a line, as the results come; `-` is standard output.",
)
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write JUnit XML; `-` is standard output.",
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The SQLite file that keeps results.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with this tree's interrupted campaign, with its selection; what has changed since "
    "is run again.",
)
@click.option(
    "--require-judged",
    "excuses_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Fail when a case is inapplicable that FILE does not name (as ci/inapplicable.yaml).",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    results: Path | None,
    resume: bool,
    json_file: Path | None,
    junit_file: Path | None,
    jobs: int | None,
    excuses_file: Path | None,
    scheduler: str | None,
    **selected: object,
) -> NoReturn:
    """Run scenarios and print the matrix of verdicts.

    Exit status: 0 everything as expected, 1 an unexpected verdict or a mutation score under 100 %,
    2 usage, 3 something broken or nothing judged, 130 interrupted (--resume goes on).
    """
    if json_file == junit_file == STANDARD_OUTPUT:
        raise UserError("--json and --junit cannot both have standard output")
    end_as_interrupted()
    excuses = _excuses(excuses_file)
    lab = laboratory(lenient=True)
    store = opened(results or default_path())
    messages = console(stderr=True)
    wished = Asked.of(selected).as_suite()
    there = supported(wished.wanted, partial(messages.print, highlight=False, markup=False))
    asked = replace(wished, wanted=there)
    resumed: Campaign | None = None
    if resume:
        resumed = _interrupted(store, str(lab.root))
        given = [name for name in selected if _is_given(context, name)]
        asked = _stored(resumed, asked, given)
    if not lab.scenarios:
        raise UserError(f"there is no scenario in {lab.root}: `harness new scenario` writes one")
    unmeasured(lab, asked.wanted)
    targets = chosen_targets(asked.wish(), asked.wanted)
    todo = todo_of(lab, asked, targets)
    if not todo:
        raise UserError(_nothing(lab, asked, targets))
    remote = _remote(scheduler, targets)
    leaky = replace(asked, wanted=(EVERY_LEAKY,))
    beside = [job.as_yardstick() for each in targets for job in _jobs(lab, leaky, each, ())]
    campaign = resumed or store.begin(sys.argv[1:], len(todo), origin_of(lab, asked))
    for mistake in lab.mistakes:
        messages.print(str(mistake), highlight=False, markup=False, soft_wrap=True)
    every = len(todo_of(lab, replace(asked, quick=False, all_ways=True), targets))
    if len(todo) < every:
        said = f"{len(todo)} of {every} cases, one way of each attack"
        rest = "quick: {}" if asked.quick else "{} in virtual machines; --all-ways takes the rest"
        messages.print(rest.format(said), highlight=False)
    with lines(json_file) as write, progress(messages, len(todo)) as shown:
        run = Run(store=store, campaign=campaign, write=write, shown=shown)
        try:
            crew = partial(crew_of, at_once=jobs, shown=shown, remote=remote)
            run.carry_out(targets, todo, beside, crew, again=resumed is not None)
        except KeyboardInterrupt:
            run.is_interrupted = run.is_ended_by_user = True
        except (ResultsError, OSError) as error:
            shown.say(f"stopped: {error}")
            run.is_interrupted = True
    if not run.is_interrupted:
        campaign = store.finish(campaign.id)
    if junit_file is not None:
        write_junit(junit_file, junit(run.rows, (campaign,)))
    if run.rows:
        is_taken = STANDARD_OUTPUT in (json_file, junit_file)
        print_results(messages if is_taken else console(), run.rows, (campaign,))
    if run.is_interrupted:
        left = max(run.total - len(run.rows), 0)
        cases = "1 case" if left == 1 else f"{left} cases"
        messages.print(f"{cases} did not run; `harness run --resume` goes on")
        sys.exit(Status.INTERRUPTED if run.is_ended_by_user else Status.BROKEN)
    store.close()
    status = _status(run.rows, excuses, messages)
    status = status if there == wished.wanted else Status.BROKEN
    if asked.suite:
        status = max(status, _scored(lab, asked, todo, run.rows, messages))
    sys.exit(status)


def _scored(
    lab: Laboratory, asked: Asked, todo: Sequence[Job], rows: Sequence[Row], messages: Console
) -> Status:
    """Print the suite's score. Of a part that was chosen by keywords, that part's."""
    if asked.keywords:
        attacks = {job.attack.id for job in todo if job.attack is not None}
        leaky = {job.case.backend for job in todo}
    else:
        attacks, leaky = set(lab.attacks), set(leaky_names())
    score = mutation_score(rows, attacks, leaky)
    for line in score.lines():
        messages.print(line, highlight=False, markup=False)
    return Status.EXPECTED if score.is_full else Status.UNEXPECTED


@dataclass(kw_only=True)
class Run:
    """One campaign while it is carried out: every result is stored, written and shown at once."""

    store: Store
    campaign: Campaign
    write: Callable[[Row], None]
    shown: Shown
    rows: list[Row] = field(default_factory=list)
    total: int = 0
    is_interrupted: bool = False
    is_ended_by_user: bool = False
    is_torn: bool = False

    def carry_out(
        self,
        targets: Sequence[Target],
        todo: Sequence[Job],
        leaky: Sequence[Job],
        crew: Callable[[Sequence[Job]], Pool],
        *,
        again: bool,
    ) -> None:
        """The jobs `todo`, and those of `leaky` without which they could not be judged, by a `crew`
        that is enough for them. `again`: the campaign was begun before.
        """
        self.total = len(todo)
        places = Places(targets, self.shown.say, self.shown.preparing)
        placed, lost = places.placed(todo)
        measuring = places.beside(leaky)
        calibration = Calibration(self.store.leaky_runs(), belongs=belongs)
        done = self._still_true([*placed, *measuring, *natives(measuring)]) if again else {}
        for row in done.values():
            self._show(row)

        def carry_out(jobs: Sequence[Job], further: int) -> None:
            left = [job for job in jobs if job.case.id not in done]
            self.total = len(self.rows) + len(lost) + len(left) + further
            self.shown.expect(self.total)
            carry_out_all(left, crew(left), calibration, self._take)

        unjudged = sum(job.case.id not in done for job in placed)
        carry_out(calibration.lacking_here(placed, measuring), unjudged)
        carry_out([*placed, *calibration.lacking(placed, measuring)], 0)
        # Nothing is known of these, and nothing is stored: the campaign goes on once their place
        # can be prepared.
        self.is_interrupted = bool(lost)

    def _take(self, result: Result) -> None:
        row = row_of(result)
        self.store.add(self.campaign.id, row)
        # Workers load the modules when they start: those of other files judge otherwise, and what
        # leaky enforcers lost under the old ones is no reference for them.
        others = result.provenance and result.provenance.modules != modules_digest()
        if others and not self.is_torn:
            self.is_torn = True
            self.shown.say("the laboratory's own files changed during the run: run it again")
        self._show(row)

    def _show(self, row: Row) -> None:
        self.rows.append(row)
        self.write(row)
        self.shown.take(row)

    def _still_true(self, jobs: Sequence[Job]) -> dict[str, Row]:
        """The campaign's rows that belong to what stands there now."""
        # A file of the user's is in no digest: its cases are run again.
        now = {job.case.id: belongs(job) for job in jobs if not is_file(job.case.backend)}
        rows = [row for row in self.store.rows(self.campaign.id) if row.case_id in now]
        done = {row.case_id: row for row in rows if row.provenance == now[row.case_id] is not None}
        changed = len(rows) - len(done)
        if changed:
            what = f"{changed} results of campaign {self.campaign.id}"
            self.shown.say(f"{what} are run again: what they rest on has changed")
        return done


def status_of(rows: Sequence[Row]) -> Status:
    """The exit status for these results: where nothing was judged, nothing is as expected."""
    if any(row.verdict == VerdictKind.BROKEN for row in rows) or nothing_judged(rows):
        return Status.BROKEN
    return Status.EXPECTED if all(row.as_expected for row in rows) else Status.UNEXPECTED


def _status(rows: Sequence[Row], excuses: Sequence[Excuse] | None, messages: Console) -> Status:
    """As status_of, said where it is not plain, and strict with what may be inapplicable."""
    status = status_of(rows)
    if nothing_judged(rows):
        messages.print("nothing was judged: every case is inapplicable here")
    silent = unexcused(rows, excuses) if excuses is not None else []
    for row in silent:
        said = f"not judged: {row.case_id} on {machine_of(row)}: {row.reason}"
        messages.print(said, highlight=False, markup=False)
    return max(status, Status.UNEXPECTED) if silent else status


def _excuses(path: Path | None) -> tuple[Excuse, ...] | None:
    try:
        return None if path is None else load_excuses(path)
    except JudgedError as error:
        raise UserError(str(error)) from None


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _interrupted(store: Store, root: str) -> Campaign:
    """The campaign to go on with. Raises UserError."""
    try:
        found = store.interrupted(root)
    except ResultsError as error:
        raise UserError(str(error)) from None
    if found is None:
        raise UserError(
            f"the last campaign of {root} was not interrupted, or there is none; leave --resume out"
        )
    return found


def _stored(campaign: Campaign, asked: Asked, given: Sequence[str]) -> Asked:
    """The selection that an interrupted campaign was begun with. Raises UserError where the
    command line asks for another one.
    """
    stored = Asked.of(json.loads(campaign.selection))
    for name in given:
        if getattr(asked, name) != getattr(stored, name):
            raise UserError(
                f"--resume goes on with the selection of campaign {campaign.id} "
                f"(harness {' '.join(json.loads(campaign.arguments))}): leave other options out"
            )
    return stored


def origin_of(lab: Laboratory, asked: Asked) -> Origin:
    """Where a campaign that is begun now comes from."""
    return Origin(
        root=str(lab.root),
        tree=tree.revision(lab.root, modules_digest()),
        machine=machine_in_words(),
        selection=json.dumps(asdict(asked)),
    )


def todo_of(lab: Laboratory, asked: Asked, targets: Sequence[Target]) -> list[Job]:
    """What was asked for, in each place what runs there."""
    return [
        job
        for target in targets
        if (wanted := wanted_in(target, asked.wanted)) is not None
        for job in _jobs(lab, replace(asked, wanted=wanted), target, asked.keywords)
    ]


def _nothing(lab: Laboratory, asked: Asked, targets: Sequence[Target]) -> str:
    """Why no case is selected: what is left has no place for the backends that are asked for."""
    if not asked.quick and todo_of(lab, replace(asked, all_ways=True), targets):
        return "no case is selected in virtual machines without --all-ways: add it"
    beside = todo_of(lab, replace(asked, wanted=()), targets) if asked.wanted else []
    own = sorted({job.case.scenario.id for job in beside if job.case.scenario.backends})
    if not own:
        return "no case is selected; `harness list` shows what there is"
    which = own[0] if len(own) == 1 else f"{own[0]} (and {len(own) - 1} more)"
    return (
        f"no case is selected: under `backends`, {which} does not name {' or '.join(asked.wanted)}"
    )


def _jobs(lab: Laboratory, asked: Asked, target: Target, keywords: Sequence[str]) -> list[Job]:
    guest = target.arch is not None
    return jobs_of(
        lab.scenarios,
        lab.attacks,
        selection(
            asked.wanted, keywords, target, quick=asked.quick or (guest and not asked.all_ways)
        ),
        attempts=asked.attempts,
        quick=asked.quick or guest,
    )


def _remote(scheduler: str | None, targets: Sequence[Target]) -> Pool | None:
    """The workers of a scheduler. Raises UserError."""
    if scheduler is None:
        return None
    if any(target.arch for target in targets):
        raise UserError("--scheduler sends the cases of this kind of machine, none of guests")
    from harness.scheduler import SchedulerError
    from harness.scheduler import pool as remote_pool

    try:
        return remote_pool(scheduler)
    except SchedulerError as error:
        raise UserError(str(error)) from None


def crew_of(jobs: Sequence[Job], *, at_once: int | None, shown: Shown, remote: Pool | None) -> Pool:
    """The workers for these jobs: those of a scheduler, or processes of this machine."""
    if remote is not None:
        return replace(remote, workers=min(at_once or remote.workers, remote.workers))
    workers = _at_once(jobs, at_once, shown)
    return Pool(start=pool(workers, shown.address), workers=workers, awaited=awaited)


def _at_once(jobs: Sequence[Job], wanted: int | None, shown: Shown) -> int:
    """How many cases run side by side: as many as there are processors, and memory for guests."""
    cases = wanted or processors()
    guest_mib = max((footprint_mib(job.place) for job in jobs), default=0)
    if not guest_mib:
        return cases
    machines = machines_at_once(guest_mib, cases, free_mib())
    if machines < cases:
        shown.say(f"free memory is enough for {machines} machines of {guest_mib} MiB at once")
    return machines
