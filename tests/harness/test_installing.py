"""What to type for a package that is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.installing import by_pip


@pytest.mark.parametrize(
    ("files", "said"),
    [((), "pip install a b"), (("pipx_metadata.json",), "pipx inject interposition-lab a b")],
    ids=["pip", "pipx"],
)
def test_packages_go_where_the_laboratory_is(
    files: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip installs is not seen by a program that pipx installed."""
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert by_pip("a", "b") == said
