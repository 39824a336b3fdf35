"""The texts of a held call's arguments in memory, each read once, as rules see them."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Mapping

from enforcer.arch import ABIS
from enforcer.mechanisms.notify.worker import Arguments, Worker
from enforcer.pin import resolve
from enforcer.supervision.addresses import meant_by
from enforcer.supervision.memory import UnreadableMemory
from enforcer.supervision.messages import LONGEST_ADDRESS, path_of
from enforcer.syscalls.model import Argument, Follow, Kind, Syscall
from enforcer.syscalls.translate import translate_register

_AT_FDCWD = -100
_LOW_HALF = 0xFFFF_FFFF
_SIGN = 0x8000_0000
_CREATES_NEW = os.O_CREAT | os.O_EXCL
_MOST_ARGUMENTS = 4096
_MOST_MESSAGES = 1024

Texts = list[str | None]


def read_values(
    worker: Worker, model: Syscall, args: Arguments, needs: frozenset[str]
) -> tuple[Mapping[str, Texts], int]:
    """The texts that rules need, and which file names lie in no directory (bit by bit).

    A text that cannot be read is None, upon which a rule that needs it denies.
    """
    values: dict[str, Texts] = {}
    missing = 0
    for argument in model.arguments:
        if argument.kind is Kind.PATH and "filename" in needs:
            texts = values.setdefault("filename", [])
            text, is_missing = _path(worker, argument, args)
            missing |= is_missing << len(texts)
            texts.append(text)
        elif argument.kind is Kind.STRING and "string" in needs:
            values.setdefault("string", []).append(_string(worker, args[argument.index]))
        elif argument.kind is Kind.ARGV and "argv" in needs:
            values.setdefault("argv", []).append(_argv(worker, args[argument.index]))
        elif argument.kind is Kind.SOCKADDR:
            length = args[argument.length] if argument.length is not None else 0
            text, is_path = _address(worker, args[argument.index], signed(length), args[0])
            values.setdefault("sockaddr", []).append(text)
            if worker.call == "bind" and text is None and not is_path:
                values["filename"] = [""]
        elif argument.kind is Kind.STRUCT:
            _struct(worker, argument, args, values)
    return values, missing


def signed(register: int) -> int:
    """The low half of a register as the kernel takes an int."""
    register &= _LOW_HALF
    return register - (1 << 32) if register & _SIGN else register


def _address(worker: Worker, place: int, length: int, register: int) -> tuple[str | None, bool]:
    """The text of a socket address in the task's memory, and whether it may be a path."""
    try:
        size = min(length, LONGEST_ADDRESS) if place else 0
        raw = worker.read_bytes(place, size) if size > 0 else b""
    except UnreadableMemory:
        return None, True
    meant = meant_by(raw, worker.call, signed(register), worker.duplicate)
    return meant.text, path_of(raw) is not None


def _path(worker: Worker, argument: Argument, args: Arguments) -> tuple[str | None, bool]:
    try:
        name = worker.read_string(args[argument.index])
    except UnreadableMemory:
        return None, False
    dirfd = _AT_FDCWD if argument.dirfd is None else signed(args[argument.dirfd])
    with resolve(
        worker.view,
        worker.directory(dirfd),
        name,
        follow=_is_followed(argument, args),
        entry=argument.parent,
        empty=True,
    ) as pinned:
        return pinned.name, pinned.missing


def _is_followed(argument: Argument, args: Arguments) -> bool:
    register = 0 if argument.follow_argument is None else args[argument.follow_argument]
    match argument.follow:
        case Follow.ALWAYS:
            return True
        case Follow.NEVER:
            return False
        case Follow.UNLESS_FLAG:
            return not register & argument.follow_flag
        case Follow.IF_FLAG:
            return bool(register & argument.follow_flag)
        case Follow.OPEN:
            return not register & os.O_NOFOLLOW and register & _CREATES_NEW != _CREATES_NEW


def _string(worker: Worker, address: int) -> str | None:
    try:
        return os.fsdecode(worker.read_string(address))
    except UnreadableMemory:
        return None


def _word(worker: Worker, address: int) -> int:
    size = ABIS[worker.abi].pointer_size
    return int.from_bytes(worker.read_bytes(address, size), sys.byteorder)


def _argv(worker: Worker, address: int) -> str | None:
    size = ABIS[worker.abi].pointer_size
    texts: list[str] = []
    try:
        for index in range(_MOST_ARGUMENTS if address else 0):
            pointer = _word(worker, address + index * size)
            if not pointer:
                return " ".join(texts)
            texts.append(os.fsdecode(worker.read_string(pointer)))
    except UnreadableMemory:
        return None
    return " ".join(texts) if not address else None


def _struct(worker: Worker, argument: Argument, args: Arguments, values: dict[str, Texts]) -> None:
    address = args[argument.index]
    try:
        if argument.layout == "open_how":
            flags, mode = struct.unpack("=QQ", worker.read_bytes(address, 16))
            values["oflags"] = [_register_text(Kind.OFLAGS, flags, "openat")]
            values["mode"] = [_register_text(Kind.MODE, mode, "openat")]
        elif argument.layout == "clone_args":
            (flags,) = struct.unpack("=Q", worker.read_bytes(address, 8))
            values["flags"] = [_register_text(Kind.FLAGS, flags, "clone")]
        elif argument.layout == "msghdr":
            values["sockaddr"] = [_address_of_message(worker, address, args[0])]
        elif argument.layout == "mmsghdr":
            count = min(args[2] & _LOW_HALF, _MOST_MESSAGES)
            size = 64 if ABIS[worker.abi].pointer_size == 8 else 32
            values["sockaddr"] = [
                _address_of_message(worker, address + index * size, args[0])
                for index in range(count)
            ]
    except UnreadableMemory:
        return


def _register_text(kind: Kind, value: int, call: str) -> str:
    return translate_register(Argument(index=0, name=kind.value, kind=kind), value, call)


def _address_of_message(worker: Worker, address: int, register: int) -> str | None:
    size = ABIS[worker.abi].pointer_size
    name = _word(worker, address)
    length = int.from_bytes(worker.read_bytes(address + size, 4), sys.byteorder)
    return _address(worker, name, length, register)[0]
