"""The tests try the same examples every time: random ones are for `harness fuzz` and HypoFuzz."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from enforcer.kernel.allocator import share_arena
from enforcer.pin.caller import set_umask

_HANDLED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SAME = "same-every-time"
settings.register_profile(
    SAME, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# The programs that tests start write as they do for a user; unbuffered, a line is two writes.
os.environ.pop("PYTHONUNBUFFERED", None)
share_arena()  # what tests start has the addresses that are left below RLIMIT_AS


def pytest_configure(config: pytest.Config) -> None:
    """Not where tests are only collected, as HypoFuzz does: it makes examples of its own."""
    if config.option.collectonly or config.getoption("--hypothesis-profile"):
        return
    settings.load_profile(SAME)
    # Hypothesis also draws numbers that stand in the modules that happen to be loaded.
    if hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = type(providers._local_constants)


@pytest.fixture(autouse=True)
def process_of_its_own() -> Iterator[None]:
    """What a test does to its worker ends with it: the umask of a task for which it acted, and what
    a command that it called makes of signals.
    """
    before = os.umask(0)
    os.umask(before)
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if (after := os.umask(before)) != before:
        for mask in (after, before):  # what set_umask remembers of this thread stays true
            set_umask(mask)
