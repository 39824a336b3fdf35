"""Who is ended first: parents, so that none sees its child's end and goes on from there."""

from __future__ import annotations

import errno

import pytest

from enforcer.kernel import procfs
from enforcer.supervision.processes import by_age

BEGUN = {30000: 100, 31: 200, 32: 200}
"""The second and third after pid_max was reached."""


def test_the_oldest_come_first_whatever_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is gone is left out."""

    def read(pid: int, name: str) -> bytes:
        if pid not in BEGUN:
            raise ProcessLookupError(errno.ESRCH, name)
        fields = ["S", *["0"] * 18, str(BEGUN[pid]), "0"]
        return f"{pid} (a) b) {' '.join(fields)}\n".encode()

    monkeypatch.setattr(procfs, "read", read)
    assert by_age({32, 31, 30000, 7}) == [30000, 31, 32]
