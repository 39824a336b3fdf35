"""execve and execveat: judged at the call, verified on the new image before its first instruction.

Nobody can execute for another, and the kernel reads name and arguments late: what a peer changed in
between shows at PTRACE_EVENT_EXEC, and ends the sandbox. What is executed by its descriptor no peer
exchanges, because the task is given a table of its own before that is judged, as it would get one
by executing (begin_new_exec, unshare_files).
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, EINVAL, ELOOP, ENOENT
from pathlib import Path

from enforcer.call import Transition
from enforcer.kernel import ptrace
from enforcer.kernel.execve import wrong_flags
from enforcer.kernel.kcmp import shares_descriptors
from enforcer.kernel.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from enforcer.mechanisms.ptrace import new_tasks
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.directories import identity, is_at
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Execution, Script, Space, Task
from enforcer.pin import Pinned, resolve_as_caller
from enforcer.policy.ast import Dialect, Policy
from enforcer.supervision.journal import UNREADABLE, refusal
from enforcer.supervision.scripts import HEAD_BYTES, script_line
from enforcer.syscalls import number
from enforcer.syscalls.arguments import AT_FDCWD, read_strings, signed
from enforcer.syscalls.memory import Refused, UnreadableMemory

_CLONE_FILES = 0x400
_DEEPEST = 5
_NO_REGISTERS = (0, 0, 0, 0, 0, 0)


class _SeenTo(Exception):
    """The process was killed, or waits for an answer: nothing is to be done with the call."""


class Execs:
    """The handlers of the exec family."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.config = act.sandbox.config

    def execve(self, call: HeldCall) -> None:
        """execve(path, argv, envp)"""
        self.judge(call, AT_FDCWD, 0, 0)

    def execveat(self, call: HeldCall) -> None:
        """execveat(dirfd, path, argv, envp, flags)"""
        self.judge(call, signed(call.args[0]), 1, call.args[4])

    def judge(self, call: HeldCall, dirfd: int, place: int, flags: int) -> None:
        """Judge name and arguments, remember what must come of it, let the task execute."""
        act = self.act
        needs = call.policy.needs(call.name)
        call.task.executing = None
        if not needs and len(self.config.policies) == 1:
            decision = act.decide(call)
            if act.settle(call, decision):
                self.switch_blindly(call, decision.transition)
                act.proceed(call)
            return
        size = act.abis[call.arch].pointer_size
        try:
            name = call.read_string(call.args[place])
            if wrong_flags(flags):
                # Before it opens anything (do_open_execat).
                raise Refused(EINVAL if name or flags & AT_EMPTY_PATH else ENOENT)
            if flags & AT_EMPTY_PATH and not name and act.pins and self.shares_descriptors(call):
                act.inject(call, _own_descriptors(call.abi))
                return
            given = read_strings(call, call.args[place + 1], size) if "argv" in needs else None
            self.judged(call, dirfd, place, flags, name, given)
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
        except Refused as error:
            act.fail(call, error.number)
        except _SeenTo:
            return

    def shares_descriptors(self, call: HeldCall) -> bool:
        """Whether another traced task can exchange what the call's descriptor leads to."""
        tid = call.tid
        others = (each for each in self.act.sandbox.tasks if each != tid)
        return any(shares_descriptors(tid, each) for each in others)

    def judged(
        self,
        call: HeldCall,
        dirfd: int,
        place: int,
        flags: int,
        name: bytes,
        given: list[bytes] | None,
    ) -> None:
        """The decision, with what it reads in hand. Raises Refused, UnreadableMemory."""
        act = self.act
        texts: dict[str, tuple[str, ...]] = {}
        if given is not None:
            texts["argv"] = (os.fsdecode(b" ".join(given)),)
        follow = not flags & AT_SYMLINK_NOFOLLOW
        empty = bool(flags & AT_EMPTY_PATH)
        with resolve_as_caller(call.view, dirfd, name, follow=follow, empty=empty) as pinned:
            if not pinned.name:
                raise Refused(pinned.errno)
            texts["filename"] = (pinned.name,)
            decision = act.decide(call, texts)
            if not act.settle(call, decision):
                return
            if pinned.errno:
                raise Refused(pinned.errno)
            shown = _shown(dirfd, name) if call.name == "execveat" else name
            image, expected, program = self.follow_scripts(call, pinned, shown)
            found = identity(pinned.fd)
        policy = self.next_policy(call, decision.transition, pinned.name, program)
        tail = None
        if given is not None:
            rest = given[1:] if expected is not None else given
            tail = b"".join(each + b"\0" for each in (*(expected or ()), *rest))
        by_descriptor = call.name == "execveat" and not name
        script = (dirfd, found) if by_descriptor and expected is not None and found else None
        call.task.executing = Execution(
            call=call.name,
            name=pinned.name,
            image=image if act.verifies else None,
            tail=tail if act.verifies else None,
            script=script if act.verifies else None,
            policy=policy,
        )
        act.pass_copied(call, {place: name})

    def follow_scripts(
        self, call: HeldCall, pinned: Pinned, shown: bytes
    ) -> tuple[tuple[int, int] | None, list[bytes] | None, str]:
        """The image that executing `pinned` ends in, each interpreter on the way judged as well.

        For a script also what its interpreters put before the given arguments. The image's name is
        the last. Raises Refused.
        """
        act = self.act
        status = os.fstat(pinned.fd)
        image = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode):
            return image, None, pinned.name
        line = self.interpreter(pinned.fd)
        if line is None:
            return image, None, pinned.name
        before = [shown]
        for _ in range(_DEEPEST):
            interpreter, option = line
            if option is not None:
                before.insert(0, option)
            before.insert(0, interpreter)
            with resolve_as_caller(call.view, AT_FDCWD, interpreter) as found:
                if not found.name or found.errno:
                    raise Refused(found.errno)
                texts = {"filename": (found.name,), "argv": (os.fsdecode(b" ".join(before)),)}
                inner = HeldCall(call.task, call.info, "execve", call.abi, args=_NO_REGISTERS)
                decision = act.decide(inner, texts)
                is_alive = act.note(inner, decision)
                if decision.refusal:
                    if not is_alive:
                        raise _SeenTo
                    raise Refused(decision.refusal)
                status = os.fstat(found.fd)
                image = (status.st_dev, status.st_ino)
                next_line = self.interpreter(found.fd) if stat.S_ISREG(status.st_mode) else None
            if next_line is None:
                return image, before, found.name
            line = next_line
        raise Refused(ELOOP)

    def interpreter(self, fd: int) -> tuple[bytes, bytes | None] | None:
        """Interpreter and its argument, if any, that the first line of a script names."""
        head = _head(fd)
        return None if head is None else script_line(head)

    def next_policy(
        self, call: HeldCall, transition: Transition, name: str, program: str
    ) -> TaskPolicy | None:
        """The policy that the new image comes under; None: it keeps that of the old one.

        A script without a policy of its own comes under that of its interpreter, `program`.
        What is detached stays so. Raises Refused where policies are for single binaries and none is
        for this one, which is logged as the denial that it is.
        """
        config = self.config
        if call.policy.policy.detached or transition is Transition.INHERIT:
            return None
        if transition is Transition.DETACH:
            return config.detached
        if len(config.policies) == 1 or config.inherit:
            return None
        place = config.binaries.place(name, program)
        if place is not None:
            return config.policies[place]
        if config.permissive:
            nothing = Policy(binary=program, dialect=Dialect.SYSTRACE, rules=())
            return TaskPolicy(nothing, permissive=True)
        self.act.note(call, refusal(EACCES, "no policy is for this binary"))
        raise Refused(EACCES)

    def switch_blindly(self, call: HeldCall, transition: Transition) -> None:
        """A permitted execve of a single policy that names no file: it only may detach."""
        if transition is Transition.DETACH:
            call.task.executing = Execution(
                call=call.name,
                name="",
                image=None,
                tail=None,
                script=None,
                policy=self.config.detached,
            )


