"""Registers and socket addresses as the texts that rules compare.

A register's text depends on the bits that the kernel looks at and on nothing else (Argument.mask).
Names are those of CONSTANTS; what has no name prints as a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.model import Argument, Kind

__all__ = ["CONSTANTS", "translate_register"]

_VOCABULARY = Path(__file__).with_name("vocabulary.txt")

_EXIT_SIGNAL = 0xFF
_MAPPING_TYPE = CONSTANTS["MAP_TYPE"]
_SOCKET_TYPE = 0xF
_SIGNALS = 64

_OPEN_LETTERS = (
    (CONSTANTS["O_NONBLOCK"], "n"),
    (CONSTANTS["O_APPEND"], "a"),
    (CONSTANTS["O_CREAT"], "c"),
    (CONSTANTS["O_TRUNC"], "t"),
)
_ACCESS_MODES = ("ro", "wo", "rw", "rw")
"""Access mode 3 asks for both permissions and gives neither read nor write; it is no reading."""


def translate_register(argument: Argument, value: int, call_name: str) -> str:
    """The text of an argument of `call_name` that a register alone decides.

    Raises ValueError for an argument that lies in memory.
    """
    return _text(argument.kind, argument.width, value & argument.mask, call_name)


@lru_cache(maxsize=8192)
def _text(kind: Kind, width: int, value: int, call: str) -> str:
    match kind:
        case Kind.OFLAGS:
            return translate_oflags(value)
        case Kind.MODE:
            return f"{value:o}"
        case Kind.FD | Kind.PID:
            return str(_signed(value, width))
        case Kind.UID | Kind.GID:
            return "-1" if value == (1 << width) - 1 else str(value)
        case Kind.SIGNAL:
            return _signal_names().get(value, str(_signed(value, width)))
        case Kind.PROT:
            return _flags(value, _protections(), "PROT_NONE")
        case Kind.FLAGS:
            return _call_flags(value, call)
        case Kind.COMMAND:
            return names_for(call, "cmd").get(value, f"{value:#x}")
        case Kind.SOCKDOM:
            return _families().get(value, str(value))
        case Kind.SOCKTYPE:
            base = value & _SOCKET_TYPE
            return _socket_types().get(base, str(base))
        case Kind.VALUE:
            return str(value)
        case _:
            raise ValueError(f"{call}: {kind} is not decided by a register")


def translate_oflags(flags: int) -> str:
    """Open flags as `ro`, `wo` or `rw` and the letters n a c t (nonblock, append, creat, trunc)."""
    letters = "".join(letter for bit, letter in _OPEN_LETTERS if flags & bit)
    return _ACCESS_MODES[flags & 3] + letters


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


@cache
def _signal_names() -> Mapping[int, str]:
    return {
        value: name
        for name, value in sorted(CONSTANTS.items(), reverse=True)
        if name.startswith("SIG") and "_" not in name and 0 < value <= _SIGNALS
        if name not in ("SIGIOT", "SIGPOLL", "SIGRTMIN", "SIGRTMAX", "SIGUNUSED", "SIGSTKSZ")
    }


_SECOND_NAMES = frozenset({"AF_LOCAL", "AF_ROUTE", "AF_MAX"})
_SOCKET_TYPE_NAMES = ("STREAM", "DGRAM", "RAW", "RDM", "SEQPACKET", "DCCP", "PACKET")


@cache
def _families() -> Mapping[int, str]:
    return {
        value: name
        for name, value in CONSTANTS.items()
        if name.startswith("AF_") and name not in _SECOND_NAMES
    }


@cache
def _socket_types() -> Mapping[int, str]:
    return {CONSTANTS[f"SOCK_{name}"]: f"SOCK_{name}" for name in _SOCKET_TYPE_NAMES}


@cache
def _vocabulary() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(call, "cmd" or "flags") -> the names with the stars not yet replaced."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in _VOCABULARY.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            calls, what, *names = line.split()
            found.update(((call, what), tuple(names)) for call in calls.split(","))
    return found


@cache
def names_for(call: str, what: str) -> Mapping[int, str]:
    """The values of `call`'s commands ("cmd") or flags ("flags") that have a name."""
    words = _vocabulary().get((call, what), ())
    without = tuple(word[1:].rstrip("*") for word in words if word.startswith("-"))
    found: dict[int, str] = {}
    for word in words:
        if word.startswith("-"):
            continue
        if word.endswith("*"):
            stem = word[:-1]
            fitting = [name for name in CONSTANTS if name.startswith(stem)]
            fitting = [name for name in fitting if not without or not name.startswith(without)]
        else:
            fitting = [word] if word in CONSTANTS else []
        for name in fitting:
            found.setdefault(CONSTANTS[name], name)
    return found


@cache
def _bits(call: str) -> tuple[tuple[int, str], ...]:
    """The single bits of a call's flags with their names, lowest first."""
    named = names_for(call, "flags")
    return tuple(sorted((bit, name) for bit, name in named.items() if bit.bit_count() == 1))


@cache
def _protections() -> tuple[tuple[int, str], ...]:
    names = ("READ", "WRITE", "EXEC", "SEM", "GROWSDOWN", "GROWSUP")
    return tuple((CONSTANTS[f"PROT_{name}"], f"PROT_{name}") for name in names)


@cache
def _mapping_types() -> Mapping[int, str]:
    names = ("MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE", "MAP_DROPPABLE")
    return {CONSTANTS[name]: name for name in names}


def _call_flags(value: int, call: str) -> str:
    first: tuple[str, ...] = ()
    if call == "clone" and value & _EXIT_SIGNAL:
        signal = value & _EXIT_SIGNAL
        first = (_signal_names().get(signal, f"{signal:#x}"),)
        value &= ~_EXIT_SIGNAL
    elif call in ("mmap", "mmap2") and value & _MAPPING_TYPE:
        kind = value & _MAPPING_TYPE
        first = (_mapping_types().get(kind, f"{kind:#x}"),)
        value &= ~_MAPPING_TYPE
    return _flags(value, _bits(call), "0", *first)


def _flags(value: int, bits: tuple[tuple[int, str], ...], nothing: str, *first: str) -> str:
    parts = list(first)
    for bit, name in bits:
        if value & bit:
            parts.append(name)
            value &= ~bit
    if value:
        parts.append(f"{value:#x}")
    return "|".join(parts) or nothing
