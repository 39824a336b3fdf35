"""Landlock with live programs: what is outside of the permitted hierarchies is denied."""

from __future__ import annotations

import errno
import json
import socket
import sys
from pathlib import Path

import pytest

from enforcer.access.notes import OTHER_ERRNO, TOO_MUCH_DENIED
from enforcer.kernel.landlock import version
from enforcer.mechanisms.contract import Extent, Plan
from enforcer.mechanisms.landlock import MECHANISM
from tests.mechanisms.test_landlock import (
    ABIS_HERE,
    PARTIAL,
    SHELL,
    SYSTEM,
    cover_of,
    launch,
    rules,
    usable,
    world,
)

__all__ = ["world"]


def allow_list(world: Path) -> Plan:
    found = rules(
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
        f'  - permit: fswrite\n    when: filename match "{world}/ok" or filename match "/dev"',
        "  - deny[eacces]: fswrite",
    )
    return MECHANISM.compile([found], ABIS_HERE, PARTIAL)


@usable
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("cat ok/f", 0),
        ("cat no/f", 1),
        ("echo x > ok/new", 0),
        ("echo x > no/new", 2),
        ("echo x >> no/f", 2),
        ("mv no/f ok/", 1),
        ("mv ok/f no/", 1),
        ("ln no/f ok/link", 1),
        ("ln ok/f ok/link", 0),
        ("rm no/f", 1),
        ("rm ok/f", 0),
        ("mkdir no/d", 1),
        ("ln -s ../no/f ok/s; cat ok/s", 1),
        ("ls no", 2),
        ("cd no && cat f", 1),
        ("cat /proc/self/root/$PWD/no/f", 1),
    ],
)
def test_a_shell_under_an_allow_list(world: Path, script: str, expected: int) -> None:
    """Permitted acts work, denied ones fail and leave the denied directory as it was."""
    command = [SHELL, "-c", f"cd {world}; {script}"]
    run = launch(world, allow_list(world), command)
    assert run.status == expected, run.output
    assert "no content" not in run.output
    assert sorted(path.name for path in (world / "no").iterdir()) == ["f"]
    assert (world / "no" / "f").read_text() == "no content\n"


