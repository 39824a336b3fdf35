"""`ci/mutants`: which mistakes are tried, and what the exit status says."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from enforcer.policy.problem import suggestion
from tests.mutants.entries import Area, EntryError, Mutant, load_areas
from tests.mutants.score import Fate, Result, faults, judge, table
from tests.mutants.workers import CopyError, Task, Workers

LIMIT_S = 300.0
HANG_LIMIT_S = 60.0
"""How long the tests of a mistake may take that makes them hang: they take seconds without it."""
UNCHANGED_LIMIT_S = 1800.0
TENTH = 10


class Status(IntEnum):
    """Exit statuses."""

    NOTICED = 0
    SURVIVED = 1
    USAGE = 2
    BROKEN = 3


def main(arguments: Sequence[str], root: Path) -> Status:
    """Try the mistakes of the tree at `root`."""
    options = _parser().parse_args(arguments)
    try:
        areas = load_areas(root)
    except EntryError as error:
        print(error, file=sys.stderr)
        return Status.USAGE
    unknown = [name for name in options.areas if name not in areas]
    for name in unknown:
        mend = suggestion(name, areas) or "there are " + ", ".join(areas)
        print(f"ci/mutants: no area {name!r}; {mend}", file=sys.stderr)
    chosen = [areas[name] for name in options.areas or areas if name in areas]
    mutants = [mutant for area in chosen for mutant in area.mutants]
    if unknown or not mutants:
        print("ci/mutants: nothing to try", file=sys.stderr)
        return Status.USAGE
    if options.tenth is not None:
        print(f"a random tenth; again with --tenth {options.tenth}")
        mutants = tenth(chosen, options.tenth)
    if options.list:
        print(*(f"{each.area}: {each.change.place}: {each.why}" for each in mutants), sep="\n")
        return Status.NOTICED
    return _try(root, chosen, mutants, min(options.workers, len(mutants)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/mutants",
        description="Make one mistake at a time in a copy of the tree, and run the tests that must "
        "fail for it. Exit status: 0 all noticed, 1 some survived, 2 usage or a mistake in "
        "tests/mutants/*.yaml, 3 something broke.",
    )
    parser.add_argument("areas", nargs="*", metavar="AREA", help="all of tests/mutants by default")
    parser.add_argument(
        "--tenth",
        nargs="?",
        type=int,
        const=random.SystemRandom().randrange(1 << 31),
        metavar="SEED",
        help="a random tenth of them, one of each area at least; the seed is printed",
    )
    parser.add_argument(
        "-j",
        dest="workers",
        type=_workers,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="how many at a time (default: one a CPU)",
    )
    parser.add_argument("--list", action="store_true", help="print them and try none")
    return parser


def _workers(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def tenth(areas: Sequence[Area], seed: int) -> list[Mutant]:
    """One of each area and others at random, a tenth in all; the same for the same seed."""
    chance = random.Random(seed)
    chosen = [chance.choice(area.mutants) for area in areas if area.mutants]
    rest = [each for area in areas for each in area.mutants if each not in chosen]
    total = -(-(len(rest) + len(chosen)) // TENTH)
    return chosen + chance.sample(rest, max(0, total - len(chosen)))


def _try(root: Path, areas: Sequence[Area], mutants: Sequence[Mutant], count: int) -> Status:
    try:
        with Workers(root, count) as workers:
            for copy in workers.copies:
                copy.check_imports(_modules(mutants))
            if not _pass_unchanged(workers, mutants):
                return Status.BROKEN
            results = _results(workers, mutants)
    except CopyError as error:
        print(f"ci/mutants: {error}", file=sys.stderr)
        return Status.BROKEN
    print(*faults(results), *table(areas, results), sep="\n")
    fates = {each.fate for each in results}
    if Fate.BROKEN in fates:
        return Status.BROKEN
    return Status.SURVIVED if Fate.SURVIVED in fates else Status.NOTICED


def _modules(mutants: Sequence[Mutant]) -> list[str]:
    """Dotted names of the changed files that Python imports."""
    files = {each.change.file for each in mutants if each.change.file.suffix == ".py"}
    return sorted(".".join(file.with_suffix("").parts) for file in files)


def _pass_unchanged(workers: Workers, mutants: Sequence[Mutant]) -> bool:
    """Whether all their tests pass as the tree is: a test that fails anyway notices nothing."""
    named = {test for mutant in mutants for test in mutant.tests}
    tests = sorted(test for test in named if "::" not in test or test.split("::")[0] not in named)
    parts = [tuple(tests[number :: len(workers.copies)]) for number in range(len(workers.copies))]
    tasks = [Task(tests=part, limit_s=UNCHANGED_LIMIT_S) for part in parts if part]
    passed = True
    for ran in workers.run(tasks):
        if ran.status == 0:
            continue
        passed = False
        how = "took too long" if ran.status is None else f"ended with status {ran.status}"
        tried = " ".join(tasks[ran.index].tests)
        print(f"ci/mutants: without any mistake {tried} {how}\n{ran.said}", file=sys.stderr)
    return passed


def _results(workers: Workers, mutants: Sequence[Mutant]) -> list[Result]:
    """What became of each, in their order."""
    tasks = [
        Task(
            tests=mutant.tests,
            limit_s=HANG_LIMIT_S if mutant.hangs else LIMIT_S,
            change=mutant.change,
        )
        for mutant in mutants
    ]
    results: dict[int, Result] = {}
    for ran in workers.run(tasks):
        result = results[ran.index] = judge(mutants[ran.index], ran)
        counted = f"[{len(results)}/{len(mutants)}]"
        place = result.mutant.change.place
        print(f"{counted} {result.fate} {place} {ran.seconds:.1f} s", file=sys.stderr)
    return [results[index] for index in sorted(results)]
