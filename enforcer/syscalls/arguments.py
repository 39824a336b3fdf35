"""What a call's registers point to, decoded by the model: the one place that knows how.

Registers are those of the ABI, already narrowed as it does. Memory comes from whoever holds the
call, who reads each range once; names are walked by whoever knows how the caller sees them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from errno import E2BIG, EINVAL
from struct import Struct
from typing import NamedTuple

from enforcer.arch import ABIS
from enforcer.syscalls.loader import syscall
from enforcer.syscalls.memory import Memory, Refused, UnreadableMemory
from enforcer.syscalls.model import REGISTER_KINDS, TRANSLATOR_OF, Argument, Follow, Kind
from enforcer.syscalls.sockaddr import format_sockaddr
from enforcer.syscalls.translate import translate_register

Texts = list[str | None]

AT_FDCWD = -100
LOW_HALF = 0xFFFF_FFFF
LONGEST_ADDRESS = 128
"""sizeof(struct sockaddr_storage): move_addr_to_kernel refuses more."""
MOST_MESSAGES = 1024
"""UIO_MAXIOV: so many of one sendmmsg, the rest is left out (__sys_sendmmsg)."""
MOST_ARGUMENTS = 1 << 20
MOST_ARGUMENT_BYTES = 8 << 20
LONGEST_ARGUMENT = 32 * 4096
"""MAX_ARG_STRLEN; strings together may fill a quarter of the stack limit, 8 MiB here."""

_SIGN = 0x8000_0000
_CREATES_NEW = os.O_CREAT | os.O_EXCL
_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
_CREATES = os.O_CREAT | _TMPFILE
_PATH_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_PATH | os.O_CLOEXEC
_VALID_FLAGS = 0o37777703
_MODES = 0o7777
_PAGE = 4096
_HOW = Struct("=QQQ")
_HEADERS = {8: Struct("=QI4xQQQQi4x"), 4: Struct("=IIIIIIi")}
_WORDS = {8: Struct("=Q"), 4: Struct("=I")}


class Name(NamedTuple):
    """A path argument as the kernel takes it; see enforcer.pin.resolve for the words."""

    dirfd: int
    text: bytes
    follow: bool
    entry: bool
    empty: bool


Walk = Callable[[Name], tuple[str | None, bool]]
"""The text that rules see of a name, and whether even its directory is missing."""


def signed(register: int) -> int:
    """The low half of a register as the kernel takes an int."""
    register &= LOW_HALF
    return register - (1 << 32) if register & _SIGN else register


def open_how(flags: int, mode: int) -> tuple[int, int]:
    """Flags and mode as openat(2) understands them and openat2(2) accepts them (build_open_how).

    openat drops what it does not know, and a mode without a creation; openat2 refuses both.
    """
    flags &= _VALID_FLAGS
    if flags & os.O_PATH:
        flags &= _PATH_FLAGS
    return flags, mode & _MODES if may_create(flags) else 0


def is_followed(argument: Argument, args: Sequence[int], oflags: int = 0) -> bool:
    """Whether a symbolic link at the end of this path is followed; `oflags` are the call's."""
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
            return follows_open(oflags)


def may_create(flags: int) -> bool:
    """Whether an open with these flags makes a file where there is none."""
    return bool(flags & _CREATES)


def follows_open(flags: int) -> bool:
    """Whether an open with these flags follows a link at the end: a new file is never a link's."""
    return not flags & os.O_NOFOLLOW and flags & _CREATES_NEW != _CREATES_NEW


def name_of(argument: Argument, args: Sequence[int], text: bytes, oflags: int = 0) -> Name:
    """What a path argument names, `text` being what its register points to."""
    flags = 0 if argument.follow_argument is None else args[argument.follow_argument]
    return Name(
        AT_FDCWD if argument.dirfd is None else signed(args[argument.dirfd]),
        text,
        is_followed(argument, args, oflags),
        argument.parent,
        argument.empty or bool(flags & argument.empty_flag),
    )


def read_open_how(memory: Memory, address: int, size: int) -> tuple[int, int, int]:
    """Flags, mode and resolve of a struct open_how of `size` bytes (copy_struct_from_user).

    Raises Refused, UnreadableMemory.
    """
    if size < _HOW.size:
        raise Refused(EINVAL)
    if size > _PAGE:
        raise Refused(E2BIG)
    raw = memory.read_bytes(address, size)
    if any(raw[_HOW.size :]):
        raise Refused(E2BIG)
    flags, mode, resolve = _HOW.unpack_from(raw)
    return flags, mode, resolve


