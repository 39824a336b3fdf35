"""A policy for SELinux's server in the kernel's binary form (security/selinux/ss/policydb.c, of
version 30): types, classes with permissions, what is allowed, and what is labelled how.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

VERSION = 30
_MAGIC, _STRING = 0xF97CFF8C, b"SE Linux"
_ALLOW_UNKNOWN = 4
_SYMBOLS, _CONTEXTS = 8, 7
_ALLOW, _TRANSITION = 1, 0x10
_PRIMARY = 1
_MAP_BITS = 64
_BY_ATTRIBUTE, _OF_TASK = 1, 3
CAPABILITIES = {"nnp_nosuid_transition": 5}
USER, ROLE = "u", "object_r"

INITIAL = {
    "kernel": 1,
    "security": 2,
    "unlabeled": 3,
    "fs": 4,
    "file": 5,
    "port": 9,
    "netif": 10,
    "netmsg": 11,
    "node": 12,
    "devnull": 27,
}
"""Initial contexts by their numbers in the kernel."""


@dataclass
class Policy:
    """What a policy says. Types and classes are named; every rule names those that are known.

    `allowed`: domain, type, class and permissions. `becomes`: domain, directory's type, class and
    the type of what is made there; `becomes_named` the same for a single name. `initial` and
    `filesystems` (with whether labels are kept in attributes, or made by the task and the file
    system) and `paths` (of file systems that have no labels) say whose type is whose.
    """

    classes: Mapping[str, Sequence[str]]
    types: list[str] = field(default_factory=list)
    allowed: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    becomes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    becomes_named: dict[tuple[str, str, str, str], str] = field(default_factory=dict)
    initial: dict[str, str] = field(default_factory=dict)
    labelled: dict[str, str] = field(default_factory=dict)
    by_task: dict[str, str] = field(default_factory=dict)
    paths: dict[str, dict[str, str]] = field(default_factory=dict)

    def allow(self, domain: str, kind: str, where: str, permissions: Iterable[str]) -> None:
        """Let a domain do something with objects of a type and class."""
        self.allowed.setdefault((domain, kind, where), set()).update(permissions)

    def binary(self) -> bytes:
        """What is written to /sys/fs/selinux/load."""
        self._class = {name: number for number, name in enumerate(self.classes, 1)}
        self._type = {name: number for number, name in enumerate(self.types, 1)}
        capabilities = _bitmap(CAPABILITIES.values())
        return b"".join(
            (
                _words(_MAGIC, len(_STRING)),
                _STRING,
                _words(VERSION, _ALLOW_UNKNOWN, _SYMBOLS, _CONTEXTS),
                capabilities,
                _bitmap(()),  # permissive types
                *self._symbols(),
                self._rules(),
                _words(0, 0, 0),  # conditions; changes of roles, permitted ones
                self._named(),
                *self._contexts(),
                self._paths(),
                _words(0),  # changes of ranges
                *(_bitmap([number]) for number in range(len(self.types))),
            )
        )

    def _symbols(self) -> Iterable[bytes]:
        yield _words(0, 0)  # permissions that classes share
        yield _words(len(self.classes), len(self.classes))
        for name, permissions in self.classes.items():
            count = len(permissions)
            yield _words(len(name), 0, self._class[name], count, count, 0) + name.encode()
            for number, permission in enumerate(permissions, 1):
                yield _words(len(permission), number) + permission.encode()
            # No constraints, also of transitions; defaults of user, role, range and type.
            yield _words(0, 0, 0, 0, 0)
        every = _bitmap(range(len(self.types)))
        yield _words(1, 1, len(ROLE), 1, 0) + ROLE.encode() + _bitmap([0]) + every
        yield _words(len(self.types), len(self.types))
        for name in self.types:
            yield _words(len(name), self._type[name], _PRIMARY, 0) + name.encode()
        yield _words(1, 1, len(USER), 1, 0) + USER.encode() + _bitmap([0]) + _RANGE + _LEVEL
        yield _words(0, 0) * 3  # switches, levels, categories

    def _rules(self) -> bytes:
        found = [
            self._rule(domain, kind, where, _ALLOW, self._mask(where, permissions))
            for (domain, kind, where), permissions in self.allowed.items()
            if permissions
        ]
        found += [
            self._rule(domain, kind, where, _TRANSITION, self._type[new])
            for (domain, kind, where), new in self.becomes.items()
        ]
        return _words(len(found)) + b"".join(found)

    def _rule(self, domain: str, kind: str, where: str, what: int, value: int) -> bytes:
        of = (self._type[domain], self._type[kind], self._class[where])
        return struct.pack("<HHHHI", *of, what, value)

    def _mask(self, where: str, permissions: Iterable[str]) -> int:
        names = self.classes[where]
        return sum(1 << names.index(permission) for permission in permissions)

    def _named(self) -> bytes:
        found = [_words(len(self.becomes_named))]
        for (domain, kind, where, name), new in self.becomes_named.items():
            text = name.encode()
            found.append(_words(len(text)) + text)
            of = (self._type[domain], self._type[kind], self._class[where], self._type[new])
            found.append(_words(*of))
        return b"".join(found)

    def _contexts(self) -> Iterable[bytes]:
        yield _words(len(self.initial))
        for name, kind in self.initial.items():
            yield _words(INITIAL[name]) + self._context(kind)
        yield _words(0) * 4  # of file systems by device, ports, devices of the network, nodes
        every = [(_BY_ATTRIBUTE, self.labelled), (_OF_TASK, self.by_task)]
        yield _words(sum(len(each) for _, each in every))
        for how, each in every:
            for name, kind in each.items():
                yield _words(how, len(name)) + name.encode() + self._context(kind)
        yield _words(0)  # nodes of IPv6

    def _paths(self) -> bytes:
        found = [_words(len(self.paths))]
        for name, paths in sorted(self.paths.items()):
            found.append(_words(len(name)) + name.encode() + _words(len(paths)))
            # The longest that fits comes first.
            for path, kind in sorted(paths.items(), key=lambda item: -len(item[0])):
                found.append(_words(len(path)) + path.encode() + _words(0) + self._context(kind))
        return b"".join(found)

    def _context(self, kind: str) -> bytes:
        return _words(1, 1, self._type[kind]) + _RANGE


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def _bitmap(numbers: Iterable[int]) -> bytes:
    """A set of small numbers."""
    words: dict[int, int] = {}
    for number in numbers:
        words[number // _MAP_BITS] = words.get(number // _MAP_BITS, 0) | 1 << number % _MAP_BITS
    highest = (max(words, default=-1) + 1) * _MAP_BITS
    found = _words(_MAP_BITS, highest, len(words))
    for place, bits in sorted(words.items()):
        found += struct.pack("<IQ", place * _MAP_BITS, bits)
    return found


_LEVEL = _words(1) + _bitmap(())
_RANGE = _words(1, 1) + _bitmap(())
"""Of a policy without levels: read, and of no meaning."""
