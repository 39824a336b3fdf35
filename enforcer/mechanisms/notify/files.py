"""Calls that take names, carried out by the supervisor on the objects that were judged."""

from __future__ import annotations

import errno
import os
import stat

from enforcer.kernel.openat2 import RESOLVE_NO_SYMLINKS, openat2
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.notify.worker import Handler, Worker
from enforcer.pin import open_for_reading, wrong_flags
from enforcer.pin.glance import GLANCES, glance
from enforcer.pin.view import is_same
from enforcer.supervision.devices import device_texts
from enforcer.supervision.journal import UNREADABLE
from enforcer.supervision.strings import read_once
from enforcer.syscalls import syscall
from enforcer.syscalls.arguments import (
    AT_FDCWD,
    LOW_HALF,
    open_how,
    read_open_how,
    signed,
    texts_of_open_how,
)
from enforcer.syscalls.memory import Arguments, UnreadableMemory

_LOOK_FLAGS = os.O_PATH | os.O_CLOEXEC
_CREAT_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
_BY_DESCRIPTOR = {"newfstatat": ("fstat", 3), "fstatat64": ("fstat64", 3), "statx": ("fstat", 2)}


def opening(name: str) -> Handler:
    """The handler of a call of the open family."""
    if name == "openat":
        return _openat
    if name == "open":
        return _open
    return _creat if name == "creat" else _openat2


def _openat(worker: Worker, args: Arguments) -> None:
    _deliver(worker, signed(args[0]), args[1], args[2] & LOW_HALF, args[3] & 0xFFFF, None)


def _open(worker: Worker, args: Arguments) -> None:
    _deliver(worker, AT_FDCWD, args[0], args[1] & LOW_HALF, args[2] & 0xFFFF, None)


def _creat(worker: Worker, args: Arguments) -> None:
    _deliver(worker, AT_FDCWD, args[0], _CREAT_FLAGS, args[1] & 0xFFFF, None)


def _openat2(worker: Worker, args: Arguments) -> None:
    flags, mode, resolve = read_open_how(worker, args[2], args[3])
    if flags > LOW_HALF or mode > LOW_HALF:
        worker.answer(-errno.EINVAL)
        return
    worker.known = texts_of_open_how(flags, mode)
    _deliver(worker, signed(args[0]), args[1], flags, mode, resolve)


def _deliver(
    worker: Worker, dirfd: int, address: int, flags: int, mode: int, resolve: int | None
) -> None:
    try:
        name = worker.read_string(address)
    except UnreadableMemory:
        asked = open_how(flags, mode) if resolve is None else (flags, mode)
        wrong = wrong_flags(*asked, resolve or 0)
        if not wrong:
            raise
        worker.answer(wrong)
        return
    view = worker.view
    is_own = resolve is None and view.identity() is None and view.domain is None
    quick = worker.shared.quick if is_own and worker.elevation is None else None
    if quick is not None:
        worker.full_name = b""
        worker.acting = worker.cookie
        descriptor = quick.open(worker, dirfd, name, flags, mode)
        worker.end_act()
        if descriptor >= 0:
            worker.hand_over(descriptor, bool(flags & os.O_CLOEXEC))
            return
        if descriptor == -errno.ENOENT:
            worker.answer(descriptor)
            return
    worker.validate()
    descriptor = worker.open(dirfd, name, flags, mode, resolve)
    if descriptor < 0:
        worker.answer(descriptor)
        return
    if quick is not None:
        quick.remember(worker, flags)
    elif worker.is_decided and not _is_judged(worker, descriptor):
        os.close(descriptor)
        worker.answer(-errno.EACCES)
        return
    if flags & os.O_PATH:
        descriptor = _transferable(worker, descriptor, flags)
    if descriptor >= 0:
        worker.hand_over(descriptor, bool(flags & os.O_CLOEXEC))


