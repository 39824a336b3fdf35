"""A run begins the same whatever the process is like that starts it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.backends import backend
from harness.model import RunKind
from tests.backends.laboratory import Case, observe, policy_of

CASE = Case(attack="race/path-race", policy=policy_of("path-rules"))


def test_a_closed_umask_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests in the same process left 027: targets could not execute their programs (EACCES)."""
    before = os.umask(0o027)
    try:
        seen = observe(CASE, backend("none"), (RunKind.BENIGN,), tmp_path, monkeypatch)
    finally:
        os.umask(before)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
