"""Scenario files as pytest items: one item a case, judged like `harness run` judges it.

held passes; bypassed, overblocked, unlogged and not enforcing fail; broken is an error;
inapplicable and inexpressible skip; a known weakness is a strict xfail.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.policy.problem import Problem
from harness.attack import Attack, sound_attacks
from harness.backends import names
from harness.calibration import Calibration, needs_reference
from harness.campaign import belongs, jobs_of, measured
from harness.cases import EVERY_LEAKY
from harness.cli import UserError
from harness.cli.load import chosen_targets, selection
from harness.model import Result, Scenario, VerdictKind
from harness.places.choice import Driver, Target, Wish, boot_options, ready
from harness.places.local import Place, PlaceError
from harness.runner import Job, carry_out
from harness.scenario import Known, ScenarioError, load_scenario

SKIPPED = (VerdictKind.INAPPLICABLE, VerdictKind.INEXPRESSIBLE)
HERE = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options beside pytest's own."""
    group = parser.getgroup("scenarios")
    group.addoption("--attempts", type=int, default=None, help="attempts of each race")
    group.addoption(
        "--full",
        action="store_true",
        help="every way of each attack, the manifests' full numbers of attempts",
    )
    group.addoption("--arch", action="append", default=[], help="as of `harness run`")
    group.addoption("--kernel", action="append", default=[], help="as of `harness run`")
    group.addoption("--vm", choices=[each.value for each in Driver], help="as of `harness run`")


def pytest_configure(config: pytest.Config) -> None:
    """A wrong architecture or kernel is one error, and nothing is collected; a wrong scenario or
    manifest is an error of its own, and the others run.
    """
    config.option.continue_on_collection_errors = True
    try:
        _targets(config)
    except UserError as error:
        raise pytest.UsageError(error.message) from None


def _targets(config: pytest.Config) -> tuple[Target, ...]:
    driver = config.getoption("--vm")
    wish = Wish(
        arches=tuple(config.getoption("--arch")),
        kernels=tuple(config.getoption("--kernel")),
        driver=Driver(driver) if driver else None,
    )
    return chosen_targets(wish)


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


def _attacks() -> Mapping[str, Attack]:
    return _loaded()[0]


@functools.cache
def _loaded() -> tuple[Mapping[str, Attack], Sequence[Problem]]:
    return sound_attacks(HERE.parent / "attacks")


@functools.cache
def _calibration() -> Calibration:
    """What this process has measured of leaky backends so far."""
    return Calibration(belongs=belongs)


@functools.cache
def _place(target: Target, append: str) -> Place | None:
    """Made once by each process; what is saved or fetched for it is shared by all of them."""
    return ready(target, append, print)


def _judged(job: Job, target: Target) -> Result:
    """Carry the case out beside its leaky reference, which is measured when it is new."""
    append = boot_options(job.case.scenario.needs) if target.arch else ""
    place = _place(target, append)
    job = replace(job, place=place)
    if needs_reference(job):
        leaky = [replace(each, place=place) for each in _leaky_jobs(job.case.scenario, target)]
        for each in _calibration().lacking([job], leaky):
            _noted(carry_out(each))
        job = _calibration().fitted(job)
    return _noted(carry_out(job))


def _noted(result: Result) -> Result:
    run = measured(result)
    if run is not None:
        _calibration().note(run)
    return result


def _leaky_jobs(scenario: Scenario, target: Target) -> list[Job]:
    chosen = selection((EVERY_LEAKY,), (), target)
    return jobs_of([scenario], _attacks(), chosen, attempts=None, quick=True)


class ScenarioFile(pytest.File):
    """One scenario; its items are the cases."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            scenario = load_scenario(self.path, HERE, _known())
        except ScenarioError as error:
            wrong = "\n".join(map(str, (*error.problems, *_loaded()[1])))
            raise self.CollectError(wrong) from None
        for target in _targets(self.config):
            yield from self._items(scenario, _attacks(), target)

    def _items(
        self, scenario: Scenario, attacks: Mapping[str, Attack], target: Target
    ) -> Iterator[pytest.Item]:
        asked = self.config.getoption("--attempts")
        quick = target.arch is not None or not self.config.getoption("--full")
        chosen = selection((), (), target, quick=quick)
        attack = attacks[scenario.attack] if scenario.attack else None
        for job in jobs_of([scenario], attacks, chosen, attempts=asked, quick=quick):
            case = job.case
            several = attack is not None and len(scenario.variants or attack.every_variant) > 1
            variant = f"{case.variant}-" if several else ""
            where = f"-{target.name}-{target.kernel_name}" if target.arch else ""
            name = f"{case.expected.value}[{variant}{case.backend}-{case.abi}{where}]"
            name = name.replace(" ", "_")
            yield CaseItem.from_parent(self, name=name, job=job, target=target)


class CaseItem(pytest.Item):
    """One case of the matrix."""

    def __init__(self, *, job: Job, target: Target, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.job = job
        self.target = target
        self._result: Result | None = None
        weakness = job.case.weakness
        if weakness is not None:
            reason = f"known weakness {weakness} of the catalogue"
            self.add_marker(pytest.mark.xfail(strict=True, raises=Unexpected, reason=reason))

    def setup(self) -> None:
        """Carry the case out here, so that what is broken counts as an error."""
        try:
            self._result = _judged(self.job, self.target)
        except PlaceError as error:
            pytest.fail(f"broken: {error}", pytrace=False)
        if self._result.verdict.kind is VerdictKind.BROKEN:
            pytest.fail(f"broken: {self._result.verdict.reason}\n{self._by_hand()}", pytrace=False)

    def runtest(self) -> None:
        assert self._result is not None
        verdict, case = self._result.verdict, self._result.case
        expected = VerdictKind.HELD if case.weakness is not None else case.expected
        if self._result.as_expected and verdict.kind in SKIPPED:
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
