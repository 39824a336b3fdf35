"""The tests try the same examples every time: random ones are for `harness fuzz` and HypoFuzz."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from enforcer.pin.caller import set_umask

SAME = "same-every-time"
settings.register_profile(
    SAME, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_configure(config: pytest.Config) -> None:
    """Not where tests are only collected, as HypoFuzz does: it makes examples of its own."""
    if config.option.collectonly or config.getoption("--hypothesis-profile"):
        return
    settings.load_profile(SAME)
    # Hypothesis also draws numbers that stand in the modules that happen to be loaded.
    if hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = type(providers._local_constants)


@pytest.fixture(autouse=True)
def umask_of_its_own() -> Iterator[None]:
    """What a test does for a task, it does with the task's umask: the next has the worker's."""
    before = os.umask(0)
    os.umask(before)
    yield
    if (after := os.umask(before)) != before:
        for mask in (after, before):  # what set_umask remembers of this thread stays true
            set_umask(mask)
