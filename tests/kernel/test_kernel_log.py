"""The kernel's log: every audit record that there was, however late it is printed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from enforcer.kernel import kernel_log


def record(text: str) -> bytes:
    return f"5,1,1,-;{text}\n".encode()


@pytest.fixture
def log() -> Iterator[tuple[int, int]]:
    """A pipe that keeps records apart, as /dev/kmsg does: its two ends."""
    ends = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


class Printer:
    """An audit whose records are printed when one of our own is behind them."""

    def __init__(self, into: int, *, is_mute: bool = False) -> None:
        self.into = into
        self.is_mute = is_mute
        self.is_closed = False

    def say(self, text: str) -> None:
        for line in (
            ["refused b", "after"] if self.is_mute else ["refused b", f"says {text}", "after"]
        ):
            os.write(self.into, record(line))

    def close(self) -> None:
        self.is_closed = True


def test_what_is_printed_late_is_read_too(
    log: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to our own record, which is no one's refusal, and not what comes behind it."""
    reads, into = log
    audit = Printer(into)
    monkeypatch.setattr(kernel_log, "Audit", lambda: audit)
    os.write(into, record("refused a"))
    assert kernel_log.audited(reads) == ["refused a", "refused b"]
    assert audit.is_closed


def test_a_log_that_cannot_be_whole_is_none(
    log: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was logged would pass for unlogged."""
    reads, into = log
    monkeypatch.setattr(kernel_log, "Audit", lambda: Printer(into, is_mute=True))
    monkeypatch.setattr(kernel_log, "_PRINTED_S", 0.0)
    with pytest.raises(TimeoutError, match="lacks audit records"):
        kernel_log.audited(reads)
