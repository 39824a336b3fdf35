"""Wideners: what a program is told of them, and the table of what they won."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import VerdictKind
from harness.places.layout import variant_words
from harness.report.wideners import widened
from harness.wideners import on_one_cpu
from tests.harness.test_results import FALLEN

RACE = replace(FALLEN, attack="race/x", backend="leaky-ptrace-bare", leaky=True, catalogue=("A1",))
PLAIN = replace(RACE, case_id="1", variant="default", attempts=100, wins=1)
WAY = replace(RACE, case_id="2", variant="default+openat2", attempts=100, wins=50)
FILTER = replace(RACE, case_id="3", variant="default+filter", attempts=1000, wins=40)
MORE = replace(FILTER, case_id="4", arch="i386", attempts=1000, wins=0)
HELD = replace(FILTER, case_id="5", backend="ptrace", attempts=2000, wins=0)
ABSENT = replace(
    RACE,
    case_id="6",
    variant="default+userfaultfd",
    attempts=0,
    wins=0,
    verdict=VerdictKind.INAPPLICABLE,
    reason="this kernel lacks userfaultfd: EPERM",
)
OTHER = replace(PLAIN, case_id="7", attack="race/y")


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("default", {"variant": "default"}),
        ("self+openat2", {"variant": "self", "way": "openat2"}),
        ("default+filter", {"variant": "default", "widener": "filter"}),
        ("default+one-cpu", {"variant": "default", "widener": "one-cpu"}),
    ],
)
def test_a_program_is_told_of_its_way_or_widener(variant: str, words: dict[str, str]) -> None:
    """By another key: there is no way of that name."""
    assert variant_words(variant) == words


def test_wins_are_counted_by_widener_and_backend() -> None:
    """All ABIs together, plain first, ways left out, only races that had a widener."""
    found = widened([MORE, ABSENT, HELD, FILTER, WAY, PLAIN, OTHER])
    assert [(each.attack, each.widener, each.backend, each.result) for each in found] == [
        ("race/x", "none", "leaky-ptrace-bare", "1/100, 0.025% to 5.5%"),
        ("race/x", "filter", "leaky-ptrace-bare", "40/2,000, 1.4% to 2.8%"),
        ("race/x", "filter", "ptrace", "0/2,000, < 0.19%"),
        ("race/x", "userfaultfd", "leaky-ptrace-bare", "this kernel lacks userfaultfd: EPERM"),
    ]
    assert widened([PLAIN, WAY]) == []


@pytest.mark.parametrize(
    ("variant", "guest", "race", "one"),
    [
        ("default", False, False, False),
        ("default", False, True, False),
        ("default", True, False, True),
        ("default", True, True, False),
        ("default+one-cpu", False, True, True),
        ("default+one-cpu", True, True, True),
    ],
)
def test_who_runs_on_one_cpu(variant: str, guest: bool, race: bool, one: bool) -> None:
    """A race that asks for it, and in guests whatever is no race."""
    assert on_one_cpu(variant, guest=guest, race=race) is one
