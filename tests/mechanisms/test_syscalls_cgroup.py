"""System calls as a resource of control groups: what is written, and what counts as a witness."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from pathlib import Path

import pytest

from enforcer.arch import arch, native
from enforcer.mechanisms import syscalls_cgroup
from enforcer.mechanisms.contract import Extent, Inexpressible, LaunchError, Options
from enforcer.mechanisms.preparing import Met
from enforcer.mechanisms.syscalls_cgroup import MECHANISM
from enforcer.policy.parser import parse_yaml
from enforcer.syscalls import number
from harness.backends.life import stage_of
from harness.evidence import unwitnessed, witnessed
from harness.places.layout import Layout

POLICY = parse_yaml("default: permit\nrules:\n  - deny[enosys]: [vmsplice]\n", "x")
ABIS = native().abis
NUMBER = number(ABIS[0].name, "vmsplice")
PROBE = f"call:{NUMBER}"
PLAN = MECHANISM.compile([POLICY], ABIS, Options(partial=True))
STAGE = stage_of(Layout(root=Path("/srv")), uid=1, gid=1, walled=True, disposable=True)


def test_numbers_are_those_of_the_native_abi() -> None:
    """So where there are others a rule is kept in part, and the talk's number is mkdir's."""
    mkdir = parse_yaml("default: permit\nrules:\n  - deny[enosys]: mkdir\n", "x")
    both, one = arch("x86_64").abis, arch("x86_64").abis[:1]
    assert MECHANISM.cover(mkdir, both)[0].extent is Extent.PARTIAL
    assert MECHANISM.cover(mkdir, one)[0].extent is Extent.FULL
    plan = MECHANISM.compile([mkdir], one, Options())
    assert MECHANISM.describe(plan) == "echo 83 > syscalls.deny\n"
    with pytest.raises(Inexpressible, match="only the numbers of x86_64"):
        MECHANISM.compile([mkdir], both, Options())


@pytest.mark.parametrize(
    ("group", "answer", "counted", "outside", "missing"),
    [
        ("/laboratory", errno.ENOSYS, 1, errno.EINVAL, ""),
        ("/", errno.ENOSYS, 1, errno.EINVAL, "its group is /"),
        ("/laboratory", errno.EINVAL, 1, errno.EINVAL, f"{PROBE} goes through"),
        ("/laboratory", errno.ENOSYS, 0, errno.EINVAL, "the kernel counts 0 refusals"),
        ("/laboratory", errno.ENOSYS, 1, errno.ENOSYS, "vmsplice is not there outside"),
    ],
)
def test_what_the_kernel_says_is_the_witness(
    group: str,
    answer: int,
    counted: int,
    outside: int,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The target's group, its refusal, the module's count, and a process that has the call."""
    monkeypatch.setattr(syscalls_cgroup, "_group", lambda pid: group)
    monkeypatch.setattr(syscalls_cgroup, "_denials", lambda: 4 + counted)
    monkeypatch.setattr(syscalls_cgroup, "tried", lambda call: outside)
    plan = MECHANISM.compile([POLICY], ABIS, Options(partial=True))
    counting = type(plan)(
        mechanism=plan.mechanism, machine=plan.machine, data={**plan.data, "denials": 4}
    )
    assert MECHANISM.probes(plan, STAGE) == (PROBE,)
    events = MECHANISM.witness(counting, STAGE, Met(pid=7, answers={PROBE: answer}))
    assert unwitnessed(events).startswith(missing)
    assert witnessed(events) is not bool(missing)


@pytest.mark.parametrize(
    ("answer", "is_an_error"), [(0, False), (errno.ERANGE, False), (errno.EACCES, True)]
)
def test_a_call_that_this_kernel_has_not_yet(
    answer: int, is_an_error: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is out of the module's range, so that nobody is refused it by the group."""

    def write(file: Path, text: str) -> None:
        assert (file, text) == (tmp_path / "syscalls.deny", str(NUMBER))
        if answer:
            raise OSError(answer, "written")

    monkeypatch.setattr(syscalls_cgroup, "_write", write)
    with pytest.raises(OSError, match="written") if is_an_error else nullcontext():
        syscalls_cgroup._deny(tmp_path, "vmsplice")


def test_who_has_no_module_is_not_run() -> None:
    """That it could not be built is said."""
    arranging = MECHANISM.arrange(PLAN, lambda _: {"error": "no headers"}, STAGE)
    with pytest.raises(LaunchError, match="no headers"):
        arranging.__enter__()
