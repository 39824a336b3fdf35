"""The properties as ordinary Hypothesis tests, for pytest and for HypoFuzz, and kept examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from enforcer.policy.ast import Policy
from harness.fuzz.campaign import Budget, run_campaign
from harness.fuzz.cases import (
    BytesCase,
    CallsCase,
    ClausesCase,
    FilterCase,
    FilterTextCase,
    LiveCase,
    MemoryCase,
    ProfileCase,
    SwapCase,
    TextCase,
)
from harness.fuzz.findings import load, replay
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.registry import PROPERTIES

SLOW = [
    *(HealthCheck.too_slow, HealthCheck.data_too_large),
    *(HealthCheck.filter_too_much, HealthCheck.large_base_example),
]
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
"""HypoFuzz takes no test that allows `given` within `given`."""
COMPARED = {"seccomp": 0.5, "notify": 0.9}
"""The least share of calls that is compared; seccomp reads no memory."""
EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.json"))


def check(name: str, case: object) -> None:
    """Try one case of a property; a third party's fault is no failure of ours."""
    target: Property[Any] = PROPERTIES[name]
    if target.available():
        return
    try:
        target.check(case, Tally())
    except Mismatch as mismatch:
        if not mismatch.third_party:
            raise


@QUICK
@given(PROPERTIES["round-trip"].cases)
def test_round_trip(case: Policy) -> None:
    """A policy that is printed is read again as it was."""
    check("round-trip", case)


@QUICK
@given(PROPERTIES["conversion"].cases)
def test_conversion(case: CallsCase) -> None:
    """A policy converted without a note decides as before."""
    check("conversion", case)


@QUICK
@given(PROPERTIES["checker"].cases)
def test_checker(case: Policy) -> None:
    """The checker never fails, and what it says has a place."""
    check("checker", case)


@settings(QUICK, max_examples=100)
@given(PROPERTIES["near-valid"].cases)
def test_near_valid(case: TextCase) -> None:
    """A slip in a policy is an error with a place, or makes another policy."""
    check("near-valid", case)


@QUICK
@given(PROPERTIES["compiler"].cases)
def test_compiler(case: FilterCase) -> None:
    """Program, specification and decide give one answer, on every ABI."""
    check("compiler", case)


@QUICK
@given(PROPERTIES["filters"].cases)
def test_filters(case: ClausesCase) -> None:
    """The compiler answers as any specification."""
    check("filters", case)


@QUICK
@given(PROPERTIES["simulators"].cases)
def test_simulators(case: FilterCase) -> None:
    """Both simulators give one answer, and programs survive their binary form."""
    check("simulators", case)


@QUICK
@given(PROPERTIES["decider"].cases)
def test_decider(case: CallsCase) -> None:
    """The mechanisms' hot path decides as decide."""
    check("decider", case)


@QUICK
@given(PROPERTIES["libseccomp"].cases)
def test_libseccomp(case: FilterCase) -> None:
    """libseccomp's filters load and are compared; what differs is its finding, a crash is ours."""
    check("libseccomp", case)


@settings(QUICK, max_examples=5)
@given(PROPERTIES["kernel"].cases)
def test_kernel(case: FilterCase) -> None:
    """This machine's kernel answers as evaluate says."""
    check("kernel", case)


@QUICK
@given(PROPERTIES["added-permit"].cases)
def test_added_permit(case: SwapCase) -> None:
    """Adding a permit never forbids."""
    check("added-permit", case)


@QUICK
@given(PROPERTIES["disjoint-rules"].cases)
def test_disjoint_rules(case: SwapCase) -> None:
    """Exchanging rules on different calls changes no decision."""
    check("disjoint-rules", case)


@settings(QUICK, max_examples=2)
@given(PROPERTIES["live"].cases)
def test_live(case: LiveCase) -> None:
    """Under the reference enforcer every call gives what decide says."""
    check("live", case)


@pytest.mark.parametrize("backend", ["seccomp", "notify"])
def test_live_under_other_backends(backend: str) -> None:
    """The same under seccomp, where it can be compared, and under notify: most calls can be."""
    target = PROPERTIES["live"]
    if not target.available():
        tally = Tally(backend=backend)
        assert run_campaign(target, Budget(examples=2), number=1, tally=tally).findings == []
        made = tally.counts["calls made"]
        assert made >= 100
        assert tally.decisions >= made * COMPARED[backend]


def test_stateful() -> None:
    """Whatever the tasks of a sandbox do, nothing denied is reached: two runs of the machine."""
    target = PROPERTIES["stateful"]
    if not target.available():
        assert run_campaign(target, Budget(examples=2), number=1).findings == []


@QUICK
@given(PROPERTIES["loaders"].cases)
def test_loaders(case: BytesCase) -> None:
    """Raw bytes are read or refused with places by every loader."""
    check("loaders", case)


@QUICK
@given(PROPERTIES["importers"].cases)
def test_importers(case: FilterTextCase) -> None:
    """A filter of others with slips is read, or refused with places, by every importer."""
    check("importers", case)


@QUICK
@given(PROPERTIES["memory"].cases)
def test_memory(case: MemoryCase) -> None:
    """Strings and bytes are read exactly up to the end of memory, or fail closed."""
    check("memory", case)


@QUICK
@given(PROPERTIES["wires"].cases)
def test_wires(case: BytesCase) -> None:
    """What comes over a pipe is read as it was sent, or refused by the reader's own error."""
    check("wires", case)


@QUICK
@given(PROPERTIES["kafel"].cases)
def test_kafel(case: ProfileCase) -> None:
    """kafel's filters are compared with what its language says; what differs is its finding."""
    check("kafel", case)


@settings(QUICK, max_examples=5)
@given(PROPERTIES["minijail"].cases)
def test_minijail(case: ProfileCase) -> None:
    """minijail's compiler in Python, likewise."""
    check("minijail", case)


@settings(QUICK, max_examples=2)
@given(PROPERTIES["minijail0"].cases)
def test_minijail0(case: ProfileCase) -> None:
    """minijail0 -S, likewise, read from a process that it started."""
    check("minijail0", case)


@settings(QUICK, max_examples=2)
@given(PROPERTIES["crun"].cases)
def test_crun(case: ProfileCase) -> None:
    """crun by its libseccomp, likewise."""
    check("crun", case)


@settings(QUICK, max_examples=1)
@given(PROPERTIES["systemd"].cases)
def test_systemd(case: ProfileCase) -> None:
    """systemd's manager, likewise."""
    check("systemd", case)


@settings(QUICK, max_examples=3)
@given(PROPERTIES["bwrap"].cases)
def test_bwrap(case: CallsCase) -> None:
    """A process under `bwrap --seccomp` is answered as decide says, by the kernel too."""
    check("bwrap", case)


def test_every_property_is_a_test() -> None:
    """No property is known to the command line only."""
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals()}
    assert set(PROPERTIES) - tests == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    """Every promoted finding holds now; a third party's, tried too, may still be theirs."""
    kept = load(path)
    again = replay(kept)
    assert again.text == "" or again.third_party == kept.third_party != ""
