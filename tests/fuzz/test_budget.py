"""Time ends a campaign and the shrinking of its findings; an interrupt loses nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import strategies as st

from harness.cli import Status
from harness.cli.fuzz import command
from harness.fuzz import campaign as campaigns
from harness.fuzz.campaign import Budget, run_campaign
from harness.fuzz.cell import unavailable
from harness.fuzz.properties.stateful import STATEFUL
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.registry import PROPERTIES

needs_cell = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")


def numbers(check: Callable[[int, Tally], None]) -> Property[int]:
    return Property(name="numbers", claim="", group="", cases=st.integers(0, 1 << 64), check=check)


def breaks_if_odd(case: int, tally: Tally) -> None:
    if case & 1:
        raise Mismatch(got=str(case))


def test_shrinking_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most as long again as the campaign: the smallest so far is the finding, and it says so."""
    now = cost_s = 0.0
    tried: list[list[int]] = []

    def check(case: list[int], tally: Tally) -> None:
        nonlocal now
        if sum(case) > 1000:
            now += cost_s
            tried.append(case)
            raise Mismatch(got=str(case))

    cases = st.lists(st.integers(0, 500))
    target = Property(name="lists", claim="", group="", cases=cases, check=check)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    (whole,) = run_campaign(target, Budget(examples=500), number=1).findings
    assert len(tried) > 4
    assert whole.shrunk_s is None
    tried.clear()
    cost_s = 10.0
    (finding,) = run_campaign(target, Budget(seconds=15.0), number=1).findings
    assert len(tried) == 3
    assert finding.shrunk_s == 20.0
    assert finding.case in tried
    assert finding.case != whole.case


def test_what_makes_findings_smaller_by_itself_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of steps are not shrunk by Hypothesis: their own way asks the same clock."""
    monkeypatch.setattr(campaigns, "SHRINK_S", 0.0)

    def smallest(case: int, tally: Tally) -> int:
        return case if tally.is_late() else 1

    target = replace(numbers(breaks_if_odd), smallest=smallest)
    (finding,) = run_campaign(target, Budget(examples=50), number=1).findings
    assert finding.case != 1
    assert finding.shrunk_s is not None


@pytest.mark.parametrize("when", ["searching", "shrinking"])
def test_an_interrupt_keeps_what_was_found(when: str) -> None:
    """Of a third party before, or of ours that was being made small."""

    def check(case: int, tally: Tally) -> None:
        if tally.known or (when == "shrinking" and tally.until < math.inf):
            raise KeyboardInterrupt
        tally.report(Mismatch(got=str(case), signature="s", third_party="other"))

    campaign = run_campaign(numbers(check), Budget(examples=500), number=1)
    assert campaign.interrupted
    assert len(campaign.findings) == 1


def test_the_command_prints_what_an_interrupted_campaign_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And asks for no further property."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def check(case: int, tally: Tally) -> None:
        if tally.known:
            raise KeyboardInterrupt
        tally.report(Mismatch(got="odd", signature="s", third_party="other"))

    monkeypatch.setitem(PROPERTIES, "memory", replace(numbers(check), name="memory"))
    result = CliRunner().invoke(command, ["memory", "wires", "--examples", "500", "--seed", "1"])
    assert result.exit_code == Status.INTERRUPTED
    assert "a finding about other" in result.output
    assert "memory: interrupted; what was found so far is kept" in result.output
    assert "wires" not in result.output


@needs_cell
def test_the_end_of_the_time_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    """A machine whose run is not begun any more is no error, and no flaky one either."""

    campaign = run_campaign(STATEFUL, Budget(seconds=0.5), number=5)
    assert campaign.findings == []
    assert campaign.tally.counts == {}
    assert capfd.readouterr() == ("", "")
