"""Numbers and model of every system call of every supported ABI."""

from __future__ import annotations

from enforcer.syscalls.multiplex import SubCall, split
from enforcer.syscalls.numbers import name, names, number, table

__all__ = ["SubCall", "name", "names", "number", "split", "table"]
