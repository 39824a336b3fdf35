"""A call is tried by a child: what it does to its caller, nobody else has."""

from __future__ import annotations

import errno
import os

import pytest

from enforcer.kernel import procfs
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.kernel.trying import tried
from enforcer.syscalls import table


@pytest.mark.parametrize(
    ("call", "answer"),
    [("getpid", 0), ("ptrace", 0), ("exit_group", 0), ("vmsplice", errno.EINVAL)],
)
def test_what_a_call_answers(call: str, answer: int) -> None:
    """Whatever it does: this process goes on, and nobody has become its tracer."""
    assert tried(call) == answer
    fields = procfs.status_fields(procfs.read(os.getpid(), "status"))
    assert fields[b"TracerPid"].strip() == b"0"


def test_a_call_that_nobody_has() -> None:
    """No ABI knows this name."""
    assert "no_such_call" not in table(NATIVE_ABI)
    assert tried("no_such_call") == errno.ENOSYS
