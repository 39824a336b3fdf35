"""sendto, sendmsg and sendmmsg: the kernel gets the copy of the address that was judged.

The data stays where it is, because no rule judges it. Only a message to a path socket is read whole
and sent by the tracer; the task's signals are blocked meanwhile, so that none makes it send the
same message again. Message headers are copied, and the calls that write back into them are split.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from errno import EFAULT, EINVAL, ENOSYS
from functools import partial
from typing import TYPE_CHECKING

from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.reaching import Content, pin_socket, send_for
from enforcer.mechanisms.ptrace.scripts import begin
from enforcer.mechanisms.ptrace.tasks import Script, Step, Task
from enforcer.pin import Pinned, resolve
from enforcer.supervision.addresses import in_kernel_terms, meant_by, missing_path
from enforcer.supervision.memory import UnreadableMemory, write_bytes
from enforcer.supervision.messages import (
    LONGEST_ADDRESS,
    MOST_MESSAGES,
    Header,
    Message,
    Read,
    Refused,
    header_struct,
    path_of,
    read_content,
    read_destination,
    read_header,
    read_plain,
)
from enforcer.syscalls import number
from enforcer.syscalls.sockaddr import Address

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

_NAME_OFFSET = 256


@dataclass(frozen=True)
class _Sending:
    """One message of a call: its address as the kernel will take it, and its path socket."""

    header: Header
    address: Address
    pinned: Pinned | None


class Messages:
    """The handlers."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls

    def handlers(self) -> Mapping[str, Handler]:
        return {"sendto": self.sendto, "sendmsg": self.sendmsg, "sendmmsg": self.sendmmsg}

    def sendto(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendto(fd, data, size, flags, address, length)"""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        with self.refusing(task, info, entry), ExitStack() as pins:
            raw = read_address(tracer, task, info[9], signed(info[10])) if info[9] else b""
            address, pinned = self.reached(task, info, entry, raw, pins)
            if not self.judge(task, info, entry, (address,)):
                return
            if pinned is not None:
                read = partial(tracer.read_bytes, task)
                content = partial(_plain, read, info[6], info[7])
                pins.pop_all()
                self.begin(task, info, self.reach(task, info[5], pinned, content, info[8]))
            elif not info[9] or not tracer.copies:
                tracer.proceed(task, info)
            else:
                slot = tracer.take_slot(task, info)
                if slot is not None:
                    tracer.arena.write(slot, address.raw)
                    place, length = task.process.space.base + slot, len(address.raw)
                    arguments = (*info[5:9], place, length)
                    tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def sendmsg(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendmsg(fd, header, flags): the header is copied, and the address in it."""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        size = tracer.config.abis[info[1]].pointer_size
        with self.refusing(task, info, entry), ExitStack() as pins:
            sending = self.read(task, info, entry, info[6], pins)
            if not self.judge(task, info, entry, (sending.address,)):
                return
            if sending.pinned is not None:
                content = partial(_content, partial(tracer.read_bytes, task), sending.header, size)
                pins.pop_all()
                self.begin(task, info, self.reach(task, info[5], sending.pinned, content, info[7]))
            elif not tracer.copies:
                tracer.proceed(task, info)
            else:
                slot = tracer.take_slot(task, info)
                if slot is not None:
                    arguments = (info[5], self.put(task, slot, size, sending), *info[7:11])
                    tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def sendmmsg(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """sendmmsg(fd, vector, count, flags): one sendmsg after the other, lengths written back."""
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        size = tracer.config.abis[info[1]].pointer_size
        step = header_struct(size).size + size
        count = min(info[7] & 0xFFFF_FFFF, MOST_MESSAGES)
        with self.refusing(task, info, entry), ExitStack() as pins:
            sendings = [
                self.read(task, info, entry, info[6] + index * step, pins) for index in range(count)
            ]
            if not self.judge(task, info, entry, [sending.address for sending in sendings]):
                return
            if not sendings or not tracer.copies:
                tracer.proceed(task, info)
                return
            slot = tracer.take_slot(task, info)
            if slot is not None:
                pins.pop_all()
                self.begin(task, info, self.send_each(task, info, slot, sendings))

    @contextmanager
    def refusing(self, task: Task, info: SyscallInfo, entry: Entry) -> Iterator[None]:
        """What cannot be read, or would be refused by the kernel, fails the call."""
        try:
            yield
        except UnreadableMemory as error:
            self.tracer.refuse_unreadable(task, info, entry, error.errno)
        except Refused as error:
            self.tracer.refuse(task, info, error.number)

    def judge(
        self, task: Task, info: SyscallInfo, entry: Entry, addresses: Sequence[Address]
    ) -> bool:
        """Decide on all messages of a call at once; False: the call is over."""
        values = {"sockaddr": [address.text for address in addresses]}
        decision = self.tracer.decide(task, entry.name, info[5:11], values, entry.abi)
        decision = in_kernel_terms(decision, *addresses)
        return self.tracer.settle(task, info, entry.name, decision, values)

    def begin(self, task: Task, info: SyscallInfo, script: Script) -> None:
        """Let the task do a script, which the listener serves."""
        if self.tracer.listener is None:
            raise Refused(ENOSYS)
        begin(self.tracer, task, info, script)

    def read(
        self, task: Task, info: SyscallInfo, entry: Entry, place: int, pins: ExitStack
    ) -> _Sending:
        """A message header and its address, read once. Raises UnreadableMemory, Refused."""
        read = partial(self.tracer.read_bytes, task)
        header = read_header(read, place, self.tracer.config.abis[info[1]].pointer_size)
        raw = read_destination(read, header) or b""
        return _Sending(header, *self.reached(task, info, entry, raw, pins))

    def reached(
        self, task: Task, info: SyscallInfo, entry: Entry, raw: bytes, pins: ExitStack
    ) -> tuple[Address, Pinned | None]:
        """What rules compare: empty without an address, the canonical name of a path socket.

        With `pin` also that socket, until `pins` is left. Raises Refused.
        """
        path = path_of(raw)
        if path is None:
            return meant_by(raw, entry.name, signed(info[5]), task.view.duplicate), None
        if not self.tracer.pins:
            with resolve(task.view, AT_FDCWD, path) as found:
                return Address(text=found.name or None, raw=raw), None
        own = raw, entry.name, signed(info[5]), task.view.duplicate
        try:
            pinned = pins.enter_context(pin_socket(task, path))
        except Refused as error:
            raise missing_path(*own, error.number) from None
        if not pinned.exists:
            raise missing_path(*own, pinned.errno)
        return Address(text=pinned.name, raw=raw), pinned

    def reach(
        self, task: Task, register: int, pinned: Pinned, content: Content, flags: int
    ) -> Generator[Step, int, int]:
        """The script of one message to a path socket."""
        listener = self.tracer.listener
        assert listener is not None
        listener.arrange_result(task.tid, lambda: send_for(task, register, pinned, content, flags))
        return (yield DELIVER, ())

    def put(self, task: Task, slot: int, size: int, sending: _Sending) -> int:
        """Header and address into the slot; where the task sees them."""
        base = task.process.space.base + slot
        raw = sending.address.raw
        name = base + _NAME_OFFSET if raw else 0
        own = sending.header._replace(name=name, name_length=len(raw))
        self.tracer.arena.write(slot, header_struct(size).pack(*own))
        self.tracer.arena.write(slot + _NAME_OFFSET, raw)
        return base

    def send_each(
        self, task: Task, info: SyscallInfo, slot: int, sendings: Sequence[_Sending]
    ) -> Script:
        """The script of a sendmmsg."""
        abi = self.tracer.config.abis[info[1]]
        size = abi.pointer_size
        shape = header_struct(size)
        read = partial(self.tracer.read_bytes, task)
        sendmsg = number(abi.name, "sendmsg")
        assert sendmsg is not None
        done = sent = 0
        for sending in sendings:
            if sending.pinned is None:
                sent = yield sendmsg, (info[5], self.put(task, slot, size, sending), info[8])
            else:
                content = partial(_content, read, sending.header, size)
                sent = yield from self.reach(task, info[5], sending.pinned, content, info[8])
            if sent < 0:
                break
            place = info[6] + done * (shape.size + size) + shape.size
            try:
                write_bytes(task.tid, place, sent.to_bytes(4, sys.byteorder))
            except UnreadableMemory:
                sent = -EFAULT
                break
            done += 1
        self.tracer.release_slot(task)
        return done or sent


def read_address(tracer: Tracer, task: Task, address: int, length: int) -> bytes:
    """The address of a socket call. Raises UnreadableMemory."""
    if not 0 <= length <= LONGEST_ADDRESS:
        raise UnreadableMemory(address, EINVAL)
    return tracer.read_bytes(task, address, length)


def _plain(read: Read, address: int, size: int) -> Message:
    return Message(None, read_plain(read, address, size), ())


def _content(read: Read, header: Header, size: int) -> Message:
    return Message(None, *read_content(read, header, size))
