"""What comes instead of a target at its gate, each in words of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from harness.places.gate import Gate, NotMet

NUMBER = "@"
INSTEAD = {
    "nothing, and the sandbox ended": ("", True, "another standard output than the sandbox"),
    "nothing": ("", False, "the target did not come to the gate in time"),
    "a sandbox's own words": ("usage: box\n", True, "and printed 'usage: box'"),
    "another gate": ("GATE 0 read:/x=13\n", True, "and printed 'GATE 0 read:/x=13'"),
    "a gate that cannot wait": (f"GATE {NUMBER}\nBROKEN no input\n", False, "no input"),
}


@pytest.mark.parametrize("what", INSTEAD)
def test_what_came_instead_is_told(what: str) -> None:
    """A sandbox without a target at its gate is told by what it printed, or that it did not."""
    printed, is_ended, said = INSTEAD[what]
    gate = Gate(Path("/gate"), ())
    number = gate.wrapped(())[1]
    stdout, end = os.pipe()
    os.write(end, printed.replace(NUMBER, number).encode())
    if is_ended:
        os.close(end)
    ended, alive = os.pipe()
    try:
        with pytest.raises(NotMet, match=re.escape(said)):
            gate.meet((), stdout, ended, 30 if printed or is_ended else 0)
    finally:
        gate.open()
        for each in (stdout, ended, alive, *(() if is_ended else (end,))):
            os.close(each)
