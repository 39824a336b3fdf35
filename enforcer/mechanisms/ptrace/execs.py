"""execve and execveat: judged at the call, verified on the new image before its first instruction.

Nobody can execute for another, and the kernel reads name and arguments late: what a peer changed in
between shows at PTRACE_EVENT_EXEC, and ends the sandbox.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from errno import E2BIG, EACCES, ELOOP
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.call import Action, Decision, Transition
from enforcer.kernel import ptrace
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace import births
from enforcer.mechanisms.ptrace.authority import Authority, errno_of
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.tasks import Space, Task
from enforcer.pin import Pinned, resolve
from enforcer.supervision.memory import UnreadableMemory

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.dispatch import Entry
    from enforcer.mechanisms.ptrace.tracer import Tracer

_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_HEAD_BYTES = 256
_DEEPEST = 5
_ARGUMENT_BYTES = 32 * 4096
_MOST_BYTES = 8 << 20
_MOST_ARGUMENTS = 1 << 20
_SHEBANG = b"#!"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a permitted execve is expected to become; None: not looked at.

    `image` is the device and inode of the program in memory at the end (of a script's interpreter),
    `tail` its whole argument vector, a zero byte after each.
    """

    call: str
    name: str
    image: tuple[int, int] | None
    tail: bytes | None
    authority: Authority | None


class Refused(Exception):
    """The call fails with this errno."""

    def __init__(self, number: int) -> None:
        self.errno = number
        super().__init__(os.strerror(number))


