"""Which policy a command comes under, and a launch that does not begin without its supervisor."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.call import Action
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import assemble
from enforcer.cbpf.spec import ALLOW, USER_NOTIF, FilterSpec
from enforcer.mechanisms.contract import LaunchError, Plan
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.wire import policy_to_json
from enforcer.supervision.binaries import Binaries
from enforcer.supervision.target import Target

ABIS = [abi.name for abi in native().abis]
OPEN = assemble(compile_filter(FilterSpec((), ALLOW)), big_endian=native().abis[0].big_endian)


def policy(binary: str | None) -> Policy:
    return Policy(binary=binary, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)


def plan(*binaries: str | None, program: bytes = OPEN) -> Plan:
    return Plan(
        mechanism="test",
        machine=ABIS[0],
        data={
            "abis": ABIS,
            "defences": ["copy"],
            "policies": [policy_to_json(policy(binary)) for binary in binaries],
            "inexpressible": [],
            "cores": False,
            "program": program.hex(),
        },
    )


def test_policies_of_binaries(tmp_path: Path) -> None:
    """By the name that is written, by what it leads to, else the first that is for any."""
    (tmp_path / "link").symlink_to("/bin/true")
    real = os.path.realpath("/bin/true")
    written = ["/a", None, str(tmp_path / "link"), "/a", None]
    found = Binaries([policy(each) for each in written])
    assert found.place("/a") == 0
    assert found.place(real) == 2
    assert found.place("/other") == 1
    assert found.place_of_command(str(tmp_path / "link")) == 2
    assert found.place_of_command("/a") == 0
    assert Binaries([policy("/a")]).place("/other") is None


def test_a_command_without_a_policy_does_not_start() -> None:
    """Policies for other binaries are none for this one."""
    with pytest.raises(LaunchError, match="no policy is for /bin/true; there is one for /a, /b"):
        Target(plan("/a", "/b"), ["/bin/true"], USER_NOTIF)
    assert Target(plan("/a", None), ["/bin/true"], USER_NOTIF).place == 1


def in_child(body: Callable[[], object]) -> str:
    """The kind of the exception that `body` raises in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            body()
            os.write(writing, b"nothing")
        except BaseException as error:
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def test_a_command_waits_for_its_supervisor() -> None:
    """The greeting of a launcher that nobody answers ends the launch before the execve."""

    def launch() -> None:
        target = Target(plan(None), ["/bin/true"], USER_NOTIF)
        target.prepare([])
        target.enter()
        target.execute()

    assert in_child(launch) == "LaunchError"


def test_a_refused_filter_ends_the_launch() -> None:
    """So it is with one that the kernel does not take."""

    def launch() -> None:
        target = Target(plan(None, program=bytes(8)), ["/bin/true"], USER_NOTIF)
        target.prepare([])
        target.enter()

    assert in_child(launch) == "LaunchError"
