"""What is changed through a descriptor is judged by its names, whatever the descriptor permits.

An object that may be read may be opened, and by that descriptor alone its mode, owner, times and
attributes can be changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EBADF, EROFS
from pathlib import Path

import pytest

from enforcer.syscalls.constants import CONSTANTS
from tests.mechanisms.acting import Acts, bare_acts, run_acts

MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])

DIRECT = {
    "fchmod": 'call("fchmod", fd, 0o612)',
    "fchown": 'call("fchown", fd, -1, -1)',
    "fsetxattr": 'call("fsetxattr", fd, "user.mark", "1", 1, 0)',
    "fremovexattr": 'call("fremovexattr", fd, "user.there")',
    "futimesat": 'call("futimesat", fd, 0, 0)',
    "utimensat": 'call("utimensat", fd, 0, 0, 0)',
}
BY_EMPTY_NAME = {
    "fchmodat2": 'call("fchmodat2", fd, "", 0o612, 0x1000)',
    "fchownat": 'call("fchownat", fd, "", -1, -1, 0x1000)',
    "utimensat, empty": 'call("utimensat", fd, "", 0, 0x1000)',
    "setxattrat": """call("setxattrat", fd, "", 0x1000, "user.mark",
        struct.pack("=QII", at(b"1"), 1, 0), 16)""",
    "removexattrat": 'call("removexattrat", fd, "", 0x1000, "user.there")',
}
ONLY_OPEN = {*DIRECT, "setxattrat", "removexattrat"}
"""These take no descriptor that was opened with O_PATH."""

SHUT = {
    "opened": 'os.open("shut/file", os.O_RDONLY)',
    "by a link": 'os.open("also", os.O_RDONLY)',
    "by its second name": 'os.open("second", os.O_RDONLY)',
    "duplicated": 'os.dup2(os.open("shut/file", os.O_RDONLY), 77)',
    "a directory": 'os.open("shut", os.O_RDONLY)',
    "path only": 'os.open("shut/file", os.O_PATH)',
}

RULES = {
    "pattern": 'filename match "PLACE/shut/*" or filename eq "PLACE/shut"',
    "object": 'filename eq "PLACE/shut/file" or filename eq "PLACE/shut"',
}

OTHERS = {
    "free": 'os.open("free", os.O_RDONLY)',
    "path only": 'os.open("free", os.O_PATH)',
    "pipe": "os.pipe()[0]",
    "socket": "stream(socket.AF_UNIX)",
    "memory": 'os.memfd_create("free")',
    "unnamed": 'os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)',
    "deleted": """os.open("new", os.O_CREAT)
os.unlink("new")""",
    "none": "99",
    "negative": "-1",
    "the working directory": "HERE",
}
"""Descriptors of what no rule speaks of, or of nothing that these calls take."""


def planted(place: Path) -> Path:
    """A directory `shut` in which nothing may be changed, and a file beside it."""
    (place / "shut").mkdir(parents=True)
    for name in ("shut/file", "free"):
        (place / name).write_text("text")
        (place / name).chmod(0o644)
    for name in ("shut", "shut/file", "free"):
        os.setxattr(place / name, "user.there", b"1")
    (place / "also").symlink_to("shut/file")
    os.link(place / "shut/file", place / "second")
    return place


ONE_NAME_ONLY = ("pattern", "by its second name")
"""A second name that a pattern does not match is another one: docs/limits.md, Names."""
JUDGED = sorted({(rule, way) for rule in RULES for way in SHUT} - {ONE_NAME_ONLY})


def policy(rule: str, place: Path) -> str:
    condition = RULES[rule].replace("PLACE", str(place))
    return f"default: permit\nrules:\n  - deny[erofs]: fswrite\n    when: {condition}\n"


def acts(descriptor: str, calls: Mapping[str, str]) -> Acts:
    """Each call on a descriptor that was got that way."""
    return {title: f"fd = {descriptor}\nreturn {text}" for title, text in calls.items()}


@MECHANISMS
@pytest.mark.parametrize(("rule", "way"), JUDGED)
def test_rules_on_names_hold_for_descriptors(
    mechanism: str, rule: str, way: str, tmp_path: Path
) -> None:
    """Every call that changes what a descriptor is of is refused and logged, as it is by name."""
    place = planted(tmp_path)
    before = [(place / name).stat().st_ctime_ns for name in ("shut", "shut/file")]
    calls = {**DIRECT, **BY_EMPTY_NAME}
    ran, found = run_acts(mechanism, policy(rule, place), acts(SHUT[way], calls), place)
    takes_none = ONLY_OPEN if way == "path only" else ()
    assert found == {title: str(-(EBADF if title in takes_none else EROFS)) for title in calls}
    assert [(place / name).stat().st_ctime_ns for name in ("shut", "shut/file")] == before
    assert len(ran.decisions()) == len(calls) - len(takes_none)


@MECHANISMS
@pytest.mark.parametrize("what", OTHERS)
def test_other_descriptors_are_as_bare(mechanism: str, what: str, tmp_path: Path) -> None:
    """Files beside the rules, things without a name, and numbers that are no descriptors."""
    calls = {**DIRECT, **BY_EMPTY_NAME}
    if what == "the working directory":
        calls = {name: text for name, text in DIRECT.items() if name != "fsetxattr"}
        # which takes AT_FDCWD for an empty name (path_setxattrat in fs/xattr.c, since Linux 6.13)
    bare, held = planted(tmp_path / "bare"), planted(tmp_path / "held")
    _, found = run_acts(mechanism, policy("pattern", held), acts(OTHERS[what], calls), held)
    assert found == bare_acts(acts(OTHERS[what], calls), bare)


FLAGS_OF_FILE = """
fd = os.open("shut/file", os.O_RDONLY)
flags = bytearray(8)
fcntl.ioctl(fd, GET, flags)
return call("ioctl", fd, SET, bytes(flags))"""


@MECHANISMS
def test_flags_are_denied_by_their_command(mechanism: str, tmp_path: Path) -> None:
    """No rule on names reaches what is set by ioctl, as docs/limits.md says; one on it does."""
    place = planted(tmp_path)
    get, command = (CONSTANTS[f"FS_IOC_{verb}FLAGS"] for verb in ("GET", "SET"))
    asked = {"flags": FLAGS_OF_FILE.replace("GET", str(get)).replace("SET", str(command))}
    alone = bare_acts(asked, place)
    if alone["flags"] != "0":
        pytest.skip("a file system without flags")
    _, found = run_acts(mechanism, policy("pattern", place), asked, place)
    assert found == alone
    rule = "  - deny[erofs]: ioctl\n    when: arg[1]:32 == FS_IOC_SETFLAGS\n"
    _, found = run_acts(mechanism, policy("pattern", place) + rule, asked, place)
    assert found == {"flags": str(-EROFS)}
