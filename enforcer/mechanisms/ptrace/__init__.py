"""The reference mechanism: ptrace behind a generated seccomp filter."""

from __future__ import annotations

from enforcer.mechanisms.ptrace.mechanism import MECHANISM, Ptrace

__all__ = ["MECHANISM", "Ptrace"]
