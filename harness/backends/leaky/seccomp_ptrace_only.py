"""A filter that knows ptrace, and not the calls that reach another's memory since Linux 3.2."""

from __future__ import annotations

from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky


class _PtraceOnly(ForgetfulFilter):
    forgotten = ("process_vm_readv", "process_vm_writev")


BACKEND = Leaky(
    name="leaky-seccomp-ptrace-only",
    weakness="denies tracing another process, forgets process_vm_readv and process_vm_writev",
    enforcer=_PtraceOnly(),
    repaired=MECHANISM,
)
