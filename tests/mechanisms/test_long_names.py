"""What lies so deep that the kernel cannot print its name is refused aloud under rules on names."""

from __future__ import annotations

import os
from errno import EACCES
from pathlib import Path

import pytest

from enforcer.pin.places import UNPLACED
from tests.mechanisms.acting import bare_acts, run_acts

ON_NAMES = """
default: permit
rules:
  - deny[enxio]: [fsread, fswrite]
    when: filename match "/secret/*"
"""
PART, DEPTH = "d" * 200, 21  # 4,200 bytes, and PATH_MAX is 4,096
DOWN = f"[os.chdir({PART!r}) for _ in range({DEPTH})]\n"
ACTS = {
    "stat": 'call("newfstatat", HERE, "file", bytes(144), 0)',
    "read": 'min(0, call("openat", HERE, "file", os.O_RDONLY))',
    "create": 'min(0, call("openat", HERE, "new", os.O_CREAT | os.O_WRONLY, 0o600))',
    "mkdir": 'call("mkdirat", HERE, "more", 0o700)',
    "chmod": 'call("fchmodat", HERE, "file", 0o600)',
    "unlink": 'call("unlinkat", HERE, "file", 0)',
}


def _deep(top: Path) -> Path:
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(PART, dir_fd=here)
        below = os.open(PART, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)
    return top


def test_the_acts_succeed_bare(tmp_path: Path) -> None:
    """Relative names are short enough for the kernel wherever they begin."""
    outcomes = bare_acts(ACTS, _deep(tmp_path / "top"), prelude=DOWN)
    assert outcomes == dict.fromkeys(ACTS, "0")


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_what_has_no_name_is_refused_aloud(mechanism: str, tmp_path: Path) -> None:
    """Each act is one event that says why, and nothing is taken for a name that it has not."""
    ran, outcomes = run_acts(mechanism, ON_NAMES, ACTS, _deep(tmp_path / "top"), prelude=DOWN)
    assert outcomes == dict.fromkeys(ACTS, str(-EACCES))
    told = [event["call"] for event in ran.events if event.get("reason") == UNPLACED]
    assert told == ["newfstatat", "openat", "openat", "mkdirat", "fchmodat", "unlinkat"]
