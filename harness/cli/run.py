"""`harness run`: cases carried out, verdicts stored, the matrix printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from harness.calibration import THIS_RUN, Calibration
from harness.cases import EVERY_LEAKY, Selection, attempts_of, expand, most_attempts
from harness.cli import Status, UserError
from harness.cli.load import Laboratory, chosen_targets, laboratory, opened, selection
from harness.cli.progress import Shown, progress
from harness.model import Result, VerdictKind
from harness.places.choice import Driver, Target, Wish, boot_options, footprint_mib, ready
from harness.places.local import Place, PlaceError
from harness.process import end_as_interrupted
from harness.report.junit import junit
from harness.report.lines import json_line
from harness.report.terminal import console, print_matrix, print_unexpected
from harness.results import ResultsError, Row, Store, default_path, leaky_race, row_of
from harness.runner import Job, broken_result, run_all
from harness.vm.capacity import free_mib, machines_at_once, processors
from harness.workers import end_workers, pool


@click.command("run")
@click.option(
    "--backend",
    "-b",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="ptrace, seccomp, notify, landlock, none, a leaky one, `leaky` for all of "
    "those, or `all`; may be repeated. Default: what the scenarios name.",
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
    multiple=True,
    metavar="TEXT",
    help="Only cases whose id has this text, or one of 'TEXT or TEXT'; repeated: all of them.",
)
@click.option("--attempts", type=click.IntRange(min=1), help="Attempts of each race, not raised.")
@click.option("--quick", is_flag=True, help="The manifests' lower numbers of attempts.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Cases at once; default: CPUs.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one JSON object a line, as the results come.",
)
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write JUnit XML.",
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The SQLite file that keeps results.",
)
@click.option("--resume", is_flag=True, help="Go on with the campaign that was interrupted.")
def command(
    wanted: tuple[str, ...],
    arches: tuple[str, ...],
    kernels: tuple[str, ...],
    driver: str | None,
    abis: tuple[str, ...],
    cpus: int,
    root: str | None,
    keywords: tuple[str, ...],
    attempts: int | None,
    quick: bool,
    jobs: int | None,
    json_file: Path | None,
    junit_file: Path | None,
    results: Path | None,
    resume: bool,
) -> NoReturn:
    """Run scenarios and print the matrix of verdicts.

    Exit status: 0 everything as expected, 1 an unexpected verdict, 2 usage, 3 something broken.
    """
    end_as_interrupted()
    lab = laboratory()
    wish = Wish(
        arches=arches,
        kernels=kernels,
        driver=Driver(driver) if driver else None,
        abis=abis,
        cpus=cpus,
        root=root,
    )
    chosen = {target.key: target for target in chosen_targets(wish)}
    todo = [
        job
        for target in chosen.values()
        for job in _jobs(lab, selection(wanted, keywords, target), attempts, quick, target)
    ]
    if not todo:
        raise UserError("no case is selected; `harness list` shows what there is")
    store = opened(results or default_path())
    calibration = Calibration(store.leaky_races())
    leaky = [
        job
        for target in chosen.values()
        for job in _jobs(lab, selection([EVERY_LEAKY], (), target), attempts, quick, target)
    ]
    todo += calibration.lacking(todo, leaky)
    campaign, done = _campaign(store, resume, len(todo))
    left = [job for job in todo if job.case.id not in done]
    messages = console(stderr=True)
    rows = list(done.values())
    interrupted = False
    with _lines(json_file) as write:
        for row in rows:
            write(row)

        def take(row: Row) -> None:
            store.add(campaign, row)
            rows.append(row)
            race = leaky_race(row, THIS_RUN)
            if race is not None:
                calibration.note(race)
            write(row)

        try:
            with progress(messages, len(left)) as shown:
                placed, lost = _placed(left, chosen, shown)
                for result in lost:
                    row = row_of(result)
                    take(row)
                    shown.take(row)
                at_once = _at_once(placed, jobs, shown)
                _carry_out(placed, at_once, shown, take, calibration.fitted)
        except KeyboardInterrupt:
            interrupted = True
        except (ResultsError, OSError) as error:
            messages.print(f"stopped: {error}", highlight=False, markup=False)
            interrupted = True
    if junit_file is not None:
        junit_file.write_text(junit(rows), encoding="utf-8")
    output = console()
    if rows:
        print_matrix(output, rows)
        print_unexpected(output, rows)
    if interrupted or len(rows) < len(todo):
        messages.print(f"{len(todo) - len(rows)} cases did not run; `harness run --resume` goes on")
        sys.exit(Status.BROKEN)
    store.finish(campaign)
    store.close()
    sys.exit(status_of(rows))


def status_of(rows: Sequence[Row]) -> Status:
    """The exit status for these results."""
    if any(row.verdict == VerdictKind.BROKEN for row in rows):
        return Status.BROKEN
    return Status.EXPECTED if all(row.as_expected for row in rows) else Status.UNEXPECTED


def _jobs(
    lab: Laboratory, chosen: Selection, attempts: int | None, quick: bool, target: Target
) -> list[Job]:
    jobs = []
    quick = quick or target.arch is not None
    for case in expand(lab.scenarios, lab.attacks, chosen):
        attack = lab.attacks[case.scenario.attack] if case.scenario.attack else None
        tries = attempts_of(case, attack, asked=attempts, quick=quick)
        most = most_attempts(case, attack, asked=attempts)
        jobs.append(Job(case=case, attack=attack, attempts=tries, most=most))
    return jobs


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


def _placed(
    jobs: Sequence[Job], chosen: Mapping[tuple[str, str], Target], shown: Shown
) -> tuple[list[Job], list[Result]]:
    """The jobs with their places made ready, those of one place together, and broken results
    where a place cannot be.
    """
    placed: dict[tuple[str, str, str], list[Job]] = {}
    lost: list[Result] = []
    made: dict[tuple[str, str, str], Place | PlaceError | None] = {}
    for job in jobs:
        target = chosen[job.case.place, job.case.kernel]
        append = boot_options(job.case.scenario.needs) if target.arch else ""
        key = (*target.key, append)
        if key not in made:
            try:
                shown.preparing(f"preparing {target.name} {target.kernel_name}")
                made[key] = ready(target, append, shown.say)
            except PlaceError as error:
                made[key] = error
                shown.say(
                    f"{target.name} with kernel {target.kernel_name} is not to be had: {error}"
                )
        place = made[key]
        if isinstance(place, PlaceError):
            lost.append(broken_result(job, str(place).partition("\n")[0]))
        else:
            placed.setdefault(key, []).append(replace(job, place=place))
    shown.preparing("")
    return [job for together in placed.values() for job in together], lost


def _campaign(store: Store, resume: bool, cases: int) -> tuple[int, dict[str, Row]]:
    """The campaign's number and what it has already."""
    if not resume:
        return store.begin(sys.argv[1:], cases), {}
    interrupted = store.latest(unfinished=True)
    if interrupted is None:
        raise UserError("the last campaign was not interrupted; leave --resume out")
    return interrupted.id, {row.case_id: row for row in store.rows(interrupted.id)}


