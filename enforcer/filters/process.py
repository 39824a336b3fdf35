"""The filter that a running process is under."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from enforcer.arch import native
from enforcer.cbpf.instruction import disassemble
from enforcer.filters.model import Filter
from enforcer.filters.raw import of_programs
from enforcer.kernel.ptrace import TaskGone
from enforcer.kernel.seccomp_filter import filters_of
from enforcer.policy.problem import PolicyError, Problem

_REASONS: Mapping[int, str] = {
    errno.ESRCH: "no such process",
    errno.EPERM: "it may not be traced: it is another user's, or traced already",
    errno.EACCES: "needs CAP_SYS_ADMIN, and a caller that is under no filter itself",
    errno.EINVAL: "it is under no seccomp filter",
    errno.EIO: "this kernel gives no filters (CONFIG_CHECKPOINT_RESTORE)",
}


def read_process(pid: int) -> Filter:
    """What process `pid` is under, all its filters stacked. Raises PolicyError."""
    source = f"pid:{pid}"
    try:
        found = filters_of(pid)
    except TaskGone:
        raise PolicyError([_problem(source, _REASONS[errno.ESRCH])]) from None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise PolicyError([_problem(source, reason)]) from None
    if not found:
        raise PolicyError([_problem(source, _REASONS[errno.EINVAL])])
    big_endian = native().native.big_endian
    return of_programs(tuple(disassemble(raw, big_endian=big_endian) for raw in found), source)


def _problem(source: str, message: str) -> Problem:
    return Problem(source=source, line=1, column=1, message=message)
