"""Tests with the marker `vm` boot machines: they run when asked for by `-m vm`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.plans import planned


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `-m vm` they are skipped: images may have to be fetched for them."""
    if "vm" in str(config.getoption("markexpr")):
        return
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(pytest.mark.skip(reason="boots machines: pytest -m vm"))


@pytest.fixture(autouse=True)
def plans_made_anew() -> Iterator[None]:
    """Tests put another plan in the place of what a mechanism makes of the same policy."""
    planned.cache_clear()
    yield
    planned.cache_clear()
