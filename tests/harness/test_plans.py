"""Plans are made once for cases that have the same one, and anew for all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.mechanisms.contract import Defence, Inexpressible
from harness.model import Case
from harness.places.layout import Layout
from harness.plans import plan_of
from tests.harness.scripted import CASE, SCENARIO

LAYOUT = Layout(root=Path("/srv"))
ABIS = native().abis
OTHERS = {
    "another policy": (
        replace(CASE, scenario=replace(SCENARIO, policy="default: permit\nrules: []\n")),
        LAYOUT,
        len(ABIS),
    ),
    "another backend": (replace(CASE, backend="notify"), LAYOUT, len(ABIS)),
    "other defences": (replace(CASE, defences=frozenset[Defence]()), LAYOUT, len(ABIS)),
    "other names": (CASE, Layout(root=Path("/elsewhere")), len(ABIS)),
    "fewer ABIs": (CASE, LAYOUT, 1),
}


def test_variants_have_one_plan() -> None:
    """It is not made again, whatever the variant and the ABI of the program."""
    first = plan_of(CASE, LAYOUT, ABIS)
    assert plan_of(replace(CASE, variant="other", abi="i386"), LAYOUT, ABIS) is first


@pytest.mark.parametrize(
    ("case", "layout", "abis"), [pytest.param(*each, id=name) for name, each in OTHERS.items()]
)
def test_whatever_a_plan_depends_on_makes_another(case: Case, layout: Layout, abis: int) -> None:
    """None is taken for another's."""
    first = plan_of(CASE, LAYOUT, ABIS)
    assert plan_of(case, layout, ABIS[:abis]).to_json() != first.to_json()


def test_what_is_inexpressible_is_so_each_time() -> None:
    """With what the rules lack; in part it is a plan, where the scenario asks for that."""
    said = set()
    seccomp = replace(CASE, backend="seccomp")
    for _ in range(2):
        with pytest.raises(Inexpressible) as found:
            plan_of(seccomp, LAYOUT, ABIS)
        said.add(str(found.value))
    (reason,) = said
    assert "reads memory: filename" in reason
    in_part = replace(seccomp, scenario=replace(SCENARIO, partial=("seccomp",)))
    assert plan_of(in_part, LAYOUT, ABIS).mechanism == "seccomp"
