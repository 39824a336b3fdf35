"""Calls with socket addresses: the kernel gets the copy that was judged.

Addresses and message headers are copied into the slot; the data stays where it is, because no rule
judges it. A path socket is reached by the tracer, on a duplicate of the task's socket, because no
address leads to a pinned object. Calls into which the kernel writes back are split.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EFAULT, EINVAL, ENOSYS
from functools import partial
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel import sockets as raw_sockets
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.pidfd import PIDFD_THREAD, pidfd_getfd, pidfd_open
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.kernel.unix_diag import bound_file
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.scripts import begin
from enforcer.mechanisms.ptrace.tasks import Script, Task
from enforcer.pin import Pinned, resolve
from enforcer.supervision.memory import UnreadableMemory, write_bytes
from enforcer.syscalls import SubCall, number, split
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.sockaddr import format_sockaddr

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

_AF_UNIX = CONSTANTS["AF_UNIX"]
_LONGEST = 128
_MOST_MESSAGES = 1024
_NAME_OFFSET = 256


@dataclass(frozen=True)
class _Header:
    """struct msghdr of one pointer size: where the address and its length are, and the whole."""

    layout: Struct
    element: int

    @property
    def size(self) -> int:
        return self.layout.size


_HEADERS = {8: _Header(Struct("=QI4xQQQQI4x"), 64), 4: _Header(Struct("=IIIIIII"), 32)}


class Sockets:
    """The handlers of calls that name an address."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "connect": self.connect,
            "bind": self.connect,
            "sendto": self.sendto,
            "sendmsg": self.sendmsg,
            "sendmmsg": self.sendmmsg,
            "socketcall": self.multiplexed,
            "ipc": self.multiplexed,
        }

    def connect(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """connect(fd, address, length), bind(fd, address, length)"""
        self.one_address(task, info, entry, 1, 2)

    def sendto(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendto(fd, data, size, flags, address, length)"""
        self.one_address(task, info, entry, 4, 5)

    def one_address(
        self, task: Task, info: SyscallInfo, entry: Entry, place: int, length_place: int
    ) -> None:
        """A call with its address in register `place`."""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        address, length = info[5 + place], signed(info[5 + length_place])
        try:
            if not 0 <= length <= _LONGEST:
                raise UnreadableMemory(address, EINVAL)
            raw = tracer.read_bytes(task, address, length) if address else b""
            if not address and entry.name != "sendto":
                raise UnreadableMemory(address, EFAULT)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        path = unix_path(raw)
        if path is not None and tracer.pins and entry.name != "sendto":
            self.by_path(task, info, entry, raw, path)
            return
        texts = {"sockaddr": (self.text(task, raw),)}
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, texts):
            return
        if not address or not tracer.copies:
            tracer.proceed(task, info)
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        tracer.arena.write(slot, raw)
        arguments = list(info[5:11])
        arguments[place] = task.process.space.base + slot
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def text(self, task: Task, raw: bytes) -> str | None:
        """What rules compare: empty without an address, the canonical name of a path socket."""
        if not raw:
            return ""
        path = unix_path(raw)
        if path is None:
            return format_sockaddr(raw)
        with resolve(task.view, AT_FDCWD, path) as pinned:
            return pinned.name or None

    def by_path(self, task: Task, info: SyscallInfo, entry: Entry, raw: bytes, path: bytes) -> None:
        """connect or bind of a path socket, to what was judged."""
        tracer = self.tracer
        binds = entry.name == "bind"
        pinned = resolve(task.view, AT_FDCWD, path, follow=not binds, entry=binds)
        if not pinned.name:
            tracer.refuse(task, info, pinned.errno)
            return
        texts = {"sockaddr": (pinned.name,), "filename": (pinned.name,)}
        missing = int(pinned.missing)
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi, missing)
        if decision.action is not Action.PERMIT or pinned.errno:
            pinned.close()
            if tracer.settle(task, info, entry.name, decision, texts):
                tracer.refuse(task, info, pinned.errno)
            return
        tracer.note(task, entry.name, decision, texts)
        if binds:
            self.bind_there(task, info, raw, pinned)
        else:
            self.connect_there(task, info, pinned)

    def connect_there(self, task: Task, info: SyscallInfo, pinned: Pinned) -> None:
        """The tracer connects a duplicate, because no name leads to a pinned object.

        The peer sees the tracer's credentials.
        """
        tracer = self.tracer
        listener = tracer.listener
        if listener is None:
            pinned.close()
            tracer.refuse(task, info, ENOSYS)
            return

        def act() -> int:
            with pinned:
                socket = duplicate(task.tid, signed(info[5]))
                if socket < 0:
                    return socket
                place = b"/proc/thread-self/fd/%d\0" % pinned.fd
                try:
                    return raw_sockets.connect(socket, _unix(place), len(place) + 2)
                finally:
                    os.close(socket)

        listener.arrange_result(task.tid, act)
        tracer.redirect(task, info, DELIVER, (), tracer.restore_after)

    def bind_there(self, task: Task, info: SyscallInfo, raw: bytes, pinned: Pinned) -> None:
        """The task binds itself, because the name that it gives is the socket's for ever.

        Afterwards the new file must be where it was judged to be, else the sandbox ends.
        """
        tracer = self.tracer
        if not tracer.copies:
            pinned.close()
            tracer.proceed(task, info)
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            pinned.close()
            return
        tracer.arena.write(slot, raw)
        task.held = pinned
        arguments = (info[5], task.process.space.base + slot, *info[7:11])
        tracer.redirect(task, info, info[4], arguments, partial(self.bound, call=info))

    def bound(self, task: Task, *, call: SyscallInfo) -> None:
        """The exit of a bind."""
        tracer = self.tracer
        info = ptrace.syscall_info(task.tid)
        pinned, task.held = task.held, None
        assert pinned is not None
        with pinned:
            if ptrace.exit_result() == 0 and tracer.verifies:
                try:
                    status = os.stat(pinned.leaf, dir_fd=pinned.parent, follow_symlinks=False)
                    judged = status.st_dev, status.st_ino
                    socket = Path(f"/proc/{task.tid}/fd/{signed(call[5])}").stat()
                except OSError:
                    is_there = False
                else:
                    is_there = bound_file(socket.st_ino) in (judged, None)
                if not is_there:
                    tracer.detect("another socket than judged", tid=task.tid, name=pinned.name)
                    tracer.kill_all()
                    return
        tracer.restore(task, info)

    def sendmsg(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendmsg(fd, header, flags): the header is copied, and the address in it."""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        abi = tracer.config.abis[info[1]]
        try:
            header, raw = self.read_header(task, abi, info[6])
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        texts = {"sockaddr": (self.text(task, raw),)}
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, texts):
            return
        if not tracer.copies:
            tracer.proceed(task, info)
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        place = self.put_header(task, abi, slot, header, raw)
        arguments = (info[5], place, *info[7:11])
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def read_header(self, task: Task, abi: Abi, address: int) -> tuple[list[int], bytes]:
        """A message header and its address, read once. Raises UnreadableMemory."""
        layout = _HEADERS[abi.pointer_size].layout
        header = list(layout.unpack(self.tracer.read_bytes(task, address, layout.size)))
        name, length = header[0], min(signed(header[1]), _LONGEST)
        if length < 0:
            raise UnreadableMemory(address, EINVAL)
        return header, self.tracer.read_bytes(task, name, length) if name and length else b""

    def put_header(self, task: Task, abi: Abi, slot: int, header: Sequence[int], raw: bytes) -> int:
        """Header and address into the slot; where the task sees them."""
        base = task.process.space.base + slot
        own = [*header]
        own[0] = base + _NAME_OFFSET if raw else 0
        own[1] = len(raw)
        arena = self.tracer.arena
        arena.write(slot, _HEADERS[abi.pointer_size].layout.pack(*own))
        arena.write(slot + _NAME_OFFSET, raw)
        return base

    def sendmmsg(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendmmsg(fd, vector, count, flags): one sendmsg after the other, lengths written back."""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        abi = tracer.config.abis[info[1]]
        element = _HEADERS[abi.pointer_size].element
        count = min(info[7] & 0xFFFF_FFFF, _MOST_MESSAGES)
        try:
            messages = [
                self.read_header(task, abi, info[6] + index * element) for index in range(count)
            ]
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        texts = {"sockaddr": tuple(self.text(task, raw) for _, raw in messages)}
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, texts):
            return
        if not tracer.copies or not messages:
            tracer.proceed(task, info)
            return
        slot = tracer.take_slot(task, info)
        if slot is not None:
            begin(tracer, task, info, self.send_each(task, info, abi, slot, messages))

    def send_each(
        self,
        task: Task,
        info: SyscallInfo,
        abi: Abi,
        slot: int,
        messages: Sequence[tuple[list[int], bytes]],
    ) -> Script:
        """The script of a sendmmsg."""
        shape = _HEADERS[abi.pointer_size]
        sendmsg = number(abi.name, "sendmsg")
        assert sendmsg is not None
        done = 0
        for header, raw in messages:
            place = self.put_header(task, abi, slot, header, raw)
            sent = yield sendmsg, (info[5], place, info[8])
            if sent < 0:
                break
            length = info[6] + done * shape.element + shape.size
            try:
                write_bytes(task.tid, length, sent.to_bytes(4, sys.byteorder))
            except UnreadableMemory:
                sent = -EFAULT
                break
            done += 1
        self.tracer.release_slot(task)
        return done or sent

    def multiplexed(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """socketcall and ipc: the call meant, with its arguments read once."""
        tracer = self.tracer
        abi = tracer.config.abis[info[1]]
        meant = split(abi.name, info[4], info[5:11])
        if meant is None:
            tracer.refuse(task, info, ENOSYS if entry.name == "ipc" else EINVAL)
            return
        try:
            args = self.arguments(task, abi, meant)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        direct = number(abi.name, meant.name)
        table = tracer.dispatch[info[1]]
        if direct is None or direct not in table:
            self.calls.by_registers(task, info, entry)
            return
        task.multiplexed = True
        own = (info[0], info[1], info[2], info[3], direct, *args, info[11])
        table[direct].handler(task, own, table[direct])

    def arguments(
        self, task: Task, abi: Abi, meant: SubCall
    ) -> tuple[int, int, int, int, int, int]:
        """The six arguments of the call meant. Raises UnreadableMemory."""
        if meant.args is not None:
            return meant.args
        size = abi.pointer_size
        raw = self.tracer.read_bytes(task, meant.address, meant.count * size)
        words = Struct(f"={meant.count}{'Q' if size == 8 else 'I'}").unpack(raw)
        a, b, c, d, e, f = (*words, 0, 0, 0, 0, 0, 0)[:6]
        return a, b, c, d, e, f


def unix_path(raw: bytes) -> bytes | None:
    """The path in the address of a path socket."""
    if len(raw) < 3 or int.from_bytes(raw[:2], sys.byteorder) != _AF_UNIX or not raw[2]:
        return None
    return raw[2:].split(b"\0", 1)[0]


def duplicate(tid: int, descriptor: int) -> int:
    """The tracer's own duplicate of a task's descriptor, or -errno."""
    pidfd = pidfd_open(tid, PIDFD_THREAD)
    if pidfd < 0:
        return pidfd
    try:
        return pidfd_getfd(pidfd, descriptor)
    finally:
        os.close(pidfd)


def _unix(place: bytes) -> bytes:
    return _AF_UNIX.to_bytes(2, sys.byteorder) + place