@usable
@pytest.mark.parametrize(
    ("act", "said"),
    [
        (": >> no/f", ""),
        ("exec 3<> no/f", "Permission denied"),
        ("mkdir no/d", "Permission denied"),
    ],
)
def test_what_partial_rules_lose_is_what_the_kernel_does(world: Path, act: str, said: str) -> None:
    """Opened for writing alone a file that may not be read opens, for both it does not; a refusal
    is EACCES, whatever the rule says.
    """
    found = rules(
        "  - deny[enoent]: [mkdir, mkdirat]",
        "  - permit: fswrite",
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    assert cover_of(found, 0) == (Extent.PARTIAL, OTHER_ERRNO)
    assert cover_of(found, 1) == (Extent.PARTIAL, TOO_MUCH_DENIED)
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    run = launch(world, plan, [SHELL, "-c", f"cd {world}; {act}"])
    assert said in run.output
    assert (run.status == 0) == (said == "")


@usable
def test_metadata_is_not_covered(world: Path) -> None:
    """The gap that `cover` states is there: stat and chmod of a denied file work."""
    script = f"stat -c %n {world}/no/f && chmod 600 {world}/no/f && cat {world}/no/f"
    run = launch(world, allow_list(world), [SHELL, "-c", script])
    assert run.status == 1
    assert f"{world}/no/f\n" in run.output
    assert (world / "no" / "f").stat().st_mode & 0o777 == 0o600


@usable
def test_the_witness_tried_before_and_after(world: Path) -> None:
    """The log says what is lost and which acts the kernel denied."""
    run = launch(world, allow_list(world), [SHELL, "-c", "exit 7"])
    assert run.status == 7
    assert run.event("start")["abi"] == version()
    assert run.event("start")["inexpressible"]
    assert run.event("enforcing")["denied"] == {
        "read the memory of a process outside": "EPERM",
        "open / for reading": "EACCES",
    }


@usable
def test_places_that_cannot_be_permitted_are_reported(world: Path) -> None:
    """A name that is missing or leads over a link permits nothing, and the log says so."""
    (world / "link").symlink_to("no")
    found = rules(
        f'  - permit: fsread\n    when: filename match "{world}/link" or filename eq "{world}"'
        f' or filename match "{world}/missing" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    run = launch(world, plan, [SHELL, "-c", f"cat {world}/link/f"])
    assert run.status == 1
    left_out = run.event("enforcing")["left_out"]
    assert isinstance(left_out, list)
    mine = sorted(str(entry) for entry in left_out if str(world) in entry)
    assert mine == [
        f"{world}/link: Too many levels of symbolic links",
        f"{world}/missing: No such file or directory",
        f"{world}: a directory without what is in it",
    ]


@usable
def test_a_port_is_permitted_and_another_denied(tmp_path: Path) -> None:
    """connect reaches the permitted port; the other is EACCES before anything is sent."""
    if version() < 6:
        pytest.skip("Landlock ABI 6 is needed")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [end.getsockname()[1] for end in (one, other)]
        found = rules(
            f'  - permit: connect\n    when: sockaddr eq "inet-[127.0.0.1]:{ports[0]}"',
            "  - deny[eacces]: connect",
        )
        plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
        code = (
            "import socket\n"
            f"for port in {ports}:\n"
            "    print(socket.socket().connect_ex(('127.0.0.1', port)))\n"
        )
        run = launch(tmp_path, plan, [sys.executable, "-c", code])
    assert run.output == f"0\n{errno.EACCES}\n"


@usable
def test_exec_is_limited_to_a_hierarchy(world: Path) -> None:
    """A copy of a program outside the permitted hierarchy is not executed."""
    copy = world / "no" / "program"
    copy.write_bytes(Path("/bin/true").resolve().read_bytes())
    copy.chmod(0o755)
    found = rules(
        f"  - permit: execve\n    when: {SYSTEM}",
        f"  - permit: execveat\n    when: {SYSTEM}",
        "  - deny[eacces]: [execve, execveat]",
    )
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    assert launch(world, plan, [SHELL, "-c", "/bin/true"]).status == 0
    assert launch(world, plan, [SHELL, "-c", str(copy)]).status == 126
    assert launch(world, plan, [str(copy)]).status == 71


@usable
def test_several_policies_hold_together(world: Path) -> None:
    """A domain cannot switch: with two policies both are in force."""
    first = rules(f'  - permit: fsread\n    when: filename match "{world}" or {SYSTEM}')
    second = rules(
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    plan = MECHANISM.compile([first, second], ABIS_HERE, PARTIAL)
    assert "cannot switch" in json.dumps(plan.data["inexpressible"])
    assert launch(world, plan, [SHELL, "-c", f"cat {world}/no/f"]).status == 1
    assert launch(world, plan, [SHELL, "-c", f"cat {world}/ok/f"]).status == 0


@usable
def test_a_kernel_that_lacks_a_right_is_refused(world: Path) -> None:
    """Never less than the plan: an ABI beyond the kernel's is a LaunchError, nothing runs."""
    plan = allow_list(world)
    beyond = Plan(
        mechanism=plan.mechanism, machine=plan.machine, data={**plan.data, "abi": version() + 1}
    )
    run = launch(world, beyond, [SHELL, "-c", f"touch {world}/ok/ran"])
    assert run.status == 70
    assert "needs Landlock ABI" in run.output
    assert not (world / "ok" / "ran").exists()


@usable
def test_a_command_that_does_not_exist(world: Path) -> None:
    """It is the OSError of execve, not a failure to enforce."""
    assert launch(world, allow_list(world), ["/nonexistent/command"]).status == 71
