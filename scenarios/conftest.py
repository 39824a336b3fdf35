"""Scenario files as pytest items: one item a case, judged like `harness run` judges it.

held passes; bypassed, overblocked, unlogged and not enforcing fail; broken is an error;
inapplicable and inexpressible skip; a known weakness is a strict xfail.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.attack import Attack, ManifestError, load_attacks
from harness.backends import names
from harness.calibration import THIS_RUN, Calibration, needs_reference
from harness.cases import EVERY_LEAKY, Selection, attempts_of, expand
from harness.cli.load import our_backends
from harness.model import Result, Scenario, VerdictKind
from harness.places.local import kernel_release
from harness.results import leaky_race, row_of
from harness.runner import Job, carry_out
from harness.scenario import Known, ScenarioError, load_scenario, load_scenarios

HERE = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options beside pytest's own."""
    group = parser.getgroup("scenarios")
    group.addoption("--attempts", type=int, default=None, help="attempts of each race")
    group.addoption("--full", action="store_true", help="the manifests' full numbers of attempts")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Every YAML file below a class's directory is a scenario."""
    if file_path.suffix != ".yaml" or not file_path.is_relative_to(HERE):
        return None
    parts = file_path.relative_to(HERE).parts
    if len(parts) < 2 or parts[0] == "policies":
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class Unexpected(Exception):
    """The verdict contradicts the scenario."""


@functools.cache
def _known() -> Known:
    return Known(attacks=_attacks(), backends=names())


@functools.cache
def _scenarios() -> tuple[Scenario, ...]:
    return load_scenarios(HERE, _known())


@functools.cache
def _attacks() -> Mapping[str, Attack]:
    return load_attacks(HERE.parent / "attacks")


@functools.cache
def _calibration() -> Calibration:
    """What this process has measured of leaky backends so far."""
    return Calibration()


def _judged(job: Job, asked: int | None) -> Result:
    """Carry the case out, a race beside its leaky reference, which is measured when it is new."""
    if job.attack is not None and needs_reference(job):
        for leaky in _calibration().lacking([job], _leaky_jobs(job.attack)):
            _noted(carry_out(leaky))
        job = _calibration().fitted(job, most=asked or job.attack.attempts.default)
    return _noted(carry_out(job))


def _noted(result: Result) -> Result:
    race = leaky_race(row_of(result), THIS_RUN)
    if race is not None:
        _calibration().note(race)
    return result


def _leaky_jobs(attack: Attack) -> Iterator[Job]:
    selection = Selection(ours=(), backends=(EVERY_LEAKY,), kernel=kernel_release())
    scenarios = [each for each in _scenarios() if each.attack == attack.id]
    for case in expand(scenarios, _attacks(), selection):
        yield Job(case=case, attack=attack, attempts=attack.attempts.quick)


class ScenarioFile(pytest.File):
    """One scenario; its items are the cases."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            attacks = _attacks()
            scenario = load_scenario(self.path, HERE, _known())
        except (ManifestError, ScenarioError) as error:
            raise self.CollectError(str(error)) from None
        selection = Selection(ours=our_backends(), kernel=kernel_release())
        for case in expand([scenario], attacks, selection):
            attack = attacks[scenario.attack] if scenario.attack else None
            several = len(scenario.variants or (attack.variants if attack else ())) > 1
            variant = f"{case.variant}-" if several else ""
            name = f"{case.expected.value}[{variant}{case.backend}-{case.abi}]"
            asked = self.config.getoption("--attempts")
            quick = not self.config.getoption("--full")
            tries = attempts_of(case, attack, asked=asked, quick=quick)
            job = Job(case=case, attack=attack, attempts=tries)
            yield CaseItem.from_parent(self, name=name.replace(" ", "_"), job=job)


class CaseItem(pytest.Item):
    """One case of the matrix."""

    def __init__(self, *, job: Job, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.job = job
        self._result: Result | None = None
        weakness = job.case.weakness
        if weakness is not None:
            reason = f"known weakness {weakness} of the catalogue"
            self.add_marker(pytest.mark.xfail(strict=True, raises=Unexpected, reason=reason))

    def setup(self) -> None:
        """Carry the case out here, so that what is broken counts as an error."""
        self._result = _judged(self.job, self.config.getoption("--attempts"))
        if self._result.verdict.kind is VerdictKind.BROKEN:
            pytest.fail(f"broken: {self._result.verdict.reason}\n{self._by_hand()}", pytrace=False)

    def runtest(self) -> None:
        assert self._result is not None
        verdict, case = self._result.verdict, self._result.case
        expected = VerdictKind.HELD if case.weakness is not None else case.expected
        if verdict.kind is VerdictKind.INAPPLICABLE or (
            verdict.kind is VerdictKind.INEXPRESSIBLE and case.expected is verdict.kind
        ):
            pytest.skip(f"{verdict.kind}: {verdict.reason}")
        if verdict.kind is not expected:
            raise Unexpected(f"{verdict.kind} instead of {expected}: {verdict.reason}")

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        if isinstance(excinfo.value, Unexpected):
            return f"{excinfo.value}\n{self._by_hand()}"
        return str(super().repr_failure(excinfo))

    def _by_hand(self) -> str:
        return f"By hand: harness repro '{self.job.case.id}'"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.job.case.scenario.id}::{self.name}"