def texts_of_open_how(flags: int, mode: int) -> dict[str, Texts]:
    """What rules see of a struct open_how."""
    return {
        "oflags": [translate_register(_FLAGS_OF_HOW, flags, "openat")],
        "mode": [translate_register(_MODE_OF_HOW, mode, "openat")],
    }


def text_of_clone_flags(flags: int) -> str:
    """What rules see of the flags in a struct clone_args."""
    return translate_register(_FLAGS_OF_CLONE, flags, "clone")


_FLAGS_OF_HOW = Argument(index=0, name="flags", kind=Kind.OFLAGS)
_MODE_OF_HOW = Argument(index=0, name="mode", kind=Kind.MODE)
_FLAGS_OF_CLONE = Argument(index=0, name="flags", kind=Kind.FLAGS)


def read_strings(memory: Memory, address: int, pointer_size: int) -> list[bytes]:
    """The strings of an argument vector; one empty string where there is none (Linux 5.18).

    Raises UnreadableMemory, with E2BIG for more than a program can get.
    """
    word = _WORDS[pointer_size]
    found: list[bytes] = []
    total = 0
    while address:
        (pointer,) = word.unpack(memory.read_bytes(address, word.size))
        if pointer == 0:
            break
        text = memory.read_string(pointer, LONGEST_ARGUMENT)
        total += len(text)
        if total > MOST_ARGUMENT_BYTES or len(found) == MOST_ARGUMENTS:
            raise UnreadableMemory(address, E2BIG)
        found.append(text)
        address += word.size
    return found or [b""]


class Header(NamedTuple):
    """struct msghdr; the addresses are the task's."""

    name: int
    name_length: int
    vectors: int
    vector_count: int
    control: int
    control_length: int
    flags: int


def header_struct(pointer_size: int) -> Struct:
    """struct msghdr for pointers of so many bytes."""
    return _HEADERS[pointer_size]


def message_places(vector: int, count: int, pointer_size: int) -> range:
    """Where the headers of a sendmmsg's messages begin.

    From one struct mmsghdr to the next there are a header, msg_len, and padding.
    """
    step = _HEADERS[pointer_size].size + pointer_size
    return range(vector, vector + min(count & LOW_HALF, MOST_MESSAGES) * step, step)


def length_place(header: int, pointer_size: int) -> int:
    """Where the kernel writes how much of a message was sent (msg_len)."""
    return header + _HEADERS[pointer_size].size


def read_header(memory: Memory, address: int, pointer_size: int) -> Header:
    """The header of a message. Raises UnreadableMemory."""
    layout = _HEADERS[pointer_size]
    return Header(*layout.unpack(memory.read_bytes(address, layout.size)))


def read_destination(memory: Memory, header: Header) -> bytes | None:
    """The address in a header, at most LONGEST_ADDRESS bytes of it (copy_msghdr_from_user).

    Raises Refused, UnreadableMemory.
    """
    if not header.name:
        return None
    if signed(header.name_length) < 0:
        raise Refused(EINVAL)
    return memory.read_bytes(header.name, min(header.name_length, LONGEST_ADDRESS)) or None


def read_message(memory: Memory, address: int, pointer_size: int) -> tuple[Header, bytes | None]:
    """The header of a message, and the address in it. Raises Refused, UnreadableMemory."""
    header = read_header(memory, address, pointer_size)
    return header, read_destination(memory, header)


def read_address(memory: Memory, address: int, length: int) -> bytes:
    """The address of a socket call (move_addr_to_kernel). Raises Refused, UnreadableMemory."""
    size = signed(length)
    if not 0 <= size <= LONGEST_ADDRESS:
        raise Refused(EINVAL)
    return memory.read_bytes(address, size) if size else b""


Spell = Callable[[bytes], str | None]


def spelled(raw: bytes) -> str | None:
    """What an address says by itself; empty where there is none."""
    return format_sockaddr(raw) if raw else ""


