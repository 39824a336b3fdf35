"""From a tree of names to types: two for each name that a policy speaks of, what holds there and
what holds beneath it, and what the one domain of a target may do with each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from enforcer.access.kinds import Access
from enforcer.access.tree import Node
from enforcer.mechanisms.selinux.policydb import INITIAL, ROLE, USER, Policy

OTHERS, DOMAIN, FREE, PROGRAM = "kernel_t", "lab_t", "free_t", "program_t"
"""Everybody else; the target; what has no place (pipes); what a run begins with."""
_FILE = {
    Access.LOOK: ("getattr",),
    Access.READ: ("read",),
    Access.WRITE: ("write", "append", "link"),
    Access.CREATE: ("create",),
    Access.REMOVE: ("unlink", "rename"),
    Access.CHANGE: ("setattr",),
    Access.EXECUTE: ("execute", "execute_no_trans"),
}
_DIRECTORY = {
    Access.LOOK: ("getattr",),
    Access.READ: ("read",),
    Access.WRITE: (),
    Access.CREATE: ("create",),
    Access.REMOVE: ("rename", "rmdir", "reparent"),
    Access.CHANGE: ("setattr",),
    Access.EXECUTE: (),
}
_INSIDE = ("add_name", "remove_name")
# Given always: a refusal of it would name the directory, of the others the name in it.
_TRIED = ("write",)
_OBJECTS = ("file", "lnk_file", "chr_file", "blk_file", "sock_file", "fifo_file")
_NEVER = ("relabelfrom", "relabelto")
CLASSES: Mapping[str, tuple[str, ...]] = {
    **{
        name: (*(each for some in _FILE.values() for each in some), "entrypoint", *_NEVER)
        for name in _OBJECTS
    },
    "dir": (
        *(each for some in _DIRECTORY.values() for each in some),
        *(*_INSIDE, *_TRIED, *_NEVER),
    ),
    "process": ("transition", "dyntransition"),
    "security": ("load_policy", "setenforce", "setbool", "setsecparam"),
}
"""What is judged; of all else the policy says that it is permitted."""
_SYSTEM = "/usr"
_PLACES = {
    "proc": "/proc",
    "sysfs": "/sys",
    "devtmpfs": "/dev",
    "devpts": "/dev/pts",
    "securityfs": "/sys/kernel/security",
    "selinuxfs": "/sys/fs/selinux",
    "cgroup2": "/sys/fs/cgroup",
    "debugfs": "/sys/kernel/debug",
    "tracefs": "/sys/kernel/tracing",
}
"""File systems without labels, and where they usually are."""


@dataclass
class Labels:
    """The types of a tree: `numbers` of the names that it speaks of, and their names again."""

    tree: Node
    numbers: dict[str, int] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path, _ in self.tree.walk():
            self.numbers[path] = len(self.paths)
            self.paths.append(path)

    def type_of(self, path: str) -> str:
        """Of an object with this canonical name."""
        if path in self.numbers:
            return f"n{self.numbers[path]}"
        while path not in self.numbers:
            path = path.rpartition("/")[0] or "/"
        return f"b{self.numbers[path]}"

    def named(self, kind: str, leaf: str) -> str:
        """What an object of a type is called, of which only the last part is known."""
        if kind[:1] not in ("n", "b") or not kind[1:].isdigit():
            return leaf
        path = self.paths[int(kind[1:])]
        return path if kind[0] == "n" else f"{path.rstrip('/')}/{leaf}"

    def within(self, kind: str) -> str:
        """The directory of a type."""
        known = kind[:1] in ("n", "b") and kind[1:].isdigit()
        return self.paths[int(kind[1:])].rstrip("/") if known else ""

    def policy(self) -> Policy:
        """Everything that the kernel is told."""
        types = [f"{which}{number}" for number in range(len(self.paths)) for which in "nb"]
        found = Policy(classes=CLASSES, types=[OTHERS, DOMAIN, FREE, PROGRAM, *types])
        for where, permissions in CLASSES.items():
            for kind in found.types:
                found.allow(OTHERS, kind, where, permissions)
        for path, node in self.tree.walk():
            number = self.numbers[path]
            _allow(found, f"n{number}", node.here, _inside(node))
            _allow(found, f"b{number}", node.beneath, _may_change(node.beneath))
            for where in (*_OBJECTS, "dir"):
                found.becomes[DOMAIN, f"n{number}", where] = f"b{number}"
                for name in node.children:
                    inner = self.numbers[f"{path.rstrip('/')}/{name}"]
                    found.becomes_named[DOMAIN, f"n{number}", where, name] = f"n{inner}"
        usual = self.tree.beneath
        free = frozenset(Access) if Access.EXECUTE in usual else frozenset(Access) - _EXECUTING
        _allow(found, FREE, free, inside=True)
        _allow(found, PROGRAM, frozenset({Access.LOOK, Access.READ, Access.EXECUTE}), inside=False)
        found.allow(DOMAIN, PROGRAM, "file", ("entrypoint",))
        for own in (OTHERS, DOMAIN):  # what procfs shows of tasks
            _allow(found, own, self.tree.permitted("/proc/1/status"), inside=False)
        self._label(found)
        return found

    def _label(self, found: Policy) -> None:
        for name in INITIAL:
            found.initial[name] = FREE
        found.initial["kernel"] = OTHERS
        # The root of a guest is one file system, of which almost all that counts is there.
        system = self.type_of(f"{_SYSTEM}/x")
        found.initial["file"] = system
        found.labelled = {"overlay": system, "erofs": system}
        found.by_task = {"tmpfs": self.type_of("/tmp/x")}
        for name, point in _PLACES.items():
            within = {"/": self.type_of(f"{point}/x")}
            for path in self.paths:
                if path.startswith(f"{point}/"):
                    within[path.removeprefix(point)] = self.type_of(f"{path}/x")
            found.paths[name] = within


_EXECUTING = frozenset({Access.EXECUTE})


def _allow(found: Policy, kind: str, kinds: frozenset[Access], inside: bool) -> None:
    """What the domain may do with objects of a type; `inside`: and change what a directory holds.

    Who may not read a link could not follow it either.
    """
    for where in _OBJECTS:
        permissions = {each for access in kinds for each in _FILE[access]}
        found.allow(DOMAIN, kind, where, permissions | ({"read"} if where == "lnk_file" else set()))
    own = {each for access in kinds for each in _DIRECTORY[access]}
    found.allow(DOMAIN, kind, "dir", own.union(_TRIED, _INSIDE if inside else ()))


def _may_change(kinds: frozenset[Access]) -> bool:
    return bool(kinds & {Access.CREATE, Access.REMOVE})


def _inside(node: Node) -> bool:
    """Whether any name in a directory may come or go; which one, its own type says."""
    return _may_change(node.beneath) or any(
        _may_change(each.here) for each in node.children.values()
    )


def context(kind: str) -> str:
    """As the kernel writes it."""
    return f"{USER}:{ROLE}:{kind}"
