"""The kernel's audit (include/uapi/linux/audit.h), by its netlink socket.

It answers root in the initial user and pid namespaces only (audit_netlink_ok of kernel/audit.c).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

NETLINK_AUDIT = 9
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = 8 << 20
MOST_WAITING = 8192
"""Records that wait in the kernel, before who makes more has to wait."""
_ERROR, _REQUEST_AND_ACK = 2, 5
_HEADER = struct.Struct("@IHHII")
_STATUS = struct.Struct("@8I")
_SET = struct.Struct("@11I")
_ENABLED, _FAILURE, _PID, _BACKLOG = 1, 2, 4, 16  # AUDIT_STATUS_*
_FIELDS = _WORDS = 64
_RULE = struct.Struct(f"@3I{_WORDS}I{_FIELDS}I{_FIELDS}I{_FIELDS}II")
_ALWAYS, _EQUAL = 2, 0x4000_0000
_ANSWER_S = 10.0
_PACKET = 1 << 16


class Message(IntEnum):
    """Kinds of messages."""

    GET = 1000
    SET = 1001
    ADD_RULE = 1011
    DELETE_RULE = 1012
    USER = 1107
    SYSCALL = 1300
    PATH = 1302
    CWD = 1307
    END_OF_EVENT = 1320
    URING = 1336


class List(IntEnum):
    """Where a rule is looked at."""

    EXIT = 4
    URING_EXIT = 7


class Field(IntEnum):
    """What a rule compares."""

    LOGIN = 9
    ARCH = 11


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Log each of the calls (by number; with the list URING_EXIT: operations of a ring) of which
    every field has its value.
    """

    where: List
    fields: Mapping[Field, int]
    calls: frozenset[int]

    def pack(self) -> bytes:
        """struct audit_rule_data."""
        words = [0] * _WORDS
        for call in self.calls:
            words[call // 32] |= 1 << call % 32
        kinds, values = list(self.fields), list(self.fields.values())
        operators = [_EQUAL] * len(kinds)
        padded = (each + [0] * (_FIELDS - len(kinds)) for each in (kinds, values, operators))
        fields = [value for each in padded for value in each]
        return _RULE.pack(self.where, _ALWAYS, len(kinds), *words, *fields, 0)


MOST_CALLS = 32 * _WORDS
"""Numbers beyond have no place in a rule."""


class Audit:
    """A conversation with it. Every method raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
        self._sequence = 0
        self._waiting: list[tuple[int, bytes]] = []
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
            self._socket.bind((0, 0))
            self._socket.settimeout(_ANSWER_S)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def lost(self) -> int:
        """How many records the kernel has lost since it runs."""
        return int(_STATUS.unpack_from(self._asked(Message.GET, b"", answers=True))[6])

    def listen(self) -> None:
        """Switch it on, for good, and be who gets the records."""
        mask = _ENABLED | _FAILURE | _PID | _BACKLOG
        status = _SET.pack(mask, 1, 1, os.getpid(), 0, MOST_WAITING, 0, 0, 0, 0, 0)
        self._asked(Message.SET, status)

    def add(self, rule: Rule) -> None:
        self._asked(Message.ADD_RULE, rule.pack())

    def delete(self, rule: Rule) -> None:
        self._asked(Message.DELETE_RULE, rule.pack())

    def say(self, text: str) -> None:
        """Put a record of one's own behind those that there are."""
        self._send(Message.USER, text.encode("ascii") + b"\0")

    def next(self, patience_s: float) -> tuple[int, str] | None:
        """The next record's kind and text; None: none came."""
        if not self._waiting:
            self._socket.settimeout(patience_s)
            try:
                self._receive()
            except TimeoutError:
                return None
            finally:
                self._socket.settimeout(_ANSWER_S)
        if not self._waiting:
            return None
        kind, body = self._waiting.pop(0)
        return kind, body.rstrip(b"\0").decode("utf-8", "backslashreplace")

    def _send(self, kind: Message, body: bytes) -> int:
        self._sequence += 1
        size = _HEADER.size + len(body)
        head = _HEADER.pack(size, kind, _REQUEST_AND_ACK, self._sequence, 0)
        self._socket.sendto(head + body, (0, 0))
        return self._sequence

    def _asked(self, kind: Message, body: bytes, *, answers: bool = False) -> bytes:
        """What is answered; of a question that has an answer that comes behind its receipt."""
        sequence = self._send(kind, body)
        while True:
            for number, found, content in self._receive(sequence):
                if number != _ERROR:
                    return content
                (code,) = struct.unpack_from("@i", found)
                if code:
                    raise OSError(-code, os.strerror(-code), f"audit: {kind.name}")
                if not answers:
                    return b""

    def _receive(self, sequence: int = 0) -> list[tuple[int, bytes, bytes]]:
        """Answers to a question; records are kept for `next`."""
        packet = self._socket.recv(_PACKET)
        size, kind, _, number, _ = _HEADER.unpack_from(packet)
        # Of records the length may leave its own header out (NLMSG_LENGTH in audit_log_end).
        body = packet[_HEADER.size :]
        if kind in (_ERROR, Message.GET):
            return [(kind, body, body)] if number == sequence and size else []
        self._waiting.append((kind, body))
        return []


def rules_for(login: int, calls: Mapping[int, Collection[int]]) -> tuple[Rule, ...]:
    """What logs these calls, by AUDIT_ARCH_*, and whatever a ring does, of tasks that have `login`
    as their login id; the ring's last, which kernels before 5.16 do not take.
    """
    mine = {Field.LOGIN: login}
    plain = [
        Rule(where=List.EXIT, fields={**mine, Field.ARCH: arch}, calls=frozenset(numbers))
        for arch, numbers in calls.items()
    ]
    operations = frozenset(range(MOST_CALLS))
    return (*plain, Rule(where=List.URING_EXIT, fields=mine, calls=operations))
