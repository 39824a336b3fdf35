"""From a tree of names to the text of an AppArmor profile that permits exactly that: apparmor.d(5).

Nothing is denied by a rule: AppArmor's denials beat whatever permits something within them, and
are silent. Instead what is permitted is enumerated, "all but these names" letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from enforcer.access.kinds import Access
from enforcer.access.tree import Node

PROFILE = "interposition-lab"
_BESIDE_FILES = (
    "capability",
    "network",
    "mount",
    "remount",
    "umount",
    "pivot_root",
    "signal",
    "ptrace",
    "unix",
    "mqueue",
    "io_uring",
    "userns",
)
"""What policies say nothing of that AppArmor could keep."""
_SPECIAL = frozenset('\\*?[]{}^"@,!#')


def profile(tree: Node, programs: Iterable[Path]) -> str:
    """The profile; `programs` may be executed and read besides."""
    rules = [f"  {each}," for each in _BESIDE_FILES]
    # Who could load policies would be confined by his own.
    rules.append("  deny capability mac_admin,")
    rules += [f'  "{_literal(str(path))}" {_granted(_RUN)},' for path in programs]
    for pattern, kinds in _patterns(tree, ""):
        permissions = _granted(kinds)
        if permissions:
            rules.append(f'  "{pattern}" {permissions},')
    flags = "flags=(attach_disconnected)"
    return "\n".join((f"profile {PROFILE} {flags} {{", *rules, "}", ""))


_RUN = frozenset({Access.READ, Access.EXECUTE})


def _granted(kinds: frozenset[Access]) -> str:
    """The letters for kinds of access; looking needs none, and cannot be refused."""
    letters = ""
    if Access.READ in kinds:
        letters += "mr"
    if Access.WRITE in kinds:
        letters += "wl"
    if letters:
        letters += "k"
    if Access.EXECUTE in kinds:
        letters += "ix"
    return letters


def _patterns(node: Node, path: str) -> Iterator[tuple[str, frozenset[Access]]]:
    """Each pattern with what is permitted for its names; no two fit the same name.

    `path` is the escaped name of the node, empty for the root. A directory's name ends with `/`.
    """
    yield (f"{path}{{,/}}" if path else "/"), node.here
    for name in _others(sorted(node.children)):
        yield f"{path}/{name}", node.beneath
    for name, child in sorted(node.children.items()):
        yield from _patterns(child, f"{path}/{_literal(name)}")


def _others(names: list[str]) -> Iterator[str]:
    """Patterns for every name, with all beneath it, whose first part is none of `names`."""
    if not names:
        yield "?**"
        return
    beginnings = sorted({name[:length] for name in names for length in range(len(name) + 1)})
    for begun in beginnings:
        nexts = {name[len(begun)] for name in names if name != begun and name.startswith(begun)}
        yield f"{_literal(begun)}[^{''.join(map(_in_class, sorted(nexts)))}/]**"
        if begun and begun not in names:
            yield f"{_literal(begun)}{{,/**}}"


def _literal(text: str) -> str:
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in text)


def _in_class(character: str) -> str:
    return f"\\{character}" if character in '\\]^-"' else character
