"""From a tree of names to marks of the objects that are there, and of names where none is yet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from enforcer.access.kinds import Access
from enforcer.access.tree import Node
from enforcer.mechanisms.bpf_lsm.layout import ALL, BITS, KEY, NAME_BYTES, Mark, bits
from enforcer.mechanisms.contract import LaunchError

_OF_NAMES = BITS[Access.CREATE] | BITS[Access.REMOVE]
"""Kinds that are of a name and not of what has it."""
_RUN = bits(frozenset({Access.READ, Access.EXECUTE, Access.LOOK}))


@dataclass(frozen=True)
class Found:
    """An object that is held open, with its mark."""

    descriptor: int
    mark: Mark


@dataclass
class Marks:
    """All marks of a run. `names` are told in the log by their number; the first is nobody's."""

    names: list[str] = field(default_factory=lambda: [""])
    objects: dict[tuple[int, int], Found] = field(default_factory=dict)
    by_name: dict[bytes, Mark] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of the objects."""
        for found in self.objects.values():
            os.close(found.descriptor)
        self.objects.clear()

    def number(self, path: str) -> int:
        """The number of a name."""
        self.names.append(path)
        return len(self.names) - 1

    def mounted(self, tree: Node, point: Path) -> None:
        """The root of a file system that shows there, with what holds beneath it."""
        try:
            descriptor = opened(point)
        except OSError:
            return  # covered by another mount, or of no name any more
        here, beneath = held_at(tree, str(point))
        node = self.number(str(point))
        mark = Mark(is_node=True, here=bits(here), beneath=bits(beneath), node=node)
        self._note(descriptor, mark)

    def spoken(self, node: Node, path: str, directory: int) -> None:
        """The names below `path`, which `directory` is a descriptor of."""
        number = 0
        for name, child in sorted(node.children.items()):
            below = f"{path.rstrip('/')}/{name}"
            if len(os.fsencode(name)) >= NAME_BYTES:
                raise LaunchError(f"{below}: a name of {NAME_BYTES} bytes or more has no mark")
            if not number:
                number = self.number(path)
                self._note(os.dup(directory), Mark(directory=number))
            inner = _worst(child)
            told = self.number(below)
            by_name = Mark(is_node=True, spoken=True, node=told)
            named = KEY.pack(number, os.fsencode(name))
            self.by_name[named] = replace(
                by_name, here=bits(inner.here), beneath=bits(inner.beneath)
            )
            try:
                descriptor = opened(Path(name), directory)
            except OSError:
                continue
            mark = replace(
                by_name,
                here=bits(child.here),
                beneath=bits(child.beneath),
                own=bits(child.here) | _OF_NAMES,
                named=told,
            )
            key = self._note(descriptor, mark)
            self.spoken(child, below, self.objects[key].descriptor)

    def there(self, tree: Node, root: Path) -> None:
        """Every object in the run's own file system, for all names that it has."""
        device = root.stat().st_dev
        for directory, names, files in os.walk(root):
            for name in (*names, *files):
                path = Path(directory, name)
                if path.lstat().st_dev != device:
                    continue
                kinds = bits(tree.permitted(str(path))) | _OF_NAMES
                if kinds != ALL:
                    mark = Mark(own=kinds, named=self.number(str(path)))
                    self._note(opened(path), mark)

    def programs(self, tree: Node, paths: Iterable[Path]) -> None:
        """Those that a run begins with are run whatever the policy says; the first one is what
        confinement begins with.
        """
        for place, path in enumerate(paths):
            if path.exists():
                here, beneath = map(bits, held_at(tree, str(path)))
                node = Mark(is_node=True, here=here, beneath=beneath, node=self.number(str(path)))
                key = self._note(opened(path), node)
                found = self.objects[key]
                mark = replace(
                    found.mark,
                    here=found.mark.here | _RUN,
                    own=found.mark.own | _RUN,
                    is_gate=place == 0,
                )
                self.objects[key] = replace(found, mark=mark)

    def _note(self, descriptor: int, mark: Mark) -> tuple[int, int]:
        """A mark beside what is known of the object; one mark that is a node stays."""
        key = _key(descriptor)
        known = self.objects.get(key)
        if known is None:
            self.objects[key] = Found(descriptor, mark)
            return key
        os.close(descriptor)
        old = known.mark
        # A rule's own word goes before what holds for a whole file system.
        first, other = (mark, old) if mark.spoken and not old.spoken else (old, mark)
        if not first.is_node:
            first, other = other, first
        own = old.own & mark.own
        merged = replace(
            first,
            own=own,
            named=mark.named if own != old.own else old.named,
            directory=old.directory or mark.directory,
        )
        self.objects[key] = replace(known, mark=merged)
        return key


def opened(path: Path, directory: int | None = None) -> int:
    """A descriptor of the object itself, whatever it is. Raises OSError."""
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def held_at(tree: Node, path: str) -> tuple[frozenset[Access], frozenset[Access]]:
    """What is permitted at a name, and beneath it."""
    node = tree
    for part in path.strip("/").split("/"):
        if part and part not in node.children:
            return node.beneath, node.beneath
        if part:
            node = node.children[part]
    return node.here, node.beneath


def _worst(node: Node) -> Node:
    """What is permitted at a name and all that are spoken of beneath it: where nothing is yet,
    what comes later is not told apart.
    """
    if not node.children:
        return node
    inner = [_worst(child) for child in node.children.values()]
    beneath = node.beneath.intersection(*(each.here & each.beneath for each in inner))
    return Node(here=node.here & beneath, beneath=beneath)


def _key(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
