"""connect and bind: the kernel gets the copy of the address that was judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from errno import ENOSYS
from functools import partial
from pathlib import Path

from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel.unix_diag import bound_file, is_shown
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.path_sockets import (
    bind_for,
    connect_for,
    path_refusal_for,
    pin_socket,
)
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import Pinned, resolve
from enforcer.pin.elevation import acting_with
from enforcer.supervision.addresses import in_kernel_terms, meant_by, texts_of
from enforcer.supervision.messages import path_of
from enforcer.syscalls.arguments import AT_FDCWD, read_address, signed
from enforcer.syscalls.memory import Refused, UnreadableMemory
from enforcer.syscalls.sockaddr import Address


class Sockets:
    """The handlers of connect and bind."""

    def __init__(self, act: Act, general: General) -> None:
        self.act = act
        self.general = general

    def handlers(self) -> Mapping[str, Handler]:
        return {"connect": self.connect, "bind": self.connect}

    def connect(self, call: HeldCall) -> None:
        """connect(fd, address, length), bind(fd, address, length)"""
        act = self.act
        if not call.policy.needs(call.name):
            self.general.by_registers(call)
            return
        try:
            raw = read_address(call, call.args[1], call.args[2])
        except (UnreadableMemory, Refused) as error:
            act.fail_early(call, error)
            return
        path = path_of(raw)
        if path is not None and act.pins:
            self.by_path(call, raw, path)
            return
        if path is None:
            if call.name == "connect" and act.knows(call, raw):
                self.pass_copied(call, raw)
                return
            meant = meant_by(raw, call.name, signed(call.args[0]), call.view.duplicate)
            texts = texts_of(call.name, meant)
        else:
            meant = Address(text=self.name(call, path), raw=raw)
            texts = {"sockaddr": (meant.text,)}
        decision = act.decide(call, texts)
        # To connect(2) the bytes say all that the text says, on every socket.
        if path is None and call.name == "connect":
            call.policy.remember(call.name, meant.raw, decision)
        if act.settle(call, in_kernel_terms(decision, meant)):
            self.pass_copied(call, meant.raw)

    def pass_copied(self, call: HeldCall, raw: bytes) -> None:
        """Let the task make the call with this address."""
        act, args = self.act, call.args
        again, call.task.retry = call.task.retry, 0
        is_sent = (
            act.copies
            and not again
            and act.pass_by_way(
                call, call.number, lambda place: (args[0], place, len(raw), args[3]), raw
            )
        )
        if not is_sent:
            act.pass_changed(call, {1: raw}, registers={2: len(raw)})

    def name(self, call: HeldCall, path: bytes) -> str | None:
        """What rules compare of a path socket: its canonical name."""
        with resolve(call.view, AT_FDCWD, path) as pinned:
            return pinned.name or None

    def by_path(self, call: HeldCall, raw: bytes, path: bytes) -> None:
        """connect or bind of a path socket, to what was judged."""
        act, task = self.act, call.task
        binds = call.name == "bind"
        try:
            pinned = pin_socket(task, path, entry=binds)
        except Refused as error:
            refusal = path_refusal_for(task, call.args[0], raw, binds=binds)
            act.fail(call, refusal or error.number)
            return
        texts = {"sockaddr": (pinned.name,), "filename": (pinned.name,)}
        decision = act.decide(call, texts, int(pinned.missing))
        refusal = pinned.errno
        if decision.action is Action.PERMIT:
            refusal = path_refusal_for(task, call.args[0], raw, binds=binds) or refusal
        if decision.action is not Action.PERMIT or refusal:
            pinned.close()
            if act.settle(call, decision):
                act.fail(call, refusal)
            return
        act.note(call, decision)
        if binds:
            self.bind_there(call, raw, pinned)
        else:
            self.connect_there(call, pinned)

    def connect_there(self, call: HeldCall, pinned: Pinned) -> None:
        """The tracer connects a duplicate, because no name leads to a pinned object."""
        self.by_tracer(call, pinned, lambda: connect_for(call.task, call.args[0], pinned))

    def by_tracer(self, call: HeldCall, pinned: Pinned | None, doing: Callable[[], int]) -> None:
        """The call's result is what the tracer's own act on a duplicate gives."""
        act = self.act
        listener = act.sandbox.listener
        if listener is None:
            if pinned is not None:
                pinned.close()
            act.refuse(call, ENOSYS, "nothing to answer a connection by")
            return

        def done() -> int:
            with acting_with(call.view, call.elevation):
                return doing()

        listener.arrange_result(call.tid, done)
        act.redirect(call, DELIVER, (), act.restore_after)

    def bind_there(self, call: HeldCall, raw: bytes, pinned: Pinned) -> None:
        """The task binds itself, because the name that it gives is the socket's for ever.

        Afterwards the new file must be where it was judged to be, else the sandbox ends. Where the
        kernel will not tell (sockets of other network namespaces), the tracer binds a duplicate.
        """
        act = self.act
        if act.copies and act.verifies and not is_shown(self.socket(call.task, call) or 0):
            self.by_tracer(call, pinned, lambda: bind_for(call.task, call.args[0], pinned, raw))
            return
        if not act.copies or act.take_slot(call) is None:
            pinned.close()
            if not act.copies:
                act.proceed(call)
            return
        call.task.pinned = pinned
        act.pass_changed(call, {1: raw}, partial(self.bound, call=call))

    @staticmethod
    def socket(task: Task, call: HeldCall) -> int | None:
        """The inode of the socket that the call is about; None without one."""
        try:
            return Path(f"/proc/{task.tid}/fd/{signed(call.args[0])}").stat().st_ino
        except OSError:
            return None

    def bound(self, task: Task, *, call: HeldCall) -> None:
        """The exit of a bind.

        unix_bind creates the file by the name in the address, walked anew:

            A: bind("d/s") judged: d is /x          B: rename("/x", "/z"), rename("/y", "/x")
            A: the file is made in /y
            A: at its exit stop: /x, as pinned, has no "s" that is this socket's
        """
        act = self.act
        info = ptrace.syscall_info(task.tid)
        pinned, task.pinned = task.pinned, None
        assert pinned is not None
        with pinned:
            if ptrace.exit_result() == 0 and act.verifies:
                try:
                    status = os.stat(pinned.leaf, dir_fd=pinned.parent, follow_symlinks=False)
                    judged = status.st_dev, status.st_ino
                except OSError:
                    judged = None
                socket = self.socket(task, call)
                if judged is None or socket is None or bound_file(socket) != judged:
                    reason = "another socket than judged"
                    act.sandbox.end(reason, call="bind", tid=task.tid, name=pinned.name)
                    return
        act.restore(task, info)