class Execs:
    """The handlers of the exec family."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    def execve(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """execve(path, argv, envp)"""
        self.judge(task, info, entry, AT_FDCWD, 0, 0)

    def execveat(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """execveat(dirfd, path, argv, envp, flags)"""
        self.judge(task, info, entry, signed(info[5]), 1, info[9])

    def judge(
        self, task: Task, info: SyscallInfo, entry: Entry, dirfd: int, place: int, flags: int
    ) -> None:
        """Judge name and arguments, remember what must come of it, let the task execute."""
        tracer = self.tracer
        authority = task.process.authority
        needs = authority.needs(entry.name)
        task.executing = None
        if not needs and len(tracer.config.authorities) == 1:
            decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
            if tracer.settle(task, info, entry.name, decision, {}):
                self.switch_blindly(task, entry.name, decision.transition)
                tracer.resume(task)
            return
        try:
            name = tracer.read_string(task, info[5 + place])
            wide = tracer.config.abis[info[1]].pointer_size == 8
            given = self.read_arguments(task, info[6 + place], wide) if "argv" in needs else None
            self.judged(task, info, entry, dirfd, place, flags, name, given)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
        except Refused as error:
            tracer.refuse(task, info, error.errno)

    def judged(
        self,
        task: Task,
        info: SyscallInfo,
        entry: Entry,
        dirfd: int,
        place: int,
        flags: int,
        name: bytes,
        given: list[bytes] | None,
    ) -> None:
        """The decision, with what it reads in hand. Raises Refused, UnreadableMemory."""
        tracer = self.tracer
        texts: dict[str, tuple[str, ...]] = {}
        if given is not None:
            texts["argv"] = (os.fsdecode(b" ".join(given)),)
        follow = not flags & _AT_SYMLINK_NOFOLLOW
        empty = bool(flags & _AT_EMPTY_PATH)
        with resolve(task.view, dirfd, name, follow=follow, empty=empty) as pinned:
            if not pinned.name:
                raise Refused(pinned.errno)
            texts["filename"] = (pinned.name,)
            decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
            if not tracer.settle(task, info, entry.name, decision, texts):
                return
            if pinned.errno:
                raise Refused(pinned.errno)
            shown = _shown(dirfd, name) if entry.name == "execveat" else name
            image, expected = self.follow_scripts(task, info, entry, pinned, shown)
        authority = self.next_authority(task, entry.name, decision.transition, pinned.name)
        tail = None
        if given is not None:
            rest = given[1:] if expected is not None else given
            tail = b"".join(each + b"\0" for each in (*(expected or ()), *rest))
        task.executing = Execution(
            call=entry.name,
            name=pinned.name,
            image=image if tracer.verifies else None,
            tail=tail if tracer.verifies else None,
            authority=authority,
        )
        tracer.pass_copied(task, info, {place: name})

    def read_arguments(self, task: Task, address: int, wide: bool) -> list[bytes]:
        """The strings of an argument vector. Raises UnreadableMemory."""
        tracer = self.tracer
        size = 8 if wide else 4
        word = Struct("=Q" if wide else "=I")
        found: list[bytes] = []
        total = 0
        while address and len(found) < _MOST_ARGUMENTS:
            (pointer,) = word.unpack(tracer.read_bytes(task, address, size))
            if pointer == 0:
                break
            text = tracer.read_string(task, pointer, _ARGUMENT_BYTES)
            total += len(text)
            if total > _MOST_BYTES:
                raise UnreadableMemory(address, E2BIG)
            found.append(text)
            address += size
        return found or [b""]

    def follow_scripts(
        self, task: Task, info: SyscallInfo, entry: Entry, pinned: Pinned, shown: bytes
    ) -> tuple[tuple[int, int] | None, list[bytes] | None]:
        """The image that executing `pinned` ends in, each interpreter on the way judged as well.

        For a script also what its interpreters put before the given arguments. Raises Refused.
        """
        tracer = self.tracer
        status = os.fstat(pinned.fd)
        image = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode):
            return image, None
        line = _interpreter(pinned.fd)
        if line is None:
            return image, None
        before = [shown]
        for _ in range(_DEEPEST):
            interpreter, option = line
            if before and option:
                before.insert(0, option)
            before.insert(0, interpreter)
            with resolve(task.view, AT_FDCWD, interpreter) as found:
                if not found.name or found.errno:
                    raise Refused(found.errno)
                texts = {"filename": (found.name,), "argv": (os.fsdecode(b" ".join(before)),)}
                decision = tracer.decide(task, "execve", (0,) * 6, texts, entry.abi)
                number = errno_of(decision)
                if number:
                    tracer.note(task, "execve", decision, texts)
                    raise Refused(number)
                status = os.fstat(found.fd)
                image = (status.st_dev, status.st_ino)
                next_line = _interpreter(found.fd) if stat.S_ISREG(status.st_mode) else None
            if next_line is None:
                return image, before
            line = next_line
        raise Refused(ELOOP)

    def next_authority(
        self, task: Task, call: str, transition: Transition, name: str
    ) -> Authority | None:
        """The policy that the new image comes under; None: it keeps that of the old one.

        What is detached stays so. Raises Refused where policies are for single binaries and none is
        for this one, which is logged as the denial that it is.
        """
        tracer = self.tracer
        config = tracer.config
        if task.process.authority.policy.detached or transition is Transition.INHERIT:
            return None
        if transition is Transition.DETACH:
            return config.detached
        if len(config.authorities) == 1 or config.inherit:
            return None
        place = config.binaries.place(name)
        if place is not None:
            return config.authorities[place]
        decision = Decision(action=Action.DENY, errno=EACCES, reason="no policy is for this binary")
        tracer.note(task, call, decision, {"filename": (name,)})
        raise Refused(EACCES)

    def switch_blindly(self, task: Task, call: str, transition: Transition) -> None:
        """A permitted execve of a single policy that names no file: it only may detach."""
        if transition is Transition.DETACH:
            detached = self.tracer.config.detached
            task.executing = Execution(
                call=call, name="", image=None, tail=None, authority=detached
            )


def executed(tracer: Tracer, leader: Task) -> None:
    """PTRACE_EVENT_EXEC: `leader` is all that is left of its process, under its process's id."""
    former = tracer.tasks.get(ptrace.event_message(leader.tid), leader)
    execution = former.executing
    process = leader.process
    for tid in process.tasks - {leader.tid}:
        other = tracer.tasks.pop(tid, None)
        if other is not None:
            tracer.forget(other)
    tracer.forget(leader)
    process.tasks.add(leader.tid)
    leader.view.forget()
    leader.view.domain = former.view.domain
    leader.saved, leader.retry, leader.newborn, leader.executing = b"", 0, None, None
    process.space = Space()
    process.launching = False
    if tracer.early:
        births.adopt_orphans(tracer, executed=process.tgid)
    if execution is not None:
        if not _is_as_judged(tracer, leader, execution):
            tracer.end(
                "another image than judged",
                call=execution.call,
                pid=leader.tid,
                tid=leader.tid,
                name=execution.name,
            )
            return
        if execution.authority is not None:
            process.authority = execution.authority
    tracer.resume(leader)


def _is_as_judged(tracer: Tracer, leader: Task, execution: Execution) -> bool:
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


def _interpreter(fd: int) -> tuple[bytes, bytes] | None:
    """Interpreter and its argument (may be empty) that the first line of a script names."""
    try:
        file = os.open(f"/proc/thread-self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        head = os.pread(file, _HEAD_BYTES, 0)
    finally:
        os.close(file)
    if not head.startswith(_SHEBANG):
        return None
    line = head[2:].split(b"\n", 1)[0].strip(b" \t")
    interpreter, _, option = line.replace(b"\t", b" ", 1).partition(b" ")
    return (interpreter, option.strip(b" \t")) if interpreter else None


def _shown(dirfd: int, name: bytes) -> bytes:
    """How the kernel calls the file of an execveat towards its interpreter."""
    if name[:1] == b"/" or dirfd == AT_FDCWD:
        return name
    return b"/dev/fd/%d/%s" % (dirfd, name) if name else b"/dev/fd/%d" % dirfd
