"""One table of policies and acts, run over every mechanism: as decided, or refused beforehand."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from enforcer.mechanisms.contract import MechanismName

REFUSED = 2  # exit status of a run that was not started
CONFINING = tuple(name.value for name in MechanismName if name is not MechanismName.NONE)
ACT = """
import os, socket, sys
try:
    {act}
    print("done")
except OSError as error:
    print(os.strerror(error.errno))
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A policy, an act in Python, what comes of it, and the mechanisms that can express it."""

    name: str
    rules: str
    act: str
    answer: str
    by: frozenset[str]


SUPERVISED = frozenset({"ptrace", "notify"})
BY_REGISTER = SUPERVISED | {"seccomp"}
TABLE = (
    Row(
        name="plain-deny",
        rules="- deny[exdev]: getpriority",
        act="os.getpriority(os.PRIO_PROCESS, 0)",
        answer="Invalid cross-device link",
        by=BY_REGISTER,
    ),
    Row(
        name="register-deny",
        rules="- deny[exdev]: socket\n    when: arg[0]:32 == AF_NETLINK",
        act="socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        answer="Invalid cross-device link",
        by=BY_REGISTER,
    ),
    Row(
        name="register-permit",
        rules="- deny[exdev]: socket\n    when: arg[0]:32 == AF_NETLINK",
        act="socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
        answer="done",
        by=BY_REGISTER,
    ),
    Row(
        name="path-deny",
        rules='- deny[enotdir]: fsread\n    when: filename eq "{root}/shut"',
        act='open("{root}/shut")',
        answer="Not a directory",
        by=SUPERVISED,
    ),
    Row(
        name="path-deny-by-link",
        rules='- deny[enotdir]: fsread\n    when: filename eq "{root}/shut"',
        act='open("{root}/link")',
        answer="Not a directory",
        by=SUPERVISED,
    ),
    Row(
        name="path-permit",
        rules='- deny[enotdir]: fsread\n    when: filename eq "{root}/shut"',
        act='open("{root}/open")',
        answer="done",
        by=SUPERVISED,
    ),
    *(
        Row(
            name=f"name-of-{size}-{mark[:1]}",
            rules='- deny[enotdir]: fsread\n    when: filename eq "{root}/shut"',
            act=f'open("{{root}}".ljust({size} - 6, "{mark}") + "/shut")',
            answer=answer,
            by=SUPERVISED,
        )
        for size, mark, answer in (
            (4096, "/", "Not a directory"),
            (4097, "/", "File name too long"),
            (9000, "/", "File name too long"),
        )
    ),
    *(
        Row(
            name=f"component-of-{size}",
            rules='- deny[enotdir]: fsread\n    when: filename eq "{root}/shut"',
            act=f'open("{{root}}/" + {size} * "x")',
            answer=answer,
            by=SUPERVISED,
        )
        for size, answer in ((255, "No such file or directory"), (256, "File name too long"))
    ),
    Row(
        name="path-deny-new-errno",
        rules='- deny[enoent]: [mkdir, mkdirat]\n    when: not filename match "{root}/open"',
        act='os.mkdir("{root}/new")',
        answer="No such file or directory",
        by=SUPERVISED,
    ),
    Row(
        name="read-and-write-is-to-write",
        rules='- deny[exdev]: fsread\n    when: filename eq "{root}/shut"',
        act='os.open("{root}/shut", os.O_RDWR)',
        answer="done",
        by=SUPERVISED,
    ),
    Row(
        name="path-deny-rename",
        rules='- deny[exdev]: fswrite\n    when: filename eq "{root}/shut"',
        act='os.rename("{root}/open", "{root}/shut")',
        answer="Invalid cross-device link",
        by=SUPERVISED,
    ),
    Row(
        name="address-deny",
        rules='- deny[exdev]: connect\n    when: sockaddr eq "inet-[127.0.0.1]:9"',
        act='socket.socket().connect(("127.0.0.1", 9))',
        answer="Invalid cross-device link",
        by=SUPERVISED,
    ),
    Row(
        name="address-permit",
        rules='- deny[exdev]: connect\n    when: sockaddr eq "inet-[127.0.0.1]:9"',
        act='socket.socket().connect(("127.0.0.1", 1))',
        answer="Connection refused",
        by=SUPERVISED,
    ),
)


@pytest.mark.parametrize("backend", CONFINING)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_as_decided_or_refused(row: Row, backend: str, tmp_path: Path) -> None:
    """The act's outcome is the policy's answer; what cannot be expressed is not started."""
    for name in ("open", "shut"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("shut")
    policy = tmp_path / "policy.yaml"
    rules = row.rules.replace("{root}", str(tmp_path))
    policy.write_text(f"default: permit\nrules:\n  {rules}\n")
    program = ACT.replace("{act}", row.act.replace("{root}", str(tmp_path)))
    words = ["run", "--backend", backend, "--policy", str(policy), "--", sys.executable, "-c"]
    done = subprocess.run(
        [sys.executable, "-m", "enforcer", *words, program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if backend in row.by:
        assert done.stdout == row.answer + "\n", done.stderr
    else:
        assert (done.returncode, done.stdout) == (REFUSED, ""), done.stderr
        assert "cannot enforce" in done.stderr


@pytest.mark.skipif("CI" not in os.environ, reason="speaks of the machine that lands changes")
@pytest.mark.parametrize("backend", CONFINING)
def test_nothing_is_skipped_where_changes_land(backend: str) -> None:
    """The landing machine has every mechanism, so no case is skipped there for want of one."""
    from harness.backends import backend as find

    assert find(backend).probe() == ()
