"""What only root may do, taken from a target that has some of root's privilege."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.events import NullLog
from enforcer.kernel import prctl
from enforcer.kernel.credentials import become
from enforcer.mechanisms.capabilities import MECHANISM
from enforcer.mechanisms.contract import Extent, Inexpressible, Options, Plan
from enforcer.mechanisms.preparing import Met, Stage
from enforcer.policy.parser import parse_yaml
from enforcer.syscalls import names
from enforcer.syscalls.privileges import CAPABILITIES, PRIVILEGES
from harness import process
from harness.backends.life import stage_of
from harness.evidence import unwitnessed
from harness.places.layout import Layout

ABIS = native().abis
CHROOT = CAPABILITIES["sys_chroot"]
STATUS = "import sys; sys.stdout.write(open('/proc/self/status').read())"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: ids cannot be changed")


def policy(rule: str) -> str:
    return f"default: permit\nrules:\n  - {rule}\n"


def plan(rule: str) -> Plan:
    return MECHANISM.compile([parse_yaml(policy(rule), "x")], ABIS, Options(partial=True))


COVERS = [
    ("deny[eperm]: init_module", ["sys_module"], Extent.PARTIAL, "whatever else needs"),
    ("deny[eperm]: chroot", ["sys_chroot"], Extent.PARTIAL, "user namespace"),
    ("deny[enosys]: chroot", ["sys_chroot"], Extent.PARTIAL, "EPERM"),
    ("deny[eperm]: [chroot, rename]", ["sys_chroot"], Extent.PARTIAL, "rename"),
    ("deny[eperm]: rename", [], Extent.NONE, "no capability is needed for rename"),
    ('deny[eperm]: chroot\n    when: filename eq "/x"', [], Extent.NONE, "arguments"),
]


@pytest.mark.parametrize(("rule", "dropped", "extent", "reason"), COVERS)
def test_what_of_a_rule_is_kept(
    rule: str, dropped: Sequence[str], extent: Extent, reason: str
) -> None:
    """Whole calls behind a capability, and it is said what goes with them."""
    found = MECHANISM.cover(parse_yaml(policy(rule), "x"), ABIS)[0]
    assert (found.extent, reason in found.reason) == (extent, True), found.reason
    assert plan(rule).data["drops"] == dropped


def test_a_policy_that_takes_nothing_is_refused() -> None:
    """The control would pass for an enforcer."""
    with pytest.raises(Inexpressible, match="no rule takes a capability away"):
        MECHANISM.compile([parse_yaml(policy("permit: chroot"), "x")], ABIS, Options())


def test_the_table_speaks_of_calls_and_capabilities_that_exist() -> None:
    """Each call on some ABI; the numbers are the kernel's, up to its last."""
    assert names() >= PRIVILEGES.keys()
    assert {each.capability for each in PRIVILEGES.values()} <= CAPABILITIES.keys()
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last <= max(CAPABILITIES.values())
    assert (CAPABILITIES["sys_admin"], CAPABILITIES["bpf"]) == (21, 39)


def stage(root: Path, *holds: int) -> Stage:
    layout = Layout(root=root)
    return stage_of(layout, uid=4_242, gid=4_242, walled=True, holds=holds)


def told(run: Callable[[], object]) -> Mapping[str, int]:
    """The capability sets of a process that was started by `run`."""
    output, writing = os.pipe()

    def target() -> int:
        os.dup2(writing, 1)
        run()
        return 1

    pid = process.fork(target)
    os.close(writing)
    with os.fdopen(output) as said:
        lines = [line.split(":") for line in said.read().splitlines()]
    assert process.wait(pid) == 0
    return {name: int(value, 16) for name, value in lines if name.startswith("Cap")}


@needs_root
def test_the_target_keeps_the_rest(tmp_path: Path) -> None:
    """What it held is in all of its sets, but what is denied, which is in none."""
    if not prctl.has_in_bounds(CHROOT) or not prctl.has_in_bounds(CAPABILITIES["chown"]):
        pytest.skip("capabilities are missing from the bounding set")
    where = stage(tmp_path, CHROOT, CAPABILITIES["chown"])
    command = ["/usr/bin/python3", "-c", STATUS]
    with MECHANISM.prepare(plan("deny[eperm]: chroot"), where, lambda *_: "") as prepared:
        sets = told(lambda: MECHANISM.launch(prepared, command, NullLog()))
    assert sets.keys() == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    for name, mask in sets.items():
        assert not mask >> CHROOT & 1, name
        assert mask & 1 << CAPABILITIES["chown"], name


@needs_root
def test_without_the_mechanism_it_has_them() -> None:
    """A target that holds a capability has it where nobody takes it away."""
    if not prctl.has_in_bounds(CHROOT):
        pytest.skip("CAP_SYS_CHROOT is missing from the bounding set")

    def bare() -> None:
        become(4_242, 4_242, [CHROOT])
        os.execv("/usr/bin/python3", ["python3", "-c", STATUS])

    sets = told(bare)
    assert {mask >> CHROOT & 1 for mask in sets.values()} == {1}
    assert sets["CapEff"] == 1 << CHROOT


def test_a_set_that_still_has_it_is_no_witness(tmp_path: Path) -> None:
    """Whatever the launcher says; this process has not been looked at by any."""
    own = plan("deny[eperm]: chroot")
    here = os.getpid()
    events = MECHANISM.witness(own, stage(tmp_path), Met(pid=here, answers={}))
    has = prctl.has_in_bounds(CHROOT)
    assert ("CapBnd has sys_chroot" in unwitnessed(events)) is has
    nobody = MECHANISM.witness(own, stage(tmp_path), Met(pid=None, answers={}))
    assert unwitnessed(nobody) == "no process is the target"


def test_a_plan_says_what_goes() -> None:
    """In words of capabilities(7)."""
    both = plan("deny[eperm]: [chroot, init_module]")
    assert MECHANISM.describe(both) == "without CAP_SYS_CHROOT\nwithout CAP_SYS_MODULE\n"
