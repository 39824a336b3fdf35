"""A library in the target: refusals where it is loaded, and no claim where it is not."""

from __future__ import annotations

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

BY_LINK = Case(attack="machinery/preload-escape", policy=policy_of("path-rules"), variant="link")

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None or walls.available() is Isolation.PLAIN,
    reason="it takes a compiler, cc, and namespaces",
)


@needs_compiler
@pytest.mark.parametrize("loaded", [True, False])
def test_without_the_library_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    """The direct attempt is refused and witnessed; where the variable is not exported, neither."""
    whole = backend("preload")
    assert isinstance(whole, External)
    files = {
        name: text if loaded else text.replace("export LD_PRELOAD", "unset LD_PRELOAD")
        for name, text in whole.definition.files.items()
    }
    confining = External(replace(whole.definition, files=files))
    seen = observe(BY_LINK, confining, [RunKind.DIRECT], tmp_path, monkeypatch)[RunKind.DIRECT]
    assert seen.finished, seen
    assert witnessed(seen.events) is loaded
    assert seen.effect is not loaded
