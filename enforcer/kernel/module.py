"""Kernel modules: finit_module(2)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from enforcer.kernel.raw import BYTES, INT, raw_call

_finit_module = raw_call("finit_module", arguments=(INT, BYTES, INT))


def load(path: Path, parameters: str = "") -> None:
    """Load the module in a file; one that is there already stays. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        result = _finit_module(descriptor, parameters.encode("ascii"), 0)
    finally:
        os.close(descriptor)
    if result < 0 and -result != errno.EEXIST:
        raise OSError(-result, os.strerror(-result), str(path))
