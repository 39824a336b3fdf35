"""What a policy says of names and ports, as Landlock's configuration or AppArmor's profile.

What stands there is what the mechanisms of these names tell the kernel, and what is lost is what
they cannot cover. Format: schema/landlockconfig.json of landlockconfig; apparmor.d(5).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from enforcer.access.mediation import judge
from enforcer.access.places import Shape
from enforcer.arch import native
from enforcer.exports.rows import Export
from enforcer.kernel.landlock import RIGHTS_OF_FILES, FileRight, NetRight, Scope
from enforcer.mechanisms.apparmor import MECHANISM as APPARMOR
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.mechanisms.landlock import MECHANISM as LANDLOCK
from enforcer.mechanisms.landlock import layer_of
from enforcer.mechanisms.landlock.layer import Layer
from enforcer.policy.ast import Policy

_UNSAID = FileRight.RESOLVE_UNIX
"""The format has no word for it yet."""
_Document = dict[str, list[dict[str, list[str] | list[int]]]]
_TOML_NAMES: Mapping[str, str] = {
    "handledAccessFs": "handled_access_fs",
    "handledAccessNet": "handled_access_net",
    "pathBeneath": "path_beneath",
    "netPort": "net_port",
    "allowedAccess": "allowed_access",
}


def uncovered(policy: Policy, covers: Iterable[Cover]) -> list[str]:
    """One line for each rule that is not kept in full."""
    found = []
    for cover in covers:
        if cover.extent is Extent.FULL:
            continue
        what = "default"
        if cover.rule is not None:
            what = policy.rules[cover.rule].place or f"rule {cover.rule + 1}"
        errs = f", {cover.errs}" if cover.errs else ""
        found.append(f"{what}: {cover.extent}{errs}: {cover.reason}")
    return found


def landlock_json(policy: Policy) -> Export:
    """Raises ValueError for a policy of which Landlock keeps nothing."""
    document, lost = _landlock(policy)
    return Export(content=(json.dumps(document, indent=2) + "\n").encode(), lost=lost)


def landlock_toml(policy: Policy) -> Export:
    """Raises ValueError for a policy of which Landlock keeps nothing."""
    document, lost = _landlock(policy)
    return Export(content="\n".join(_toml(document)).encode(), lost=lost)


def apparmor(policy: Policy) -> Export:
    """A profile of the name that `aa-exec -p` takes."""
    tree, covers = judge(policy, native().abis, APPARMOR.says)
    text = APPARMOR.told(tree, ())
    return Export(content=text.encode(), lost=tuple(uncovered(policy, covers)))


def _landlock(policy: Policy) -> tuple[_Document, tuple[str, ...]]:
    layer = layer_of(policy, native().abis)
    lost = uncovered(policy, LANDLOCK.cover(policy, native().abis))
    if layer.files & _UNSAID:
        lost.append("connecting to Unix sockets by name: the format has no word for that right")
    handled = layer.files & ~_UNSAID
    named: Mapping[str, FileRight | NetRight | Scope] = {
        "handledAccessFs": handled,
        "handledAccessNet": layer.net,
        "scoped": layer.scope,
    }
    ruleset = {key: _words(flags) for key, flags in named.items() if flags}
    if not ruleset:
        raise ValueError("Landlock keeps nothing of it:\n" + "\n".join(lost))
    document: _Document = {"ruleset": [cast("dict[str, list[str] | list[int]]", ruleset)]}
    beneath = list(_beneath(layer, handled, lost))
    if beneath:
        document["pathBeneath"] = beneath
    if layer.ports:
        document["netPort"] = [
            {"allowedAccess": _words(right), "port": [port]} for port, right in layer.ports
        ]
    return document, tuple(dict.fromkeys(lost))


def _beneath(
    layer: Layer, handled: FileRight, lost: list[str]
) -> Iterator[dict[str, list[str] | list[int]]]:
    """One entry for all places with the same rights.

    The format permits whole hierarchies, so that the bare name of a directory is left out, and what
    only a directory can have with the name of a file.
    """
    alike: dict[FileRight, list[str]] = {}
    for path, shape, granted in layer.places:
        rights = granted & handled
        if shape == Shape.EXACT:
            if Path(path).is_dir():
                lost.append(f"{path}: a directory without what is in it cannot be permitted")
                continue
            rights &= RIGHTS_OF_FILES
        if rights:
            alike.setdefault(rights, []).append(os.fspath(path))
    for rights, paths in alike.items():
        yield {"allowedAccess": _words(rights), "parent": paths}


def _words(flags: FileRight | NetRight | Scope) -> list[str]:
    return [str(flag.name).lower() for flag in flags]


def _toml(document: _Document) -> Iterator[str]:
    for key, tables in document.items():
        for table in tables:
            yield f"[[{_TOML_NAMES.get(key, key)}]]"
            # A list of JSON's strings and numbers is one of TOML's.
            yield from (
                f"{_TOML_NAMES.get(name, name)} = {json.dumps(value)}"
                for name, value in table.items()
            )
            yield ""
