"""The benchmark: what it measures, and on which processors."""

from __future__ import annotations

import json
import os

from click.testing import CliRunner

from harness.bench.measure import bound
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
    done = CliRunner().invoke(
        cli, ["bench", "-b", "notify", "-b", "seccomp", "--count", "10", "--tries", "1", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert {row["backend"] for row in rows} == {"none", "notify", "seccomp"}
    for row in rows:
        assert (row["nanoseconds"] or 0) > 0 or row["reason"], row
    assert sum(bool(row["reason"]) for row in rows) == 3
