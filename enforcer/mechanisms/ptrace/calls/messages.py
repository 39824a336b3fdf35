"""sendto, sendmsg and sendmmsg: the kernel gets the copy of the address that was judged.

The data stays where it is, because no rule judges it. Only a message to a path socket is read whole
and sent by the tracer; the task's signals are blocked meanwhile, so that none makes it send the
same message again. Message headers are copied, and the calls that write back into them are split.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from errno import EFAULT, ENOSYS
from functools import partial

from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.path_sockets import Content, pin_socket, send_for
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.tasks import Script, Step
from enforcer.pin import Pinned, resolve
from enforcer.supervision.addresses import in_kernel_terms, meant_by, missing_path
from enforcer.supervision.memory import write_bytes
from enforcer.supervision.messages import flags_of, path_of, read_content, read_plain, readable
from enforcer.syscalls import number
from enforcer.syscalls.arguments import (
    AT_FDCWD,
    Header,
    header_struct,
    length_place,
    message_places,
    read_address,
    read_message,
    signed,
)
from enforcer.syscalls.memory import Refused, UnreadableMemory
from enforcer.syscalls.sockaddr import Address

_NAME_OFFSET = 256


@dataclass(frozen=True)
class _Sending:
    """One message of a call: its address as the kernel will take it, and its path socket."""

    header: Header
    address: Address
    pinned: Pinned | None


class Messages:
    """The handlers."""

    def __init__(self, act: Act, general: General) -> None:
        self.act = act
        self.general = general

    def handlers(self) -> Mapping[str, Handler]:
        handlers = {"sendto": self.sendto, "sendmsg": self.sendmsg, "sendmmsg": self.sendmmsg}
        return {name: self.judging(handler) for name, handler in handlers.items()}

    def judging(self, handler: Callable[[HeldCall, ExitStack], None]) -> Handler:
        """`handler` for calls on whose addresses there are rules."""

        def handle(call: HeldCall) -> None:
            if not call.policy.needs(call.name):
                self.general.by_registers(call)
                return
            with self.refusing(call), ExitStack() as pins:
                handler(call, pins)

        return handle

    def sendto(self, call: HeldCall, pins: ExitStack) -> None:
        """sendto(fd, data, size, flags, address, length)"""
        act = self.act
        socket, data, size, flags, address, length = call.args
        raw = read_address(call, address, length) if address else b""
        meant, pinned = self.reached(call, raw, pins)
        if not self.judge(call, (meant,)):
            return
        if pinned is not None:
            pins.pop_all()
            content = partial(read_plain, call, data, size)
            self.begin(call, self.reach(call, socket, pinned, content, flags))
        elif address:
            act.pass_changed(call, {4: meant.raw}, registers={5: len(meant.raw)})
        else:
            act.proceed(call)

    def sendmsg(self, call: HeldCall, pins: ExitStack) -> None:
        """sendmsg(fd, header, flags): the header is copied, and the address in it."""
        act = self.act
        socket, header, flags = call.args[:3]
        sending = self.read(call, header, pins)
        if not self.judge(call, (sending.address,)):
            return
        if sending.pinned is not None:
            pins.pop_all()
            content = partial(read_content, call, sending.header, self.size(call))
            self.begin(call, self.reach(call, socket, sending.pinned, content, flags))
        elif not act.copies:
            act.proceed(call)
        else:
            slot = act.take_slot(call)
            if slot is not None:
                arguments = (socket, self.put(call, slot, sending), *call.args[2:])
                act.redirect(call, call.number, arguments, act.restore_after)

    def sendmmsg(self, call: HeldCall, pins: ExitStack) -> None:
        """sendmmsg(fd, vector, count, flags): one sendmsg after the other, lengths written back."""
        act = self.act
        places = message_places(call.args[1], call.args[2], self.size(call))
        sendings = list(readable(partial(self.read, call, place, pins) for place in places))
        if not self.judge(call, [sending.address for sending in sendings]):
            return
        if not sendings or not act.copies:
            act.proceed(call)
            return
        slot = act.take_slot(call)
        if slot is not None:
            pins.pop_all()
            self.begin(call, self.send_each(call, slot, sendings))

    @contextmanager
    def refusing(self, call: HeldCall) -> Iterator[None]:
        """What cannot be read, or would be refused by the kernel, fails the call."""
        try:
            yield
        except (UnreadableMemory, Refused) as error:
            self.act.fail_early(call, error)

    def judge(self, call: HeldCall, addresses: Sequence[Address]) -> bool:
        """Decide on all messages of a call at once; False: the call is over."""
        texts = [address.text for address in addresses] or [""]
        decision = self.act.decide(call, {"sockaddr": texts})
        return self.act.settle(call, in_kernel_terms(decision, *addresses))

    def begin(self, call: HeldCall, script: Script) -> None:
        """Let the task do a script, which the listener serves."""
        if self.act.sandbox.listener is None:
            raise Refused(ENOSYS)
        self.act.inject(call, script)

    def size(self, call: HeldCall) -> int:
        """The bytes of the caller's pointers."""
        return self.act.abis[call.arch].pointer_size

    def read(self, call: HeldCall, address: int, pins: ExitStack) -> _Sending:
        """A message header and its address, read once. Raises UnreadableMemory, Refused."""
        header, raw = read_message(call, address, self.size(call))
        return _Sending(header, *self.reached(call, raw or b"", pins))

    def reached(self, call: HeldCall, raw: bytes, pins: ExitStack) -> tuple[Address, Pinned | None]:
        """What rules compare: empty without an address, the canonical name of a path socket.

        With `pin` also that socket, until `pins` is left. Raises Refused.
        """
        path = path_of(raw)
        own = raw, call.name, signed(call.args[0]), call.view.duplicate
        if path is None:
            return meant_by(*own), None
        if not self.act.pins:
            with resolve(call.view, AT_FDCWD, path) as found:
                return Address(text=found.name or None, raw=raw), None
        try:
            pinned = pins.enter_context(pin_socket(call.task, path))
        except Refused as error:
            raise missing_path(*own, error.number) from None
        if not pinned.exists:
            raise missing_path(*own, pinned.errno)
        return Address(text=pinned.name, raw=raw), pinned

    def reach(
        self, call: HeldCall, register: int, pinned: Pinned, content: Content, flags: int
    ) -> Generator[Step, int, int]:
        """The script of one message to a path socket."""
        listener, task = self.act.sandbox.listener, call.task
        assert listener is not None
        own = flags_of(call.name, flags, self.size(call))
        listener.arrange_result(task.tid, lambda: send_for(task, register, pinned, content, own))
        return (yield DELIVER, ())

    def put(self, call: HeldCall, slot: int, sending: _Sending) -> int:
        """Header and address into the slot; where the task sees them."""
        base = call.task.process.space.base + slot
        raw = sending.address.raw
        name = base + _NAME_OFFSET if raw else 0
        own = sending.header._replace(name=name, name_length=len(raw))
        self.act.arena.write(slot, header_struct(self.size(call)).pack(*own))
        self.act.arena.write(slot + _NAME_OFFSET, raw)
        return base

    def send_each(self, call: HeldCall, slot: int, sendings: Sequence[_Sending]) -> Script:
        """The script of a sendmmsg.

        The kernel writes each msg_len back into the vector, which a read-only copy would not take
        (EFAULT, although the message has gone): so each message is a sendmsg of its own.
        """
        size = self.size(call)
        socket, vector, count, flags = call.args[:4]
        sendmsg = number(call.abi, "sendmsg")
        assert sendmsg is not None
        done = sent = 0
        for place, sending in zip(message_places(vector, count, size), sendings, strict=False):
            if sending.pinned is None:
                sent = yield sendmsg, (socket, self.put(call, slot, sending), flags)
            else:
                content = partial(read_content, call, sending.header, size)
                sent = yield from self.reach(call, socket, sending.pinned, content, flags)
            if sent < 0:
                break
            try:
                write_bytes(call.tid, length_place(place, size), sent.to_bytes(4, sys.byteorder))
            except UnreadableMemory:
                sent = -EFAULT
                break
            done += 1
        self.act.sandbox.release_slot(call.task)
        return done or sent
