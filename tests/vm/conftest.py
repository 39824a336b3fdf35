"""Tests with the marker `vm` boot machines: they run when asked for by `-m vm`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `-m vm` they are skipped: images may have to be fetched for them."""
    if "vm" in str(config.getoption("markexpr")):
        return
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(pytest.mark.skip(reason="boots machines: pytest -m vm"))