@contextmanager
def _lines(path: Path | None) -> Iterator[Callable[[Row], None]]:
    """Writes one line a result, at once."""
    if path is None:
        yield lambda row: None
        return
    # Without a buffer, that a full disk is an error of its line and not of the closing.
    with path.open("wb", buffering=0) as stream:

        def write(row: Row) -> None:
            data = f"{json_line(row)}\n".encode()
            while data:
                data = data[stream.write(data) :]

        yield write


def _carry_out(
    jobs: Sequence[Job],
    workers: int,
    shown: Shown,
    take: Callable[[Row], None],
    fit: Callable[[Job], Job],
) -> None:
    """Deterministic cases side by side; then the races, which need two processors each.

    Leaky backends race first: by them the others are judged.
    """
    start = pool(workers, shown.address)
    plain = [job for job in jobs if not job.race]
    leaky = [job for job in jobs if job.race and job.case.leaky]
    races = [job for job in jobs if job.race and not job.case.leaky]
    groups = (plain, workers), (leaky, max(1, workers // 2)), (races, max(1, workers // 2))
    try:
        for group, at_once in groups:
            ready_group = list(map(fit, group)) if group is races else group
            for result in run_all(ready_group, start, at_once) if group else ():
                row = row_of(result)
                take(row)
                shown.take(row)
    except (KeyboardInterrupt, ResultsError, OSError):
        end_workers()
        raise
