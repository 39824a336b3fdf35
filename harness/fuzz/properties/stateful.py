"""Stateful: whatever tasks a sandbox makes and whatever they do, nothing denied is reached."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.fuzz.cell import unavailable
from harness.fuzz.machine import check_tree, search, smallest_tree
from harness.fuzz.property import Property
from harness.fuzz.steps import Step, TreeCase

STATEFUL = Property(
    name="stateful",
    claim="tasks that fork, execute, open, pass and kill (--backend) reach no denied object",
    group="live",
    cases=st.just(TreeCase((Step(0, "getpid", ()),))),
    check=check_tree,
    available=unavailable,
    runs_calls=True,
    search=search,
    smallest=smallest_tree,
)
