"""The frames that host and guest exchange over the virtio port (guest/agent.c is the other end)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"LAB1"
HEADER = struct.Struct("<4sIII")
FRAME_MAX = 1 << 18


class FrameError(Exception):
    """The bytes are not a frame."""


class FrameType(IntEnum):
    """What a frame says; those from 0x80 come from the guest."""

    PUT_OPEN = 1
    PUT_DATA = 2
    PUT_CLOSE = 3
    START = 4
    INPUT = 5
    INPUT_END = 6
    SIGNAL = 7
    SYNC = 8
    PING = 9
    READY = 0x81
    OUTPUT = 0x82
    ERRORS = 0x83
    EXIT = 0x84
    DONE = 0x85
    REFUSED = 0x86
    PONG = 0x89


KINDS = frozenset(FrameType)


@dataclass(frozen=True)
class Frame:
    """`id` names the process or the request that the frame is about."""

    type: FrameType
    id: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    if len(frame.payload) > FRAME_MAX:
        raise FrameError(f"a payload of {len(frame.payload)} bytes exceeds {FRAME_MAX}")
    return HEADER.pack(MAGIC, frame.type, frame.id, len(frame.payload)) + frame.payload


class Decoder:
    """Frames out of a byte stream that arrives in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`. Raises FrameError on bytes that no frame starts with."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= HEADER.size:
            magic, kind, number, length = HEADER.unpack_from(self._buffer)
            if magic != MAGIC or length > FRAME_MAX or kind not in KINDS:
                raise FrameError(f"not a frame: {bytes(self._buffer[:16])!r}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(FrameType(kind), number, bytes(self._buffer[HEADER.size : end])))
            del self._buffer[:end]
        return frames
