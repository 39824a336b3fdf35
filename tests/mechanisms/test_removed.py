"""Calls taken out of the kernel: asked of whoever has the machine, and seen by two processes."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from enforcer.arch import native
from enforcer.mechanisms import removed
from enforcer.mechanisms.contract import LaunchError, Options
from enforcer.mechanisms.preparing import Met
from enforcer.mechanisms.removed import MECHANISM
from enforcer.policy.parser import parse_yaml
from enforcer.syscalls import number
from harness.backends.life import stage_of
from harness.evidence import unwitnessed, witnessed
from harness.places.layout import Layout

POLICY = parse_yaml("default: permit\nrules:\n  - deny[enosys]: [vmsplice]\n", "x")
PLAN = MECHANISM.compile([POLICY], native().abis, Options())
PROBE = f"call:{number(native().abis[0].name, 'vmsplice')}"
ENTRIES = {"__x64_sys_vmsplice": "48c7c0daffffffc3"}
STAGE = stage_of(Layout(root=Path("/srv")), uid=1, gid=1, walled=True, disposable=True)


def test_it_is_gone_as_long_as_it_is_entered() -> None:
    """And put back, whatever happens in between."""
    asked: list[Mapping[str, object]] = []

    def ask(question: Mapping[str, object]) -> Mapping[str, object]:
        asked.append(question)
        return {"entries": ENTRIES}

    arranging = MECHANISM.arrange(PLAN, ask, STAGE)
    assert arranging.__enter__().plan.data["entries"] == ENTRIES
    assert asked == [{"remove": ["vmsplice"]}]
    failure = KeyError()
    assert not arranging.__exit__(KeyError, failure, None)
    assert asked[1:] == [{"restore": ["vmsplice"]}]


def test_who_cannot_remove_it_is_not_believed() -> None:
    """The run is not made."""
    arranging = MECHANISM.arrange(PLAN, lambda _: {"error": "no entry"}, STAGE)
    with pytest.raises(LaunchError, match="no entry"):
        arranging.__enter__()


@pytest.mark.parametrize(
    ("entries", "target", "elsewhere", "missing"),
    [
        (ENTRIES, errno.ENOSYS, errno.ENOSYS, ""),
        ({}, errno.ENOSYS, errno.ENOSYS, "nothing was overwritten"),
        (ENTRIES, 0, errno.ENOSYS, f"{PROBE} is there"),
        (ENTRIES, errno.EPERM, errno.ENOSYS, f"{PROBE} is there"),
        (ENTRIES, errno.ENOSYS, errno.EBADF, "elsewhere:vmsplice is there"),
    ],
)
def test_what_two_processes_see_is_the_witness(
    entries: Mapping[str, str],
    target: int,
    elsewhere: int,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The target, another process, and the bytes that were read back."""
    monkeypatch.setattr(removed, "tried", lambda call: elsewhere)
    assert MECHANISM.probes(PLAN, STAGE) == (PROBE,)
    arranging = MECHANISM.arrange(PLAN, lambda _: {"entries": entries}, STAGE)
    with arranging as arranged:
        events = MECHANISM.witness(arranged.plan, STAGE, Met(pid=7, answers={PROBE: target}))
    assert unwitnessed(events) == missing
    assert witnessed(events) is not bool(missing)


def test_the_target_learns_what_is_lost() -> None:
    """Its log begins with it."""
    partial = parse_yaml("default: permit\nrules:\n  - deny[eperm]: [vmsplice]\n", "x")
    plan = MECHANISM.compile([partial], native().abis, Options(partial=True))
    (lost,) = cast("list[dict[str, object]]", plan.data["inexpressible"])
    assert lost["errs"] == "denies with another errno"
    assert MECHANISM.describe(plan) == "vmsplice: not implemented, for everybody\n"
