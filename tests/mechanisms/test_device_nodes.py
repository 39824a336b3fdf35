"""A device node is another name for its device: making one frees no device from a rule."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.mechanisms.acting import bare_acts, run_acts

ZERO, NULL = os.makedev(1, 5), os.makedev(1, 3)
ACTS = {
    "mknod": f"call('mknod', 'a', 0o20600, {ZERO}) or os.read(os.open('a', 0), 1)",
    "mknodat": f"call('mknodat', HERE, 'b', 0o20600, {ZERO}) or os.read(os.open('b', 0), 1)",
    "in another's name": (
        f"os.symlink(os.getcwd(), 'here') or call('mknod', 'here/c', 0o20600, {ZERO})"
        " or os.read(os.open('c', 0), 1)"
    ),
    "a device like it": f"call('mknod', 'd', 0o20600, {NULL}) or os.read(os.open('d', 0), 1)",
    "a pipe": f"call('mknod', 'e', 0o10600, {ZERO})",
    "a file": f"call('mknod', 'f', 0o600, {ZERO})",
}
DENIED = ("mknod", "mknodat", "in another's name")
POLICIES = {
    "deny-list": """\
default: permit
rules:
  - deny: fsread
    when: filename eq "/dev/zero"
""",
    "permit-list": """\
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*" and not filename sub "zero"
  - deny: [fsread, fswrite]
""",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory in which devices can be made and opened."""
    try:
        os.mknod(tmp_path / "probe", stat.S_IFCHR | 0o600, ZERO)
        os.close(os.open(tmp_path / "probe", os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"no device can be made or opened here: {error.strerror}")
    return tmp_path


def in_directory(directory: Path) -> dict[str, str]:
    """The acts, each from there."""
    directory.mkdir()
    return {title: f"os.chdir({str(directory)!r})\nreturn {act}" for title, act in ACTS.items()}


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_no_node_frees_a_device(backend: str, kind: str, place: Path) -> None:
    """EPERM, logged with the device and the rule; all other nodes are made as bare."""
    bare = bare_acts(in_directory(place / "bare"), place)
    assert bare["mknod"] == repr(b"\0")
    ran, outcomes = run_acts(backend, POLICIES[kind], in_directory(place / "confined"), place)
    assert outcomes == {**bare, **dict.fromkeys(DENIED, "-1")}
    told = [event for event in ran.events if "of /dev/zero: " in str(event.get("reason"))]
    assert [event["call"] for event in told] == ["mknod", "mknodat", "mknod"]
