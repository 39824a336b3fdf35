"""From a tree of names to TOMOYO's groups of names and the rules of one domain, which permit
exactly that.

A directory's name ends with `/`. File systems whose files cannot be renamed have names of their
own (`proc:/self/status`), and on an overlay each open is judged a second time by the name in the
layer below (tomoyo_realpath_from_path in security/tomoyo/realpath.c, measured from 6.12 on).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from enforcer.access.kinds import Access
from enforcer.access.tree import Node

DOMAIN = "<kernel> /interposition-lab"
PROFILE = 3
KEPT = (
    *("execute", "open", "create", "unlink", "getattr", "mkdir", "rmdir", "mkfifo", "mksock"),
    *("truncate", "symlink", "link", "rename", "chmod", "chown", "chgrp"),
)
"""What of TOMOYO's functions on files is switched on; the rest is permitted."""
_GROUP = "LAB-"
_OWN_NAMES = {"/proc": "proc:", "/dev/pts": "devpts:"}
_LAYERS = ("erofs:", "tmpfs:/data")
_NAMELESS = ("pipe:", "socket:", "anon_inode:", "tmpfs:/memfd:", "mqueue:", "nsfs:", "pidfd:")
_ANY = "0-4294967295"
_RULES = {
    Access.LOOK: ("getattr {0}",),
    Access.READ: ("read {0}",),
    Access.WRITE: ("write {0}", "append {0}", "truncate {0}", "create {0} 0-07777"),
    Access.CREATE: ("mkdir {0} 0-07777", "mkfifo {0} 0-07777", "mksock {0} 0-07777", "symlink {0}"),
    Access.REMOVE: ("unlink {0}", "rmdir {0}"),
    Access.CHANGE: ("chmod {0} 0-07777", f"chown {{0}} {_ANY}", f"chgrp {{0}} {_ANY}"),
    Access.EXECUTE: ("execute {0}",),
}
_BY_TWO = (
    ("rename", Access.REMOVE, Access.CREATE),
    ("link", Access.WRITE, Access.CREATE),
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """Lines of the exception policy, and those of the domain."""

    groups: tuple[str, ...]
    rules: tuple[str, ...]


def told(tree: Node, programs: Iterable[Path]) -> Told:
    """What permits the tree, and to execute and read `programs` besides."""
    groups: list[str] = []
    for pattern, kinds in _patterns(tree, "", "/"):
        groups += [f"path_group {_group(kind)} {pattern}" for kind in sorted(kinds)]
    rules = [f"file {rule.format(f'@{_group(kind)}')}" for kind in Access for rule in _RULES[kind]]
    rules += [f"file {what} @{_group(one)} @{_group(other)}" for what, one, other in _BY_TWO]
    for path in programs:
        name = _encoded(str(path))
        rules += [f"file {act} {spelled}" for spelled in _layered(name) for act in _BEGIN]
    return Told(
        groups=(*groups, f"keep_domain any from {DOMAIN}"),
        rules=(f"use_profile {PROFILE}", "use_group 0", *rules),
    )


_BEGIN = ("execute", "read", "getattr")


def profiles() -> str:
    """The profile of the domain, and that of everybody else, for whom TOMOYO is off."""
    lines = ["PROFILE_VERSION=20150505"]
    off, on = (
        "mode=disabled grant_log=no reject_log=no",
        "mode=enforcing grant_log=no reject_log=yes",
    )
    for number in (0, PROFILE):
        lines.append(f"{number}-PREFERENCE={{ max_audit_log=1024 max_learning_entry=2048 }}")
        lines.append(f"{number}-CONFIG={{ {off} }}")
    lines += [f"{PROFILE}-CONFIG::file::{function}={{ {on} }}" for function in KEPT]
    return "\n".join(lines) + "\n"


def _group(kind: Access) -> str:
    return f"{_GROUP}{kind.upper()}"


def _patterns(node: Node, name: str, path: str) -> Iterator[tuple[str, frozenset[Access]]]:
    """Each pattern with what is permitted for its names. `name` is the encoded name of the node,
    empty for the root, `path` the same as the policy writes it.
    """
    here = (name, f"{name}/") if name else ("/",)
    others = "\\?\\*" + "".join(f"\\-{_encoded(child)}" for child in sorted(node.children))
    beneath = [
        f"{name}/{others}{end}" for end in ("", "/", "/\\*", "/\\{\\*\\}/", "/\\{\\*\\}/\\*")
    ]
    for patterns, kinds in ((here, node.here), (beneath, node.beneath)):
        for pattern in patterns:
            yield from ((spelled, kinds) for spelled in _layered(pattern))
    own = _OWN_NAMES.get(path)
    if own is not None:
        yield f"{own}/", node.here
        yield from ((own + pattern.removeprefix(name), node.beneath) for pattern in beneath)
    if not name:
        for special, where in _OWN_NAMES.items():
            if not _has(node, special):
                for end in ("/", "/\\*", "/\\{\\*\\}/", "/\\{\\*\\}/\\*"):
                    yield f"{where}{end}", node.permitted(f"{special}/x")
        yield from ((f"{nameless}\\*", frozenset(Access)) for nameless in _NAMELESS)
    for child, inner in sorted(node.children.items()):
        yield from _patterns(inner, f"{name}/{_encoded(child)}", f"{path.rstrip('/')}/{child}")


def _has(node: Node, path: str) -> bool:
    """Whether the tree has a node of this name."""
    for part in path.strip("/").split("/"):
        if part not in node.children:
            return False
        node = node.children[part]
    return True


def _layered(pattern: str) -> Iterator[str]:
    """The pattern, and what a file is called in the layers of the guest's root."""
    yield pattern
    yield from (layer + pattern for layer in _LAYERS)


def _encoded(text: str) -> str:
    """As TOMOYO writes names: `\\\\` for a backslash, octal for what is no printable ASCII."""
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03o}"
        for byte in text.encode()
    )
