"""What a policy judges and permits ends as it does without an enforcer, errors included."""

from __future__ import annotations

import os
from errno import EPERM
from pathlib import Path

import pytest

from tests.mechanisms.acting import bare_acts, run_acts
from tests.mechanisms.acts_as_bare import (
    BIRTHS,
    CALLER,
    HOWS,
    MEMORY,
    NAMES,
    OPENS,
    PERFORMED,
    TREES,
)
from tests.mechanisms.acts_on_sockets import ADDRESSES, MESSAGES

MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])

POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite, chdir, execve, execveat]
    when: filename match "/*" or filename sub ":["
  - permit: [connect, bind, sendto, sendmsg, sendmmsg]
    when: sockaddr match "*"
  - deny[exdev]: [fsread, fswrite, chdir, execve, execveat]
  - deny[exdev]: [connect, bind, sendto, sendmsg, sendmmsg]
"""


GROUPS = {
    "opens": OPENS,
    "openat2": HOWS,
    "names": NAMES,
    "performed": PERFORMED,
    "caller": CALLER,
    "addresses": ADDRESSES,
    "messages": MESSAGES,
    "births": BIRTHS,
    "memory": MEMORY,
}


def planted(place: Path) -> Path:
    """What the acts find."""
    (place / "dir").mkdir(parents=True)
    (place / "sockets").mkdir()
    (place / "file").write_text("free")
    (place / "dir/file").write_text("in dir")
    (place / "program").write_text("#!/bin/sh -e\nexit $(($# + 40))\n")
    (place / "program").chmod(0o755)
    for name, text in {
        "link": "file",
        "to_dir": "dir",
        "loop": "loop",
        "dangling": "dir/nowhere",
        "out": "../out",
        "to_comm": "/proc/self/comm",
        "to_program": "program",
        "to_stream": "sockets/stream",
    }.items():
        (place / name).symlink_to(text)
    return place


_PREPARED = """
os.mkfifo("fifo")
for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "datagrams")):
    bound = socket.socket(socket.AF_UNIX, kind)
    bound.bind("sockets/" + name)
    kept.append(bound)
kept[0].listen()
"""


_DROPPED = """
os.chmod(".", 0o777), os.chmod("dir", 0o777), os.chmod("sockets/datagrams", 0o777)
os.chmod("sockets/stream", 0o777), os.setgroups([])
os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
"""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal directories."""
    return planted(tmp_path / "bare/place"), planted(tmp_path / "held/place")


@MECHANISMS
@pytest.mark.parametrize("group", GROUPS)
def test_permitted_acts_end_as_bare(mechanism: str, group: str, places: tuple[Path, Path]) -> None:
    """Results, output and effects of every act are those of the bare program."""
    bare, held = places
    expected = bare_acts(GROUPS[group], bare, prelude=_PREPARED)
    ran, found = run_acts(mechanism, POLICY, GROUPS[group], held, prelude=_PREPARED)
    told = {title: (expected[title], found[title]) for title in expected}
    assert {title: both for title, both in told.items() if both[0] != both[1]} == {}
    assert not [event for event in ran.events if event["event"] == "detection"]


@MECHANISMS
@pytest.mark.parametrize("group", ["addresses", "messages"])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_acts_with_other_ids_end_as_bare(
    mechanism: str, group: str, places: tuple[Path, Path]
) -> None:
    """Also where the supervisor has to take on the ids of who acts."""
    bare, held = places
    prelude = _PREPARED + _DROPPED
    expected = bare_acts(GROUPS[group], bare, prelude=prelude)
    _, found = run_acts(mechanism, POLICY, GROUPS[group], held, prelude=prelude)
    told = {title: (expected[title], found[title]) for title in expected}
    assert {title: both for title, both in told.items() if both[0] != both[1]} == {}


def test_a_tree_that_is_no_copy_is_a_place(places: tuple[Path, Path]) -> None:
    """open_tree without OPEN_TREE_CLONE, which mounts nothing, is judged as an open with O_PATH."""
    bare, held = places
    acts = {**TREES, "a copy": 'call("open_tree", HERE, "dir", 1)'}
    ran, found = run_acts("ptrace", POLICY, acts, held, prelude=_PREPARED)
    expected = bare_acts(TREES, bare, prelude=_PREPARED)
    assert found == {**expected, "a copy": str(-EPERM)}
    refused = [event["reason"] for event in ran.events if event.get("call") == "open_tree"]
    assert refused.count("its names cannot be held") == 1
    assert not [event for event in ran.events if event["event"] == "detection"]
