"""Calls taken out of the kernel: their entries are overwritten by whoever has the machine.

The oldest way of all. They answer ENOSYS to everybody and on every ABI; what does the same work by
another name, or is asked of a ring, is not gone with them.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NoReturn, cast

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.kernel.execve import find_command
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.kernel.trying import tried
from enforcer.mechanisms.contract import Cover, LaunchError, Missing, Options, Plan, PreparedName
from enforcer.mechanisms.frame import begin, enforcing, unwitnessed
from enforcer.mechanisms.preparing import Arranged, Ask, Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import compiled, whole_calls
from enforcer.policy.ast import Policy
from enforcer.syscalls import number

_NEEDED = """
_llseek access arch_prctl arm_fadvise64_64 arm_set_tls arm_sync_file_range brk capget capset chdir
chmod chown chown32 clock_gettime clock_gettime64 clock_nanosleep clock_settime clone clone3 close
close_range dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 execve exit
exit_group faccessat faccessat2 fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fork fstat
fstat64 fstatat64 fstatfs fstatfs64 ftruncate ftruncate64 futex futex_time64 getcwd getdents64
getegid getegid32 geteuid geteuid32 getgid getgid32 getpgrp getpid getppid getrandom getrlimit
getsid gettid getuid getuid32 ioctl kill lseek lstat lstat64 madvise mkdir mkdirat mmap mmap2
mount mprotect mremap munmap nanosleep newfstatat open openat pidfd_open pidfd_send_signal pipe
pipe2 poll ppoll ppoll_time64 prctl pread64 prlimit64 pselect6 pselect6_time64 read readlink
readlinkat readv recvfrom recvmsg restart_syscall riscv_flush_icache rseq rt_sigaction
rt_sigprocmask rt_sigreturn rt_sigtimedwait sched_yield seccomp select sendmsg sendto
set_robust_list set_thread_area set_tid_address setgid setgid32 setgroups setgroups32 setpgid
setresgid setresgid32 setresuid setresuid32 setrlimit setsid setuid setuid32 sigreturn socket
socketcall socketpair stat stat64 statfs statfs64 statx symlink symlinkat sysinfo tgkill tkill
truncate truncate64 umask umount umount2 uname unlink unlinkat unshare utimensat utimensat_time64
vfork wait4 waitid waitpid write writev
"""
NEEDED = frozenset(_NEEDED.split())
"""What the guest's agent, a shell and Python cannot do without, or a run's own walls."""


class Removed:
    """The mechanism. `host` carries the acts out; the run's part is to see that they are done."""

    name = PreparedName.REMOVED
    needs = Needs(machine=True)
    refusals = frozenset({errno.ENOSYS})
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """It needs nothing of the kernel."""
        return ()

    def settle(self) -> None:
        """What is removed is a case's."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Whole calls in full where they are to answer ENOSYS, arguments not at all."""
        return whole_calls(policy, abis, errno=errno.ENOSYS, needed=NEEDED).covers

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The names of the calls that go. Raises Inexpressible."""
        calls, lost = compiled(policies, abis, options, errno=errno.ENOSYS, needed=NEEDED)
        data = {"calls": list(calls), "inexpressible": lost}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """One line a call."""
        return "".join(f"{call}: not implemented, for everybody\n" for call in _calls(plan))

    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> AbstractContextManager[Arranged]:
        """The calls are gone as long as it is entered."""
        return _removed(plan, ask)

    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Everything was done outside."""
        return contextlib.nullcontext(plan)

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """Every call that is gone, made by the target."""
        return tuple(f"call:{number(NATIVE_ABI, call)}" for call in _natively(plan))

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Nothing is left to be switched on."""
        path = find_command(command[0])
        begin(plan, path, command, log)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """The target and another process were answered that there is no such call, and what the
        host wrote stands in the kernel's text.
        """
        answers = {**met.answers, **{f"elsewhere:{call}": tried(call) for call in _natively(plan)}}
        missing = ", ".join(f"{act} is there" for act in answers if answers[act] != errno.ENOSYS)
        if not plan.data.get("entries"):
            missing = missing or "nothing was overwritten"
        if missing or not answers:
            missing = missing or "no call that this kernel has is gone"
            return unwitnessed(missing)
        named = {act: errno.errorcode[code] for act, code in answers.items()}
        return enforcing(plan, met, {"entries": plan.data["entries"], **named})

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """A call that is not there says nothing to anybody."""
        return ()


MECHANISM = Removed()


@contextlib.contextmanager
def _removed(plan: Plan, ask: Ask) -> Iterator[Arranged]:
    answer = ask({"remove": list(_calls(plan))})
    if "error" in answer:
        raise LaunchError(f"the calls cannot be removed: {answer['error']}")
    try:
        yield Arranged(plan=replace(plan, data={**plan.data, "entries": answer["entries"]}))
    finally:
        again = ask({"restore": list(_calls(plan))})
        if "error" in again:
            raise LaunchError(f"the calls cannot be put back: {again['error']}")


def _calls(plan: Plan) -> tuple[str, ...]:
    return tuple(cast("list[str]", plan.data["calls"]))


def _natively(plan: Plan) -> tuple[str, ...]:
    """Those that programs of the native ABI can make."""
    return tuple(call for call in _calls(plan) if number(NATIVE_ABI, call) is not None)
