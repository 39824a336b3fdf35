"""System calls as a resource of control groups: taken away by number, from all tasks of a group.

As Lukasz Sowa's patch of 2011 did, by a kernel module of ours (harness/vm/guest). Numbers are those
of the native ABI, so calls by another gate go by, as calls do that do the same work.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

from enforcer.access.notes import TOO_MUCH_PERMITTED
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventLog
from enforcer.kernel import module, namespaces, procfs
from enforcer.kernel.execve import find_command
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.kernel.trying import tried
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    LaunchError,
    Missing,
    Options,
    Plan,
    PreparedName,
)
from enforcer.mechanisms.frame import (
    become_target,
    begin,
    enforcing,
    unwitnessed,
    with_target,
)
from enforcer.mechanisms.preparing import Arranged, Ask, Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import checked, compiled, whole_calls
from enforcer.policy.ast import Policy
from enforcer.syscalls import number, table

MODULE = "syscalls_cgroup"
GROUP = "laboratory"
DENIALS = Path(f"/sys/module/{MODULE}/parameters/denials")
_NEEDED = """
arch_prctl brk execve exit exit_group fcntl mmap mprotect munmap open openat prlimit64 read readlink
rseq rt_sigreturn set_robust_list set_tid_address setgroups setresgid setresuid write
"""
NEEDED = frozenset(_NEEDED.split())
"""What a program needs to be started in a group, and to wait at its gate."""


class SyscallsCgroup:
    """The mechanism."""

    name = PreparedName.SYSCALLS_CGROUP
    needs = Needs(machine=True, rooted=True)
    refusals = frozenset({errno.ENOSYS})
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """The module is there once it was arranged for."""
        return () if DENIALS.exists() else (Missing(feature=f"the module {MODULE}"),)

    def settle(self) -> None:
        """The module is loaded for a case."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Whole calls by the numbers of the native ABI, arguments not at all."""
        found = whole_calls(policy, abis, errno=errno.ENOSYS, needed=NEEDED).covers
        return tuple(_natively(policy, cover, abis) for cover in found)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The numbers that are denied. Raises Inexpressible."""
        calls, _ = compiled(
            policies, abis, replace(options, partial=True), errno=errno.ENOSYS, needed=NEEDED
        )
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        lost = checked(covers, options)
        names = [call for call in calls if call in table(abis[0].name)]
        data = {"calls": names, "inexpressible": lost}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """What is written to the group's files."""
        numbers = [str(number(plan.machine, call)) for call in _calls(plan)]
        return "".join(f"echo {each} > syscalls.deny\n" for each in numbers)

    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> AbstractContextManager[Arranged]:
        """The module is loaded, and stays as long as the machine."""
        return _loaded(plan, ask)

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """A group for the target, in a hierarchy mounted anew: the machine's own is read-only."""
        top = stage.state / "cgroup"
        top.mkdir()
        namespaces.mount("cgroup2", top, "cgroup2")
        group = top / GROUP
        try:
            (top / "cgroup.subtree_control").write_text("+pids", encoding="ascii")
            group.mkdir()
            for call in _calls(plan):
                _deny(group, call)
            there = [call for call in _calls(plan) if tried(call) != errno.ENOSYS]
            yield with_target(plan, stage, group=str(group), denials=_denials(), calls=there)
        finally:
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()
            namespaces.unmount(top)

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """Every denied call, made by the target."""
        return tuple(f"call:{number(NATIVE_ABI, call)}" for call in _calls(plan))

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Join the group, which root may only, give everything up, and execute."""
        path = find_command(command[0])
        _write(Path(str(plan.data["group"])) / "cgroup.procs", "0")
        become_target(plan)
        begin(plan, path, command, log)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """The target is in the group and was refused each call, the kernel counted that, and a
        process outside of the group is refused none of them.
        """
        group = "no process" if met.pid is None else _group(met.pid)
        counted = _denials() - cast("int", plan.data["denials"])
        missing = f"its group is {group}" if group != f"/{GROUP}" else ""
        for act, code in met.answers.items():
            if code != errno.ENOSYS:
                missing = missing or f"{act} goes through"
        if counted < len(met.answers) or not met.answers:
            missing = missing or f"the kernel counts {counted} refusals"
        for call in _calls(plan):
            if tried(call) == errno.ENOSYS:
                missing = missing or f"{call} is not there outside of the group either"
        if missing:
            return unwitnessed(missing)
        evidence = {act: errno.errorcode[code] for act, code in met.answers.items()}
        return enforcing(plan, met, {"group": group, "denials": counted, **evidence})

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """It counts, and tells of none."""
        return ()


MECHANISM = SyscallsCgroup()


@contextlib.contextmanager
def _loaded(plan: Plan, ask: Ask) -> Iterator[Arranged]:
    answer = ask({"module": MODULE})
    if "error" in answer:
        raise LaunchError(f"the module {MODULE}: {answer['error']}")
    module.load(Path(str(answer["path"])))
    yield Arranged(plan=plan)


def _natively(policy: Policy, cover: Cover, abis: Sequence[Abi]) -> Cover:
    """What it knows of a denied call are the numbers of the native ABI."""
    denies = cover.rule is not None and policy.rules[cover.rule].action is not Action.PERMIT
    if len(abis) < 2 or not denies or cover.extent is Extent.NONE:
        return cover
    reason = f"only the numbers of {abis[0].name} are known"
    return Cover(
        rule=cover.rule,
        extent=Extent.PARTIAL,
        reason="; ".join(each for each in (cover.reason, reason) if each),
        errs=TOO_MUCH_PERMITTED,
    )


def _calls(plan: Plan) -> tuple[str, ...]:
    return tuple(cast("list[str]", plan.data["calls"]))


def _deny(group: Path, call: str) -> None:
    """Of a number above all of this kernel's there is nothing to deny: it is ENOSYS anyway."""
    try:
        _write(group / "syscalls.deny", str(number(NATIVE_ABI, call)))
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise


def _write(file: Path, text: str) -> None:
    """One write, which the kernel answers: Path.write_text would hide it in its close."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def _denials() -> int:
    return int(DENIALS.read_text(encoding="ascii"))


def _group(pid: int) -> str:
    """The path of a task's group in the second version's hierarchy."""
    for line in procfs.read(pid, "cgroup").decode("ascii").splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::")
    return "unknown"
