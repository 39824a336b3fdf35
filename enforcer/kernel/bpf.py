"""bpf(2): maps, programs of security modules, and what holds them in place; raw, without libbpf."""

from __future__ import annotations

import ctypes
import os
import struct
from enum import IntEnum
from errno import ENOENT

from enforcer.kernel.raw import INT, SIZE, raw_call

_PROG_TYPE_LSM = 29
_LSM_MAC = 27
_LOG_BYTES = 1 << 20
_INSTRUCTION_BYTES = 8
_NAME_BYTES = 15
_INFO_BYTES = 80

_bpf = raw_call("bpf", arguments=(INT, ctypes.c_void_p, SIZE))


class MapKind(IntEnum):
    """BPF_MAP_TYPE_*."""

    HASH = 1
    ARRAY = 2
    QUEUE = 22


class _Command(IntEnum):
    MAP_CREATE = 0
    MAP_UPDATE = 2
    MAP_DELETE = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    RAW_TRACEPOINT_OPEN = 17
    MAP_LOOKUP_AND_DELETE = 21


class Refused(OSError):
    """The verifier's word on a program; the text ends with what it said last."""


def create_map(kind: MapKind, key_bytes: int, value_bytes: int, entries: int, name: str) -> int:
    """The descriptor of a new map. Raises OSError."""
    attributes = struct.pack(
        "=IIIIIII16s", kind, key_bytes, value_bytes, entries, 0, 0, 0, _name(name)
    )
    return _checked(_call(_Command.MAP_CREATE, attributes))


def map_id(descriptor: int) -> int:
    """The kernel's number of a map. Raises OSError."""
    info = ctypes.create_string_buffer(_INFO_BYTES)
    attributes = struct.pack("=IIQ", descriptor, len(info), ctypes.addressof(info))
    _checked(_call(_Command.OBJ_GET_INFO_BY_FD, attributes))
    found: int = struct.unpack_from("=II", info.raw)[1]
    return found


def open_map(number: int) -> int:
    """A descriptor of the map with this number (CAP_SYS_ADMIN). Raises OSError."""
    return _checked(_call(_Command.MAP_GET_FD_BY_ID, struct.pack("=III", number, 0, 0)))


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Put a value under a key. Raises OSError."""
    _checked(_on_element(_Command.MAP_UPDATE, descriptor, key, ctypes.create_string_buffer(value)))


def empty(descriptor: int, key_bytes: int) -> None:
    """Take everything out of a hash. Raises OSError."""
    while True:
        key = ctypes.create_string_buffer(key_bytes)
        found = struct.pack("=IIQQ", descriptor, 0, 0, ctypes.addressof(key))
        result = _call(_Command.MAP_GET_NEXT_KEY, found)
        if result == -ENOENT:
            return
        _checked(result)
        gone = struct.pack("=IIQQQ", descriptor, 0, ctypes.addressof(key), 0, 0)
        _checked(_call(_Command.MAP_DELETE, gone))


def popped(descriptor: int, value_bytes: int) -> bytes | None:
    """The oldest value of a queue, which is gone from it then; None of an empty one."""
    value = ctypes.create_string_buffer(value_bytes)
    result = _on_element(_Command.MAP_LOOKUP_AND_DELETE, descriptor, b"", value)
    if result == -ENOENT:
        return None
    _checked(result)
    return value.raw


def load_lsm(code: bytes, hook: int, name: str) -> int:
    """The descriptor of a program for the hook with this number in the kernel's type information.

    Raises Refused with the verifier's last words, OSError.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(_LOG_BYTES)

    def load(level: int) -> int:
        return _call(
            _Command.PROG_LOAD,
            struct.pack(
                "=IIQQIIQII16sIIIIQIIQIII",
                _PROG_TYPE_LSM,
                len(code) // _INSTRUCTION_BYTES,
                ctypes.addressof(instructions),
                ctypes.addressof(licence),
                level,
                len(log) if level else 0,
                ctypes.addressof(log) if level else 0,
                0,
                0,
                _name(name),
                *(0, _LSM_MAC, 0, 0, 0, 0, 0, 0, 0, hook, 0),
            ),
        )

    result = load(0)
    if result < 0:
        # Said only when asked: writing it down takes longer than the judgement.
        again = load(1)
        if again >= 0:
            return again
        said = log.value.decode("ascii", "replace").strip().splitlines()
        raise Refused(-result, f"{name}: {os.strerror(-result)}: {'; '.join(said[-6:])}")
    return result


def attach(program: int) -> int:
    """A descriptor as long as which the program runs at its hook. Raises OSError."""
    return _checked(_call(_Command.RAW_TRACEPOINT_OPEN, struct.pack("=QII", 0, program, 0)))


def _name(text: str) -> bytes:
    return text.encode("ascii")[:_NAME_BYTES]


def _on_element(
    command: _Command, descriptor: int, key: bytes, value: ctypes.Array[ctypes.c_char]
) -> int:
    named = ctypes.create_string_buffer(key, max(len(key), 1))
    where = ctypes.addressof(named) if key else 0
    attributes = struct.pack("=IIQQQ", descriptor, 0, where, ctypes.addressof(value), 0)
    return _call(command, attributes)


def _call(command: _Command, attributes: bytes) -> int:
    block = ctypes.create_string_buffer(attributes, len(attributes))
    return _bpf(command, ctypes.addressof(block), len(attributes))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