def read_texts(
    memory: Memory,
    walk: Walk,
    call: str,
    abi: str,
    args: Sequence[int],
    needs: frozenset[str] | None = None,
    spell: Spell = spelled,
) -> tuple[dict[str, Texts], int]:
    """The texts of a call's memory arguments, by translator in argument order.

    Only those of `needs`, if given. `spell` gives the text of a socket address. A text that cannot
    be read is None, upon which a rule that needs it denies. Also which file names lie in no
    directory, bit by bit.
    """
    found: dict[str, Texts] = {}
    missing = 0
    size = ABIS[abi].pointer_size
    arguments = syscall(call, abi).arguments
    oflags = next((args[each.index] for each in arguments if each.kind is Kind.OFLAGS), 0)
    for argument in arguments:
        translator = "filename" if argument.named else TRANSLATOR_OF.get(argument.kind)
        if (argument.kind in REGISTER_KINDS and not argument.named) or (
            needs is not None and translator is not None and translator not in needs
        ):
            continue
        address = args[argument.index]
        try:
            if argument.is_name:
                texts = found.setdefault("filename", [])
                text, is_missing = _walked(memory, walk, argument, args, oflags)
                missing |= is_missing << len(texts)
                texts.append(text)
            elif argument.kind is Kind.STRING:
                text = _string(memory, address)
                found.setdefault("string", []).append(text)
            elif argument.kind is Kind.ARGV:
                found.setdefault("argv", []).append(_argv(memory, address, size))
            elif argument.kind is Kind.SOCKADDR:
                length = 0 if argument.length is None else args[argument.length]
                found.setdefault("sockaddr", []).append(_sockaddr(memory, address, length, spell))
            elif argument.kind is Kind.STRUCT:
                found |= _struct(memory, argument, args, size, spell)
        except (UnreadableMemory, Refused):
            continue
    return found, missing


def _walked(
    memory: Memory, walk: Walk, argument: Argument, args: Sequence[int], oflags: int
) -> tuple[str | None, bool]:
    if argument.layout:
        return None, False
    address = args[argument.index]
    if argument.named:
        return walk(Name(signed(address), b"", follow=True, entry=False, empty=True))
    if not address and (argument.null or argument.nullable):
        name = name_of(argument, args, b"")
        return walk(name._replace(empty=True) if argument.null else name)
    try:
        text = memory.read_string(address)
    except UnreadableMemory:
        return None, False
    return walk(name_of(argument, args, text, oflags))


def _string(memory: Memory, address: int) -> str | None:
    try:
        return os.fsdecode(memory.read_string(address))
    except UnreadableMemory:
        return None


def _argv(memory: Memory, address: int, size: int) -> str | None:
    try:
        return os.fsdecode(b" ".join(read_strings(memory, address, size)))
    except UnreadableMemory:
        return None


def _sockaddr(memory: Memory, address: int, length: int, spell: Spell) -> str | None:
    try:
        return spell(read_address(memory, address, length) if address else b"")
    except (UnreadableMemory, Refused):
        return None


def _struct(
    memory: Memory, argument: Argument, args: Sequence[int], size: int, spell: Spell
) -> dict[str, Texts]:
    address = args[argument.index]
    match argument.layout:
        case "open_how":
            length = _HOW.size if argument.length is None else args[argument.length]
            flags, mode, _ = read_open_how(memory, address, length)
            return texts_of_open_how(flags, mode)
        case "clone_args":
            return {"flags": [text_of_clone_flags(_clone_flags(memory, address))]}
        case "msghdr":
            return {"sockaddr": [_destination(memory, address, size, spell)]}
        case "mmsghdr":
            places = message_places(address, args[2], size)
            return {"sockaddr": [_destination(memory, place, size, spell) for place in places]}
        case _:
            return {}


def _clone_flags(memory: Memory, address: int) -> int:
    return int.from_bytes(memory.read_bytes(address, 8), sys.byteorder)


def _destination(memory: Memory, address: int, size: int, spell: Spell) -> str | None:
    try:
        return spell(read_message(memory, address, size)[1] or b"")
    except (UnreadableMemory, Refused):
        return None


def register_texts(call: str, abi: str, args: Sequence[int]) -> Mapping[str, Texts]:
    """The texts of the arguments that registers alone decide."""
    found: dict[str, Texts] = {}
    for argument in syscall(call, abi).arguments:
        translator = TRANSLATOR_OF.get(argument.kind)
        if translator is not None and argument.kind in REGISTER_KINDS:
            text = translate_register(argument, args[argument.index], call)
            found.setdefault(translator, []).append(text)
    return found
