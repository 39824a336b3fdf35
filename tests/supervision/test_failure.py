"""A failure is told at the line of whoever made the mistake."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import enforcer
from enforcer.supervision import failure

MISTAKES = {
    "of its own": "undefined_here",
    "in a call of the enforcer's": "import enforcer.policy.format as its; its.format_rule(1, 2)",
    "in a call of Python's library": "import json; json.loads('{')",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_line_is_the_author_s(mistake: str, tmp_path: Path) -> None:
    """Not that of a library that was called there."""
    mine = tmp_path / "mine.py"
    mine.write_text(f"\n{MISTAKES[mistake]}\n")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        runpy.run_path(str(mine))
    assert failure.place(raised.value) == f"{mine}:2"


def test_the_enforcer_s_own_failure_has_its_own_line() -> None:
    """Where nobody else's file is on the way."""
    with pytest.raises(AttributeError) as raised:
        failure.place("no error")  # type: ignore[arg-type]
    assert raised.value.__traceback__ is not None
    within = raised.value.with_traceback(raised.value.__traceback__.tb_next)
    assert failure.place(within).startswith(f"{Path(enforcer.__file__).parent}/supervision/failure")


def test_what_was_never_raised_has_no_line() -> None:
    """And its kind and text are told all the same."""
    error = KeyError("lost")
    assert (failure.place(error), failure.told(error)) == ("", "KeyError: 'lost'")
