"""A campaign: one property tried by Hypothesis until its time or its examples are spent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky

from harness.fuzz.property import Mismatch, Property, Tally

ROUND = 100
"""Examples of one run of Hypothesis; a campaign is many, each with a seed of its own."""

SHRINK_S = 60.0
"""Making a finding small takes at most this long, and at most as long again as the campaign may."""

CRASHES = (ArithmeticError, AssertionError, LookupError, OSError, RuntimeError, TypeError)
FAILURES = (*CRASHES, ValueError, AttributeError, RecursionError)
"""What a check may raise: a mismatch (an AssertionError) or a crash of the code under test."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long a property is tried: seconds, examples, or whichever ends first."""

    seconds: float | None = None
    examples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A breach in its minimal form. `case` is the value that shows it.

    `shrunk_s` is set when making it small was broken off, after so many seconds.
    """

    target: str
    case: object
    error: Exception
    examples: int
    seconds: float
    shrunk_s: float | None = None

    @property
    def mismatch(self) -> Mismatch | None:
        return self.error if isinstance(self.error, Mismatch) else None

    @property
    def third_party(self) -> str:
        return self.mismatch.third_party if self.mismatch is not None else ""

    def text(self) -> str:
        """What was expected and what came, or how the code under test failed."""
        if self.mismatch is not None:
            return self.mismatch.text()
        return f"{type(self.error).__name__}: {self.error}"


@dataclass(kw_only=True)
class Campaign:
    """What a campaign did so far. `cpu_s` is processor time, of this process alone."""

    target: Property[Any]
    tally: Tally
    interrupted: bool = False
    examples: int = 0
    cpu_s: float = 0.0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Decisions compared a second of processor time."""
        return self.tally.decisions / self.cpu_s if self.cpu_s else 0.0

    @property
    def wall_rate(self) -> float:
        """Decisions compared a second by the clock."""
        return self.tally.decisions / self.seconds if self.seconds else 0.0


class _Failed(Exception):
    """Ends a run of Hypothesis in which a check failed; the case stands beside it."""


class _TimeIsUp(BaseException):
    """Ends a run of Hypothesis at once; no Exception, which it would try to explain."""


def run_campaign(
    target: Property[Any],
    budget: Budget,
    *,
    number: int = 0,
    tally: Tally | None = None,
    database: Path | None = None,
    most_findings: int = 5,
    shrink: bool = True,
    watch: Callable[[Campaign], None] = lambda campaign: None,
) -> Campaign:
    """Try `target` with seed `number`. After a third party's finding the search goes on.

    `watch` is called after every example. With `database` failing examples are kept there and
    tried first in the next campaign. An interrupt (SIGINT) ends the campaign, not the caller: what
    was found so far is there, and `interrupted` set.
    """
    campaign = Campaign(target=target, tally=tally if tally is not None else Tally())
    started, cpu = time.monotonic(), time.process_time()
    deadline = None if budget.seconds is None else started + budget.seconds
    kept = DirectoryBasedExampleDatabase(database) if database is not None else None
    while True:
        left = ROUND if budget.examples is None else budget.examples - campaign.examples
        if left <= 0 or (deadline is not None and time.monotonic() >= deadline):
            break
        most = min(ROUND, left)
        try:
            found = _round(campaign, number, most, budget, deadline, started, kept, shrink, watch)
        except KeyboardInterrupt:
            campaign.interrupted, found = True, None
        number += 1
        campaign.seconds = time.monotonic() - started
        campaign.cpu_s = time.process_time() - cpu
        if found is not None:
            campaign.findings.append(found)
        if campaign.interrupted:
            break
        if found is None:
            continue
        mismatch = found.mismatch
        if mismatch is None or not mismatch.third_party:
            break
        campaign.tally.known.add(mismatch.signature)
        if len(campaign.findings) >= most_findings:
            break
    campaign.seconds = time.monotonic() - started
    campaign.cpu_s = time.process_time() - cpu
    return campaign


def _round(
    campaign: Campaign,
    number: int,
    examples: int,
    budget: Budget,
    deadline: float | None,
    started: float,
    database: ExampleDatabase | None,
    shrink: bool,
    watch: Callable[[Campaign], None],
) -> Finding | None:
    """One run of Hypothesis; the shrunk case of a failure."""
    last: list[tuple[object, Exception]] = []
    first: list[tuple[int, float]] = []
    most_s = SHRINK_S if budget.seconds is None else min(SHRINK_S, budget.seconds)

    class OneTrial:
        def begin(self) -> None:
            if not last:
                if deadline is not None and time.monotonic() >= deadline:
                    raise _TimeIsUp
                campaign.examples += 1
            elif campaign.tally.is_late():
                raise _TimeIsUp

        def end(self) -> None:
            if not last:
                campaign.seconds = time.monotonic() - started
                watch(campaign)

        def fail(self, case: object, error: Exception) -> NoReturn:
            if not last:
                first.append((campaign.examples, time.monotonic() - started))
                last.append((case, error))
                campaign.tally.until = time.monotonic() + most_s
            last[0] = (case, error)
            raise _Failed from error

    trial = OneTrial()

    def attempt(case: object) -> None:
        trial.begin()
        try:
            campaign.target.check(case, campaign.tally)
        except FAILURES as error:
            trial.fail(case, error)
        trial.end()

    attempt.__qualname__ = f"fuzz.{campaign.target.name}"
    shrinks = shrink and campaign.target.smallest is None
    phases = [Phase.reuse, Phase.generate, *([Phase.shrink] if shrinks else [])]
    configured = settings(
        max_examples=examples,
        deadline=None,
        derandomize=False,
        database=database,
        phases=phases if database is not None else phases[1:],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    try:
        if campaign.target.search is not None:
            campaign.target.search(trial, campaign.tally)(configured, number)
        else:
            seed(number)(configured(given(campaign.target.cases)(attempt)))()
    except (_Failed, _TimeIsUp):
        pass
    except Flaky:
        # Also said of an example that the end of the time broke off.
        if not last and (deadline is None or time.monotonic() < deadline):
            campaign.tally.counts["runs that did not go the same way twice"] += 1
    except KeyboardInterrupt:
        campaign.interrupted = True
    if not last:
        return None
    (case, error), (at, seconds) = last[0], first[0]
    if shrink and campaign.target.smallest is not None and not campaign.interrupted:
        try:
            case, error = _smaller(campaign, case, error)
        except KeyboardInterrupt:
            campaign.interrupted = True
    cut_short = shrink and (campaign.interrupted or campaign.tally.is_late())
    return Finding(
        target=campaign.target.name,
        case=case,
        error=error,
        examples=at,
        seconds=seconds,
        shrunk_s=time.monotonic() - started - seconds if cut_short else None,
    )


def _smaller(campaign: Campaign, case: object, error: Exception) -> tuple[object, Exception]:
    """The smallest case that the property finds, with what it raises; else what there was."""
    assert campaign.target.smallest is not None
    found = campaign.target.smallest(case, campaign.tally)
    try:
        campaign.target.check(found, Tally(backend=campaign.tally.backend))
    except FAILURES as smaller:
        return found, smaller
    return case, error
