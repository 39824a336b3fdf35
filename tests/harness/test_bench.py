"""The benchmark: what it measures, and on which processors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.bench import measure as measuring
from harness.bench.measure import Measurement, Size, bound, measure
from harness.bench.rows import MANY_RULES
from harness.cli import cli
from harness.process import run

LISTED = "import os; print(sorted(os.sched_getaffinity(0)))"


def test_one_processor_holds_for_what_is_started() -> None:
    """Children share the one processor, and afterwards the process has its own back."""
    before = os.sched_getaffinity(0)
    with bound(True):
        listed = run(["python3", "-c", LISTED]).stdout
    assert json.loads(listed) == [min(before)]
    assert os.sched_getaffinity(0) == before
    with bound(False):
        assert os.sched_getaffinity(0) == before


def test_every_row_is_timed_beside_the_bare_run() -> None:
    """A backend asked for is measured in each row; what it cannot express has a reason."""
    size = ["--count", "10", "--names", "10", "--files", "1", "--tries", "1", "--json"]
    done = CliRunner().invoke(cli, ["bench", "-b", "notify", "-b", "seccomp", *size])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert {row["backend"] for row in rows} == {"none", "notify", "seccomp"}
    for row in rows:
        assert bool(row["turns"]) != bool(row["reason"]), row
        assert all(turn > 0 for turn in row["turns"]), row
    refused = {row["row"] for row in rows if row["backend"] == "notify" and row["reason"]}
    assert refused == {"spawn, judged by name", "spawn, judged by name, 1 names"}
    timed = {row["row"] for row in rows if row["backend"] == "seccomp" and not row["reason"]}
    assert timed == {f"getppid, {MANY_RULES} rules"}


def test_ratios_are_those_within_a_turn() -> None:
    """What disturbs one turn of two confinements leaves their ratio alone."""
    mine = Measurement(row="stat", backend="notify", turns=(10.0, 90.0, 12.0))
    bare = Measurement(row="stat", backend="none", turns=(5.0, 30.0, 4.0))
    assert mine.ratios(bare) == (2.0, 3.0, 3.0)
    assert mine.nanoseconds == 12.0


@pytest.mark.parametrize("word", ["readlink", "missing"])
def test_rows_are_chosen_by_a_word(word: str) -> None:
    """Only rows with the word are measured, over one name and over many."""
    size = ["--count", "10", "--names", "10", "--tries", "1", "--json"]
    done = CliRunner().invoke(cli, ["bench", "-b", "none", "--row", word, *size])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line)["row"] for line in done.output.splitlines()]
    assert rows
    assert all(word in row for row in rows)
    assert sum("names" in row for row in rows) == len(rows) / 2


def test_a_row_is_told_before_the_next_is_measured(tmp_path: Path) -> None:
    """Ended by a signal, it has printed what was measured, and leaves nothing behind."""
    size = ["--count", "10", "--names", "10", "--tries", "1"]
    bench = subprocess.Popen(
        [sys.executable, "-m", "harness", "bench", "-b", "notify", *size],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert bench.stdout is not None
    heading, first = bench.stdout.readline(), bench.stdout.readline()
    assert heading.split()[-2:] == ["bare", "notify"]
    assert first.startswith("open+close ")
    assert list(tmp_path.iterdir())
    bench.send_signal(signal.SIGTERM)
    bench.communicate()
    assert bench.returncode == 130
    assert not list(tmp_path.iterdir())


def test_an_interrupted_row_keeps_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was timed before the interrupt is told for each confinement, then it goes on."""
    taken = iter([1.0, 2.0, 3.0])

    def once(*_: object) -> tuple[float, str]:
        try:
            return next(taken), ""
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(measuring, "_once", once)
    size = Size(count=10, names=1, files=0, tries=9)
    told = measure(tmp_path, ["none", "notify"], size, ["readlink"])
    assert next(told) == Measurement(row="readlink", backend="none", turns=(1.0, 3.0))
    assert next(told) == Measurement(row="readlink", backend="notify", turns=(2.0,))
    with pytest.raises(KeyboardInterrupt):
        next(told)
