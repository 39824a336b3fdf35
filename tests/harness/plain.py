"""Runs behind chosen walls, on purpose, and asked for by a process without capabilities.

Root's own pipes are closed to a target that has none, those of an ordinary user are not.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enforcer.kernel import namespaces
from harness.places import local
from harness.places.isolation import Isolation
from harness.process import fork, wait

AGENT = """
import sys
from harness.places import agent, isolation
isolation.available = lambda: isolation.Isolation(sys.argv[1])
agent.MARGIN_S = 1.0
{first}
agent.main()
"""


def wall_in(found: Isolation, monkeypatch: pytest.MonkeyPatch, first: str = "") -> None:
    """From here on this machine permits `found`, no more; `first` is what agents begin with."""
    command = (sys.executable, "-c", AGENT.format(first=first), found.value)
    monkeypatch.setattr(local, "AGENT", command)
    monkeypatch.setattr(local, "available", lambda: found)
    monkeypatch.setattr(local, "MARGIN_S", 2.0)


def without_capabilities(body: Callable[[Path], object]) -> Any:
    """What `body` returns, as JSON carries it, in a process without root's rights; it is given a
    directory of its own.
    """
    read_end, write_end = os.pipe()

    def child() -> int:
        namespaces.drop_capabilities()
        namespaces.set_dumpable()
        own = Path(tempfile.mkdtemp(prefix="plain-"))
        try:
            data = json.dumps(body(own)).encode()
        finally:
            shutil.rmtree(own)
        with os.fdopen(write_end, "wb") as stream:
            stream.write(data)
        return 0

    pid = fork(child)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        found = stream.read()
    assert wait(pid) == 0
    return json.loads(found)


def in_child(body: Callable[[], bool]) -> bool:
    """Whether `body` says so in a process of its own."""
    return wait(fork(lambda: 0 if body() else 1)) == 0
