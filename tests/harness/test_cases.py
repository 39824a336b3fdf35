"""Which cases the user's words choose."""

from __future__ import annotations

import pytest

from harness.cases import matches


@pytest.mark.parametrize(
    ("keywords", "chosen"),
    [
        ((), True),
        (("path_race",), True),
        (("PATH_RACE", "ptrace"), True),
        (("path_race", "notify"), False),
        (("cwd_race or path_race",), True),
        (("cwd_race or symlink", "ptrace"), False),
        (("cwd_race or path_race", "notify or ptrace"), True),
    ],
)
def test_all_keywords_and_one_of_their_alternatives(
    keywords: tuple[str, ...], chosen: bool
) -> None:
    """Repeated keywords narrow, alternatives within one widen."""
    assert matches("race/path_race[ptrace-x86_64]", keywords) is chosen
