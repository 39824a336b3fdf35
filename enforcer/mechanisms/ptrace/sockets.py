"""connect, bind and the multiplexers: the kernel gets the copy of the address that was judged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EINVAL, ENOSYS
from functools import partial
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.kernel.unix_diag import bound_file
from enforcer.mechanisms.ptrace.messages import Messages, read_address
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.reaching import connect_for, path_refusal_for, pin_socket
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import Pinned, resolve
from enforcer.supervision.addresses import in_kernel_terms, meant_by, texts_of
from enforcer.supervision.memory import UnreadableMemory
from enforcer.supervision.messages import Refused, path_of
from enforcer.syscalls import SubCall, number, split
from enforcer.syscalls.sockaddr import Address

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer


class Sockets:
    """The handlers of calls that name an address."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls
        self.messages = Messages(tracer, calls)

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "connect": self.connect,
            "bind": self.connect,
            **self.messages.handlers(),
            "socketcall": self.multiplexed,
            "ipc": self.multiplexed,
        }

    def connect(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """connect(fd, address, length), bind(fd, address, length)"""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        try:
            raw = read_address(tracer, task, info[6], signed(info[7]))
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        path = path_of(raw)
        if path is not None and tracer.pins:
            self.by_path(task, info, entry, raw, path)
            return
        if path is None:
            meant = meant_by(raw, entry.name, signed(info[5]), task.view.duplicate)
            texts = texts_of(entry.name, meant)
        else:
            meant = Address(text=self.name(task, path), raw=raw)
            texts = {"sockaddr": (meant.text,)}
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        decision = in_kernel_terms(decision, meant)
        if not tracer.settle(task, info, entry.name, decision, texts):
            return
        if not tracer.copies:
            tracer.proceed(task, info)
            return
        slot = tracer.take_slot(task, info)
        if slot is not None:
            tracer.arena.write(slot, meant.raw)
            place, length = task.process.space.base + slot, len(meant.raw)
            arguments = (info[5], place, length, *info[8:11])
            tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def name(self, task: Task, path: bytes) -> str | None:
        """What rules compare of a path socket: its canonical name."""
        with resolve(task.view, AT_FDCWD, path) as pinned:
            return pinned.name or None

    def by_path(self, task: Task, info: SyscallInfo, entry: Entry, raw: bytes, path: bytes) -> None:
        """connect or bind of a path socket, to what was judged."""
        tracer = self.tracer
        binds = entry.name == "bind"
        try:
            pinned = pin_socket(task, path, entry=binds)
        except Refused as error:
            refusal = path_refusal_for(task, info[5], raw, binds=binds)
            tracer.refuse(task, info, refusal or error.number)
            return
        texts = {"sockaddr": (pinned.name,), "filename": (pinned.name,)}
        missing = int(pinned.missing)
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi, missing)
        refusal = pinned.errno
        if decision.action is Action.PERMIT:
            refusal = path_refusal_for(task, info[5], raw, binds=binds) or refusal
        if decision.action is not Action.PERMIT or refusal:
            pinned.close()
            if tracer.settle(task, info, entry.name, decision, texts):
                tracer.refuse(task, info, refusal)
            return
        tracer.note(task, entry.name, decision, texts)
        if binds:
            self.bind_there(task, info, raw, pinned)
        else:
            self.connect_there(task, info, pinned)

    def connect_there(self, task: Task, info: SyscallInfo, pinned: Pinned) -> None:
        """The tracer connects a duplicate, because no name leads to a pinned object."""
        tracer = self.tracer
        listener = tracer.listener
        if listener is None:
            pinned.close()
            tracer.refuse(task, info, ENOSYS)
            return
        listener.arrange_result(task.tid, lambda: connect_for(task, info[5], pinned))
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
                    tracer.end(
                        "another socket than judged", call="bind", tid=task.tid, name=pinned.name
                    )
                    return
        tracer.restore(task, info)

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
        tracer.judged[meant.name] += 1
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