def _own_descriptors(abi: str) -> Script:
    """The call is made and judged again behind it, or fails as this did."""
    unshare = number(abi, "unshare")
    assert unshare is not None
    result = yield unshare, (_CLONE_FILES,)
    return result or None


def executed(sandbox: Sandbox, leader: Task) -> None:
    """PTRACE_EVENT_EXEC: `leader` is all that is left of its process, under its process's id."""
    former = sandbox.tasks.get(ptrace.event_message(leader.tid), leader)
    execution = former.executing
    process = leader.process
    for tid in process.tasks - {leader.tid}:
        other = sandbox.tasks.pop(tid, None)
        if other is not None:
            sandbox.forget(other)
    sandbox.forget(leader)
    process.tasks.add(leader.tid)
    leader.view.forget()
    leader.view.domain = former.view.domain
    leader.view.shares_umask |= former.view.shares_umask
    leader.saved, leader.retry, leader.newborn, leader.executing = b"", 0, None, None
    process.space = Space()
    process.launching = False
    if sandbox.early:
        new_tasks.adopt_orphans(sandbox, executed=process.tgid)
    if execution is not None:
        if not _is_as_judged(leader, execution):
            sandbox.end(
                "another image than judged",
                call=execution.call,
                pid=leader.tid,
                tid=leader.tid,
                name=execution.name,
            )
            return
        if execution.policy is not None:
            process.policy = execution.policy
    sandbox.resume(leader)


def _is_as_judged(leader: Task, execution: Execution) -> bool:
    """Scripts of one interpreter are one image. But nobody else has the table of descriptors by
    now (begin_new_exec, unshare_files): what is at a script's is what will be read.
    """
    if execution.script is not None:
        descriptor, script = execution.script
        if not is_at(Path(f"/proc/{leader.tid}/fd/{descriptor}"), script):
            return False
    if execution.image is not None:
        try:
            status = Path(f"/proc/{leader.tid}/exe").stat()
        except OSError:
            return False
        if (status.st_dev, status.st_ino) != execution.image:
            return False
    if execution.tail is not None:
        try:
            return Path(f"/proc/{leader.tid}/cmdline").read_bytes() == execution.tail
        except OSError:
            return False
    return True


def _head(fd: int) -> bytes | None:
    """As much of a file as the kernel looks at; None: it cannot be read."""
    try:
        file = os.open(f"/proc/thread-self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.pread(file, HEAD_BYTES, 0)
    finally:
        os.close(file)


def _shown(dirfd: int, name: bytes) -> bytes:
    """How the kernel calls the file of an execveat towards its interpreter."""
    if name[:1] == b"/" or dirfd == AT_FDCWD:
        return name
    return b"/dev/fd/%d/%s" % (dirfd, name) if name else b"/dev/fd/%d" % dirfd
