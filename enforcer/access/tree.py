"""Where a policy permits which kinds of access, as a tree of names: what security modules are told.

Of all nodes above a name the nearest decides, so that a tree says as much as the ordered rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from enforcer.access.kinds import Access, Reaches
from enforcer.access.places import Place, Shape


@dataclass(frozen=True, kw_only=True)
class Node:
    """One name: what is permitted `here`, and `beneath` it wherever no child says otherwise."""

    here: frozenset[Access]
    beneath: frozenset[Access]
    children: Mapping[str, Node] = field(default_factory=dict)

    def permitted(self, path: str) -> frozenset[Access]:
        """What is permitted at a canonical name."""
        node = self
        for part in path.strip("/").split("/"):
            if not part:
                break
            if part not in node.children:
                return node.beneath
            node = node.children[part]
        return node.here

    def walk(self, path: str = "/") -> Iterator[tuple[str, Node]]:
        """Every node with its name, those above first."""
        yield path, self
        for name, child in sorted(self.children.items()):
            yield from child.walk(f"{path.rstrip('/')}/{name}")

    def to_json(self) -> dict[str, object]:
        return {
            "here": sorted(self.here),
            "beneath": sorted(self.beneath),
            "children": {name: child.to_json() for name, child in self.children.items()},
        }


def node_from_json(data: object) -> Node:
    """The node that `to_json` wrote."""
    found = cast("Mapping[str, object]", data)
    children = cast("Mapping[str, object]", found["children"])
    return Node(
        here=frozenset(map(Access, cast("Collection[str]", found["here"]))),
        beneath=frozenset(map(Access, cast("Collection[str]", found["beneath"]))),
        children={name: node_from_json(child) for name, child in children.items()},
    )


def tree_of(where: Reaches) -> Node:
    """The tree of all names that a policy speaks of; the root's is always there."""
    return _grown("/", sorted(_parts(path) for path in where.paths()), 0, where, None)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(filter(None, path.split("/")))


def _grown(
    path: str,
    below: list[tuple[str, ...]],
    depth: int,
    where: Reaches,
    above: frozenset[Access] | None,
) -> Node:
    """The node of `path`, with `below` the parts of every path from there on that is spoken of."""
    spoken = any(len(parts) == depth for parts in below)
    if spoken or above is None:
        here = where.permitted(Place(path, Shape.EXACT))
        beneath = where.permitted(Place(path, Shape.BENEATH))
    else:
        here = beneath = above
    further: dict[str, list[tuple[str, ...]]] = {}
    for parts in below:
        if len(parts) > depth:
            further.setdefault(parts[depth], []).append(parts)
    children = {
        name: _grown(f"{path.rstrip('/')}/{name}", found, depth + 1, where, beneath)
        for name, found in further.items()
    }
    return Node(here=here, beneath=beneath, children=children)
