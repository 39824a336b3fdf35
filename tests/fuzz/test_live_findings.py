"""A finding of a live property is kept with its backend, replayed under it, and promoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.fuzz import command
from harness.fuzz.campaign import Finding
from harness.fuzz.cell import unavailable
from harness.fuzz.findings import keep, load, promote, replay
from harness.fuzz.machine import check_tree
from harness.fuzz.property import Mismatch, Tally
from harness.fuzz.steps import Operation, Step, TreeCase

BORN = TreeCase((Step(0, "clone", (17 | 0x0080_0000, 1, 0), Operation.CLONE),))
WEAK = "leaky-ptrace-clone-untraced"


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")
def test_a_finding_keeps_its_backend(tmp_path: Path) -> None:
    """It breaks again under the weak one and not under the sound one; an example holds both."""
    with pytest.raises(Mismatch) as caught:
        check_tree(BORN, Tally(backend=WEAK))
    finding = Finding(target="stateful", case=BORN, error=caught.value, examples=1, seconds=0.0)
    kept, new = keep(finding, tmp_path, WEAK)
    assert new
    assert not keep(finding, tmp_path, WEAK)[1]
    other, _ = keep(finding, tmp_path, "ptrace")
    assert other.id != kept.id
    assert "has tracer 0" in replay(load(kept.path)).text
    assert replay(load(other.path)).text == ""
    example = load(promote(kept, tmp_path / "examples"))
    assert (example.case, example.backend) == (BORN, WEAK)


def test_another_machine_is_refused() -> None:
    """Properties that make calls say that they make them on this machine only."""
    result = CliRunner().invoke(command, ["stateful", "--arch", "s390x", "--examples", "1"])
    assert result.exit_code == 0
    assert "stateful: not for s390x: it makes calls" in result.output
