"""A supervisor whose limits somebody else sets goes on as well as it can, and lets nothing pass."""

from __future__ import annotations

import os
import resource
import secrets
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.mechanisms import notify
from enforcer.mechanisms.notify.states import States
from tests.logs.test_killed import POLICY, called

pytestmark = pytest.mark.skipif(bool(notify.MECHANISM.probe()), reason="notify lacks something")

TARGET = "echo begun; read line; cat open; cat secret; echo end"
LONG_MS = 300
"""Many times as long as the supervisor takes to look at anything."""


def test_without_descriptors_a_supervisor_refuses(tmp_path: Path) -> None:
    """It can open nothing for its target, tells that, and does not end with ENOSYS for all."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    for name in ("open", "secret"):
        (tmp_path / name).write_text("content\n")
    marker = secrets.token_hex(8)
    words = ("run", "-b", "notify", "-p", "policy.yaml", "--", "sh", "-c", TARGET, marker)
    with subprocess.Popen(
        [sys.executable, "-m", "enforcer", *words],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        supervisor = called("supervisor", marker)
        pidfd = os.pidfd_open(supervisor)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (0, 0))
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        has_ended = ended.poll(LONG_MS)
        output, errors = process.communicate("line\n", timeout=60)
        os.close(pidfd)
    assert not has_ended
    assert output == "end\n"
    assert errors.count("Too many open files") == 2


@pytest.mark.parametrize(
    ("act", "has_call", "has_ended"),
    [
        (lambda ends: None, False, False),
        (lambda ends: os.write(ends[1], b"call"), True, False),
        (lambda ends: os.close(ends[1]), False, True),
    ],
    ids=["nothing", "a call", "the end"],
)
def test_states_are_told_without_descriptors(
    act: Callable[[tuple[int, int]], object], has_call: bool, has_ended: bool
) -> None:
    """A pipe stands for the listener: POLLIN and POLLHUP mean the same of both."""
    ends = os.pipe()
    states = States(ends[0])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    act(ends)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert (states.has_call(), states.has_ended(0)) == (has_call, has_ended)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
