"""What `harness new` writes names the words that may stand there."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from harness import tree
from harness.attack import SentinelKind
from harness.model import Effect

MANIFEST = (tree.OWN / "harness" / "templates" / "attack.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("key", "words"), [("effect", Effect), ("sentinel", SentinelKind)])
def test_the_manifest_lists_every_choice(key: str, words: type[StrEnum]) -> None:
    """In the comment of its line, all of them and in their order."""
    (listed,) = re.findall(rf"^{key}: .*# .*: (.*)$", MANIFEST, re.MULTILINE)
    assert listed.split(", ") == list(words)
