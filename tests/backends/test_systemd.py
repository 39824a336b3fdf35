"""systemd's filter of a unit: what it is told, and that nothing is claimed without it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends import backend
from harness.backends.external import External
from harness.evidence import witnessed
from harness.model import RunKind
from harness.places import isolation as walls
from harness.places.isolation import Isolation
from tests.backends.laboratory import Case, observe, policy_of

RENAMING = Case(attack="subset/equal-call", policy=policy_of("no-renaming"), variant="child")

needs_systemd = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("/lib/systemd/systemd") is None
    or walls.available() is not Isolation.NAMESPACES,
    reason="it takes root, systemd, and namespaces of root's",
)


@needs_systemd
@pytest.mark.parametrize("told", [True, False])
def test_without_its_filter_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """The direct attempt is refused and witnessed; in a unit without the lines it is neither."""
    whole = backend("systemd")
    assert isinstance(whole, External)
    files = {
        name: text if told else text.replace("${calls}", "")
        for name, text in whole.definition.files.items()
    }
    confining = External(replace(whole.definition, files=files))
    seen = observe(RENAMING, confining, [RunKind.DIRECT], tmp_path, monkeypatch)[RunKind.DIRECT]
    assert seen.finished, seen
    assert witnessed(seen.events) is told
    assert seen.effect is not told
