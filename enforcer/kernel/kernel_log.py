"""The kernel's log (/dev/kmsg, Documentation/ABI/testing/dev-kmsg): what it says from now on."""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path

from enforcer.kernel.audit import Audit

_PRINTED_S = 10.0
_RECORD_BYTES = 8192  # CONSOLE_EXT_LOG_MAX, more than any record has
_RATE_LIMIT = Path("/proc/sys/kernel/printk_ratelimit")


def opened_at_end() -> int:
    """A descriptor that reads what is logged from now on, which is everything: audit records are
    printed at a limited rate otherwise. Raises OSError.
    """
    _RATE_LIMIT.write_text("0", encoding="ascii")
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.lseek(descriptor, 0, os.SEEK_END)
    return descriptor


def lines(descriptor: int) -> list[str]:
    """The texts of the records that came; what the ring no longer has is left out."""
    found: list[str] = []
    while True:
        try:
            record = os.read(descriptor, _RECORD_BYTES)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return found
            if error.errno != errno.EPIPE:  # overwritten before it was read: the next one stands
                raise
            continue
        text = record.decode("utf-8", "backslashreplace").partition(";")[2]
        found.append(text.partition("\n")[0])


def audited(descriptor: int) -> list[str]:
    """The same, with every audit record that there was when it was asked for.

    Where no daemon takes them a kernel thread prints them, some time after the act (kauditd_thread,
    kernel/audit.c), in their order: so one of our own goes behind them. Raises OSError, also when
    that one does not come.
    """
    mark = os.urandom(8).hex()
    audit = Audit()
    try:
        audit.say(mark)
    finally:
        audit.close()
    printed = select.poll()
    printed.register(descriptor, select.POLLIN)
    until = time.monotonic() + _PRINTED_S
    found: list[str] = []
    while True:
        for line in lines(descriptor):
            if mark in line:
                return found
            found.append(line)
        if not printed.poll(max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "the kernel's log lacks audit records")
