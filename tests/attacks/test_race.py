"""What every race has in common: the sweep over delays, and what gives it more time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from enforcer.arch import native
from harness import process
from harness.attack import load_attacks
from harness.build import build_source
from harness.places import features
from harness.wideners import WIDENERS, widener_of
from tests.attacks.laboratory import ROOT, run_unconfined

NATIVE = native().abis[0].name
RUNGS = 10
RACE = load_attacks(ROOT)["race/path-race"]

SWEEPING = """\
#include "race.h"

/* A race without another side, of which the delay `peer=` wins every attempt. */
int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	_Atomic unsigned int turns = 1;
	int made[RUNGS] = { 0 };

	race_begin(&run);
	while (race_next(&run, &turns)) {
		made[atomic_load(&sweep->rung)]++;
		run.wins += (int)atomic_load(&sweep->rung) == run.peer;
		turns++;
	}
	for (unsigned int i = 0; i < RUNGS; i++)
		printf("%d ", made[i]);
	putchar('\\n');
	run_end(&run);
}
"""

SWEEPS = [
    ("the last one wins", 9, None, 9),
    ("the first one wins", 0, None, 0),
    ("one that won elsewhere wins nothing here", 99, 4, 4),
    ("another than the one that won elsewhere", 2, 4, 2),
]


def swept(tmp_path: Path, winner: int, rung: int | None, *further: str) -> tuple[list[int], str]:
    """The attempts with each delay, and what the program says besides."""
    source = tmp_path / "sweeping.c"
    source.write_text(SWEEPING)
    program = build_source(source, NATIVE, include=ROOT / "include")
    words = ["attempts=1000", f"peer={winner}", *([] if rung is None else [f"rung={rung}"])]
    words += further
    first, _, rest = process.run([str(program), "attack", *words]).stdout.partition("\n")
    return [int(word) for word in first.split()], rest


@pytest.mark.parametrize(
    ("winner", "rung", "kept"), [row[1:] for row in SWEEPS], ids=[row[0] for row in SWEEPS]
)
def test_a_race_keeps_to_the_delay_that_wins(
    winner: int, rung: int | None, kept: int, tmp_path: Path
) -> None:
    """Every delay is tried, most attempts are made with the one that won, here or else before."""
    made, rest = swept(tmp_path, winner, rung)
    assert len(made) == RUNGS
    assert min(made) > 0
    assert made[kept] == max(made) > sum(made) / 2
    assert (f"RUNG {winner}\n" in rest) == (winner < RUNGS)


def test_without_a_win_every_delay_has_its_turn(tmp_path: Path) -> None:
    """Nothing says that one is better."""
    made, _ = swept(tmp_path, 99, None)
    assert max(made) - min(made) <= 16


@pytest.mark.parametrize(
    ("winner", "enough", "made"),
    [(0, 3, 80), (9, 8, 80), (9, 12, 84), (99, 8, 1000), (0, 0, 1000)],
    ids=["in the first round", "in the last", "behind it", "never", "not asked for"],
)
def test_enough_wins_end_a_race_behind_a_round_of_each_delay(
    tmp_path: Path, winner: int, enough: int, made: int
) -> None:
    """A rate that only its best delay had would be that of no race."""
    found, rest = swept(tmp_path, winner, None, f"enough={enough}")
    assert sum(found) == made
    assert (f"RUNG {winner}\n" in rest) == (winner < RUNGS)


PATH_MAX, FUSE_OUT_HEADER = 4096, 16


@pytest.mark.parametrize("variant", [each for each in RACE.every_variant if widener_of(each)])
def test_a_widened_race_shows_its_effect(variant: str, tmp_path: Path) -> None:
    """Without an enforcer; its twin goes as well, and no widener is refused."""
    widener = widener_of(variant)
    assert widener is not None
    feature = WIDENERS[widener].feature
    if feature and (why := features.FEATURES[feature]()):
        pytest.skip(f"this kernel lacks {feature}: {why}")
    seen = run_unconfined(RACE, NATIVE, variant, "attack", tmp_path / "attack")
    assert seen.reached
    assert "refused" not in seen.completed.stdout
    assert run_unconfined(RACE, NATIVE, variant, "benign", tmp_path / "benign").served


def test_the_filter_is_long_and_the_callers_alone(tmp_path: Path) -> None:
    """As strace sees it: one filter of the most instructions, and no flag that others get it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    through = ["strace", "-f", "-e", "trace=seccomp", "-o", str(log)]
    scratch = tmp_path / "scratch"
    run_unconfined(RACE, NATIVE, "default+filter", "attack", scratch, through=through)
    assert re.search(r"seccomp\(SECCOMP_SET_MODE_FILTER, 0, \{len=4096,.*= 0", log.read_text())


def test_a_served_page_comes_anew(tmp_path: Path) -> None:
    """As strace sees it: the page tables and the page cache have lost it behind most turns."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if why := features.FEATURES["fuse"]():
        pytest.skip(f"this kernel lacks fuse: {why}")
    log = tmp_path / "calls"
    through = ["strace", "-f", "-e", "trace=write", "-o", str(log)]
    seen = run_unconfined(RACE, NATIVE, "default+fuse", "attack", tmp_path / "x", through=through)
    pages = re.findall(rf"write\(.*, {PATH_MAX + FUSE_OUT_HEADER}[ )]", log.read_text())
    assert len(pages) > seen.attempts // 4


PAUSING = """\
#include "race.h"

/* The other side of a race, which makes one turn. */
int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	race_begin(&run);
	flip_pause();
	run_end(&run);
}
"""
SLEEP = r"nanosleep\((?:CLOCK_REALTIME, 0, )?\{tv_sec=0, tv_nsec=100000\}, NULL\) = "

PAUSES = [
    ("it sleeps", [], SLEEP + "0"),
    (
        "or lets others run",
        ["-e", "inject=?nanosleep,clock_nanosleep:error=EPERM"],
        SLEEP + r"-1 EPERM .*\n\d+ +sched_yield\(\)",
    ),
]


@pytest.mark.parametrize(
    ("refused", "calls"), [row[1:] for row in PAUSES], ids=[row[0] for row in PAUSES]
)
def test_the_other_side_sleeps_where_it_may(refused: list[str], calls: str, tmp_path: Path) -> None:
    """As strace sees it; an enforcer that refuses to let it sleep does not end the race."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    source = tmp_path / "pausing.c"
    source.write_text(PAUSING)
    program = build_source(source, NATIVE, include=ROOT / "include")
    log = tmp_path / "calls"
    through = ["strace", "-f", "-e", "trace=?nanosleep,clock_nanosleep,sched_yield"]
    process.run([*through, "-o", str(log), *refused, str(program), "attack", "rung=1"])
    assert re.search(calls, log.read_text())
