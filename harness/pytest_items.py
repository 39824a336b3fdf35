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
from harness import tree
from harness.attack import Attack
from harness.backends import names
from harness.calibration import Calibration, needs_reference
from harness.campaign import belongs, booted_with, jobs_of, measured
from harness.cases import EVERY_LEAKY
from harness.catalogue import CatalogueError
from harness.cli import UserError
from harness.cli.load import chosen_targets, selection
from harness.laboratory import attacks_of
from harness.model import Result, Scenario, VerdictKind
from harness.places.choice import Driver, Target, Wish, ready
from harness.places.local import Place, PlaceError
from harness.runner import Job, carry_out
from harness.scenario import Known, ScenarioError, load_scenario

SKIPPED = (VerdictKind.INAPPLICABLE, VerdictKind.INEXPRESSIBLE)


def targets_of(config: pytest.Config) -> tuple[Target, ...]:
    """The places that the options ask for. Raises UserError."""
    driver = config.getoption("--lab-vm")
    if driver and driver not in list(Driver):
        raise UserError(f"--lab-vm: {driver!r} is none of {', '.join(Driver)}")
    wish = Wish(
        arches=tuple(config.getoption("--lab-arch")),
        kernels=tuple(config.getoption("--lab-kernel")),
        driver=Driver(driver) if driver else None,
    )
    return chosen_targets(wish)


class Unexpected(Exception):
    """The verdict contradicts the scenario."""


@functools.cache
def _loaded(root: Path) -> tuple[Mapping[str, Attack], Sequence[Problem]]:
    return attacks_of(root)


@functools.cache
def _calibration() -> Calibration:
    """What this process has measured of leaky backends so far."""
    return Calibration(belongs=belongs)


@functools.cache
def _place(target: Target, append: str) -> Place | None:
    """Made once by each process; what is saved or fetched for it is shared by all of them."""
    return ready(target, append, print)


def _judged(job: Job, beside: Sequence[Job], target: Target) -> Result:
    """Carry the case out, and before it those of its leaky references `beside` that are new."""
    append = booted_with(job, target)
    place = _place(target, append)
    job = replace(job, place=place)
    if needs_reference(job):
        leaky = [replace(each, place=place) for each in beside]
        for lacking in (_calibration().lacking_here, _calibration().lacking):
            for each in lacking([job], leaky):
                _noted(carry_out(each))
        job = _calibration().fitted(job)
    return _noted(carry_out(job))


def _noted(result: Result) -> Result:
    run = measured(result)
    if run is not None:
        _calibration().note(run)
    return result


class ScenarioFile(pytest.File):
    """One scenario; its items are the cases."""

    def __init__(self, *, directory: Path | None, **arguments: object) -> None:
        """`directory` is the `scenarios/` that the file lies in; None for one outside."""
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.root = directory.parent if directory else self._root()
        self.directory = directory or self.root

    def _root(self) -> Path:
        """The tree whose attacks the scenario may name: from where `harness` is called, too."""
        found = tree.root(self.path.parent)
        if (found / "attacks").is_dir() and self.path.is_relative_to(found):
            return found
        top = self.config.rootpath
        return top if self.path.is_relative_to(top) else self.path.parent

    def collect(self) -> Iterator[pytest.Item]:
        try:
            attacks, wrong = _loaded(self.root)
            known = Known(attacks=attacks, backends=names())
            scenario = load_scenario(self.path, self.directory, known)
        except CatalogueError as error:
            raise self.CollectError(str(error)) from None
        except ScenarioError as error:
            told = "\n".join(map(str, (*error.problems, *wrong)))
            raise self.CollectError(told) from None
        for target in targets_of(self.config):
            yield from self._items(scenario, attacks, target)

    def _items(
        self, scenario: Scenario, attacks: Mapping[str, Attack], target: Target
    ) -> Iterator[pytest.Item]:
        asked = self.config.getoption("--lab-attempts")
        quick = target.arch is not None or not self.config.getoption("--lab-full")
        chosen = selection((), (), target, quick=quick)
        attack = attacks[scenario.attack] if scenario.attack else None
        leaky = selection((EVERY_LEAKY,), (), target)
        beside = jobs_of([scenario], attacks, leaky, attempts=None, quick=True)
        for job in jobs_of([scenario], attacks, chosen, attempts=asked, quick=quick):
            case = job.case
            several = attack is not None and len(scenario.variants or attack.every_variant) > 1
            variant = f"{case.variant}-" if several else ""
            where = f"-{target.name}-{target.kernel_name}" if target.arch else ""
            name = f"{case.expected.value}[{variant}{case.backend_name}-{case.abi}{where}]"
            name = name.replace(" ", "_")
            yield CaseItem.from_parent(self, name=name, job=job, beside=beside, target=target)


class CaseItem(pytest.Item):
    """One case of the matrix."""

    def __init__(
        self, *, job: Job, beside: Sequence[Job], target: Target, **arguments: object
    ) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.extra_keyword_matches |= {job.case.scenario.id, job.case.scenario.id.replace("-", "_")}
        self.job = job
        self.beside = beside
        self.target = target
        self._result: Result | None = None
        weakness = job.case.weakness
        if weakness is not None:
            reason = f"known weakness {weakness} of the catalogue"
            self.add_marker(pytest.mark.xfail(strict=True, raises=Unexpected, reason=reason))

    def setup(self) -> None:
        """Carry the case out here, so that what is broken counts as an error."""
        try:
            self._result = _judged(self.job, self.beside, self.target)
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