def _is_judged(worker: Worker, descriptor: int) -> bool:
    """The defence `verify`: whether the object opened is the one of the name that was judged."""
    shared = worker.shared
    names = worker.values.get("filename")
    if Defence.VERIFY not in shared.defences or not names or names[0] is None:
        return True
    judged = openat2(AT_FDCWD, os.fsencode(names[0]), _LOOK_FLAGS, 0, RESOLVE_NO_SYMLINKS)
    if judged >= 0:
        try:
            if is_same(judged, descriptor):
                return True
        finally:
            os.close(judged)
    reason = "another object was opened than judged"
    shared.detect(worker.tid, worker.name, reason, judged=names[0])
    return False


def _transferable(worker: Worker, found: int, flags: int) -> int:
    """A descriptor for reading in place of the O_PATH one (consumed), or -1 and a refusal.

    The kernel places no O_PATH descriptors in other tasks (fget refuses them, EBADF). What stands
    in for one can be read, which O_PATH asks no right for, neither the file's mode nor the rules on
    reading: so both are asked here. Symbolic links are refused with what the C library's fchmodat,
    which looks this way whether it has one, says of them itself.
    """
    try:
        kind = os.fstat(found).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            number = errno.EOPNOTSUPP if stat.S_ISLNK(kind) else errno.EPERM
            worker.refuse(number, "an O_PATH descriptor of this cannot be handed over")
            return -1
        number = _judge_as_reading(worker, flags)
        descriptor = -number if number else open_for_reading(worker.view, found)
    finally:
        os.close(found)
    if descriptor < 0:
        worker.answer(descriptor)
    return descriptor


def _judge_as_reading(worker: Worker, flags: int) -> int:
    """The policy's word on the held open, were it one for reading: 0 or an errno."""
    flags &= ~(os.O_PATH | os.O_ACCMODE)
    asked, values = worker.args, worker.values
    if worker.name == "openat2":
        values = {**values, "oflags": texts_of_open_how(flags, 0)["oflags"]}
    else:
        place = 1 if worker.name == "open" else 2
        words = list(asked)
        words[place] = flags
        a, b, c, d, e, f = words
        worker.args = (a, b, c, d, e, f)
    try:
        return worker.decide(values)
    finally:
        worker.args = asked


def performed(name: str) -> Handler:
    """The handler of a call that returns no descriptor."""
    return _perform if syscall(name).node is None else _make_node


def looking(name: str) -> Handler:
    """The same for a call of the native ABI on one name that mostly needs no more than a glance."""
    how = GLANCES[name]
    place = how.name

    def handle(worker: Worker, args: Arguments) -> None:
        try:
            text = worker.read_string(args[place])
        except UnreadableMemory:
            _perform(worker, args)
            return
        worker.acting = worker.cookie
        result = glance(how, worker.view, args, text, worker.refusal)
        worker.acting = 0
        if worker.is_interrupted:
            worker.end_act()
        if result is None:
            _answer(worker, worker.walk(args, {place: text}))
        else:
            worker.answer(result)

    return handle


def _perform(worker: Worker, args: Arguments) -> None:
    if "string" in worker.judging.needs(worker.name):
        given, worker.known = read_once(worker, worker.name, worker.abi, args)
        _answer(worker, worker.perform(args, given))
    else:
        _answer(worker, worker.perform(args))


def _make_node(worker: Worker, args: Arguments) -> None:
    worker.known = device_texts(worker.name, worker.abi, args)
    _answer(worker, worker.perform(args))


def _answer(worker: Worker, result: int) -> None:
    if result == -errno.EFAULT and worker.decision is None:
        worker.refuse(errno.EFAULT, UNREADABLE)
    else:
        worker.answer(result)


def or_by_descriptor(name: str, by_name: Handler) -> Handler:
    """fstat under its present-day name: with an empty name none is looked at, nor judged."""
    if name not in _BY_DESCRIPTOR:
        return by_name
    meant, register = _BY_DESCRIPTOR[name]

    def handle(worker: Worker, args: Arguments) -> None:
        if not args[register] & AT_EMPTY_PATH or signed(args[0]) < 0:
            by_name(worker, args)
            return
        if args[1] and worker.read_string(args[1]):
            by_name(worker, args)
            return
        worker.name = meant
        if worker.refuses():
            return
        worker.answer(worker.look(args, name))

    return handle
