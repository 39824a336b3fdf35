"""What a run tells of itself while it runs."""

from __future__ import annotations

import io
import queue
import sys
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from harness import process
from harness.cli.audit import FAILED
from harness.cli.defences import BROKEN
from harness.cli.progress import PLAIN_LINE_EVERY, UNEXPECTED, Bar, Counted, progress
from harness.model import Case, Result, Scenario, Verdict, VerdictKind
from harness.results import Row, row_of
from harness.stages import HERE, Stage, Teller, listening
from harness.tree import root

WORKER = """
import sys
from harness.stages import HERE, Stage
HERE.address = bytes.fromhex(sys.argv[1]).decode()
for stage in (Stage.RESTORING, Stage.RUNNING, Stage.DONE):
    HERE.tell(stage)
"""


def _row(*, as_expected: bool) -> Row:
    scenario = Scenario(id="c/s", title="t", path=root(), policy="", dialect="yaml")
    case = Case(
        scenario=scenario, variant="v", backend="ptrace", abi="arm", kernel="6.1", place="vm:arm"
    )
    verdict = Verdict(kind=VerdictKind.HELD, reason="")
    return replace(row_of(Result(case=case, verdict=verdict)), as_expected=as_expected)


def _console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=160, no_color=True), text


def test_a_file_gets_plain_lines() -> None:
    """Every so many cases and at the end, the remaining time in between; no control characters."""
    messages, text = _console(terminal=False)
    total = PLAIN_LINE_EVERY + 1
    with progress(messages, total) as shown:
        assert shown.address == ""
        shown.preparing("preparing vm:arm 6.1")
        shown.preparing("")
        for number in range(total):
            shown.take(_row(as_expected=number > 0))
    first, last = text.getvalue().splitlines()
    assert first.startswith(f"{PLAIN_LINE_EVERY}/{total} cases, 1 unexpected, about ")
    assert first.endswith(" min left")
    assert last == f"{total}/{total} cases, 1 unexpected"


@pytest.mark.parametrize(
    ("counted", "said"), [(UNEXPECTED, "2 unexpected"), (FAILED, "1 failed"), (BROKEN, "2 broken")]
)
@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_counted_has_the_word_of_its_command(
    counted: Counted, said: str, *, terminal: bool
) -> None:
    """`run` counts what a scenario did not expect, an audit the cases in which a rule fails, not
    those of leaky enforcers.
    """
    lost = replace(_row(as_expected=False), verdict=VerdictKind.BYPASSED)
    messages, text = _console(terminal=terminal)
    with progress(messages, 3, counted) as shown:
        for row in (_row(as_expected=True), lost, replace(lost, leaky=True)):
            shown.take(row)
        if isinstance(shown, Bar):
            assert shown._bar.tasks[0].fields["now"] == said
        else:
            assert text.getvalue() == f"3/3 cases, {said}\n"


def test_a_terminal_shows_what_is_being_done() -> None:
    """First what is made ready, then how many workers are in which stage."""
    messages, _ = _console(terminal=True)
    with progress(messages, 3) as shown:
        assert isinstance(shown, Bar)
        (task,) = shown._bar.tasks
        shown.preparing("preparing vm:arm 6.1")
        assert task.fields["now"] == "preparing vm:arm 6.1"
        shown.preparing("")
        shown.stages(Counter([Stage.RUNNING, Stage.RESTORING, Stage.RUNNING]))
        assert task.fields["now"] == "1 restoring, 2 running"
        shown.take(_row(as_expected=False))
        assert task.fields["now"] == "1 unexpected, 1 restoring, 2 running"
        assert task.completed == 1


def test_workers_are_heard_until_they_are_done() -> None:
    """Across processes; a worker that is done counts no more."""
    heard: queue.Queue[Counter[Stage]] = queue.Queue()
    with listening(heard.put) as address:
        done = process.run([sys.executable, "-c", WORKER, address.encode().hex()])
        assert done.status == 0, done.describe()
        counts = [heard.get(timeout=60) for _ in range(3)]
    assert counts == [Counter([Stage.RESTORING]), Counter([Stage.RUNNING]), Counter()]


def test_nobody_needs_to_listen() -> None:
    """Without an address, and when the listener is gone, telling is nothing."""
    HERE.tell(Stage.RUNNING)
    with listening(lambda counts: None) as address:
        pass
    Teller(address).tell(Stage.RUNNING)
