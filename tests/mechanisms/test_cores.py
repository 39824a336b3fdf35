"""The kernel writes no core dump for a target, unless a rule speaks of their limit."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from enforcer.policy import load_policies
from enforcer.supervision.cores import permits_cores
from tests.mechanisms.acting import Acts, run_acts
from tests.mechanisms.sandbox import run

PERMISSIVE = "default: permit\nrules: []\n"
PERMITTING = """
default: permit
rules:
  - permit: [setrlimit, prlimit64]
    when: arg[1]:32 == RLIMIT_CORE
"""

_CORE = resource.RLIMIT_CORE
_NO_LIMIT = (1 << 64) - 1

ACTS: Acts = {
    "get": f"resource.getrlimit({_CORE})",
    "raise": f'call("prlimit64", 0, {_CORE}, struct.pack("QQ", 0, {_NO_LIMIT}), 0)',
    "raise, old call": f'call("setrlimit", {_CORE}, struct.pack("QQ", 4096, 4096))',
    "raise of itself by number":
        f'call("prlimit64", os.getpid(), {_CORE}, struct.pack("QQ", 0, {_NO_LIMIT}), 0)',
    "lower": f"""
        old = ctypes.create_string_buffer(16)
        return (call("prlimit64", 0, {_CORE}, bytes(16), ctypes.addressof(old)),
                call("setrlimit", {_CORE}, bytes(16)), struct.unpack("QQ", old),
                resource.getrlimit({_CORE}))""",
    "wrong": f'call("prlimit64", 0, {_CORE}, struct.pack("QQ", 1, 0), 0)',
    "unreadable": f'call("prlimit64", 0, {_CORE}, BAD, 0)',
    "others": 'call("prlimit64", 0, 7, struct.pack("QQ", 99, 99), 0)',
}  # fmt: skip

ANSWERS = {
    "get": "(1, 1)",
    "raise": "-1",
    "raise, old call": "-1",
    "raise of itself by number": "-1",
    "lower": "(0, 0, (1, 1), (1, 1))",
    "wrong": "-22",
    "unreadable": "-14",
    "others": "0",
}

_DUMPS = """
import os, resource, sys
hardest = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hardest, hardest))
child = os.fork()
if child == 0:
    os.abort()
print(os.WCOREDUMP(os.waitpid(child, 0)[1]))
"""

MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])


@pytest.fixture
def _unlimited() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("a hard limit forbids core dumps here anyway (RLIMIT_CORE)")


@MECHANISMS
@pytest.mark.usefixtures("_unlimited")
def test_the_limit_is_not_raised(mechanism: str, tmp_path: Path) -> None:
    """By no call; lowering it is granted, for a dump handler is run at 0 and not at 1."""
    ran, outcomes = run_acts(mechanism, PERMISSIVE, ACTS, tmp_path, prelude="import resource")
    assert outcomes == ANSWERS
    refused = [e for e in ran.events if e["event"] == "decision" and e["errno"] == 1]
    assert len(refused) == 3
    assert all("core dumps" in str(event["reason"]) for event in refused)


@MECHANISMS
@pytest.mark.usefixtures("_unlimited")
def test_a_program_that_aborts_leaves_nothing(mechanism: str, tmp_path: Path) -> None:
    """Where a rule permits to set the limit it dumps, as bare."""
    dumped = {}
    for policy in (PERMISSIVE, PERMITTING):
        ran = run(mechanism, policy, [sys.executable, "-I", "-S", "-c", _DUMPS], tmp_path)
        dumped[policy] = ran.stdout
    assert dumped == {PERMISSIVE: "False\n", PERMITTING: "True\n"}


@pytest.mark.parametrize(
    ("rule", "permitted"),
    [
        ("permit: prlimit64", False),
        ("permit: prlimit64\n    when: arg[1]:32 == RLIMIT_CORE", True),
        ("permit: setrlimit\n    when: arg[0]:32 == RLIMIT_CORE", True),
        ("permit: prlimit64\n    when: arg[1]:32 == RLIMIT_NOFILE", False),
        ("permit: prlimit64\n    when: arg[0]:32 == 0", False),
        ("deny[eperm]: prlimit64\n    when: arg[1]:32 == RLIMIT_CORE", False),
    ],
)
def test_which_rules_speak_of_core_dumps(rule: str, permitted: bool, tmp_path: Path) -> None:
    """Those that permit the calls which set limits, by the very number of this limit."""
    place = tmp_path / "policy.yaml"
    place.write_text(f"default: permit\nrules:\n  - {rule}\n")
    assert permits_cores(load_policies(place)) is permitted
