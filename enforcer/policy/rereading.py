"""Policies' files, read again when they change: see enforcer.supervision.rereading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from enforcer.policy.ast import Policy
from enforcer.policy.directory import Source
from enforcer.policy.problem import PolicyError
from enforcer.supervision.rereading import News

EVERY_S = 1.0
"""How often files are looked at; systrace did it every 30 s."""

TAKEN = "read again"
KEPT = "cannot be read again, the policy of before stays"
GONE = "is gone, its policy stays"

_Signature = tuple[int, int, int]


class Rereading:
    """What files were like when they were last looked at.

    `unfit` says why a policy cannot come into force under this mechanism; None: it can.
    """

    def __init__(self, data: Mapping[str, object], unfit: Callable[[Policy], str | None]) -> None:
        self._source = source_from_json(data)
        self._unfit = unfit
        self._known: Mapping[Path, _Signature] = {}
        self._known = self._signatures()
        self._next_s = time.monotonic() + EVERY_S

    def is_due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() >= self._next_s

    def news(self) -> Iterator[News]:
        """What has changed since the last look."""
        self._next_s = time.monotonic() + EVERY_S
        found = self._signatures()
        former, self._known = self._known, found
        for path in former.keys() - found.keys():
            yield News(path=path, problem=GONE)
        for path, signature in found.items():
            if former.get(path) != signature:
                yield self._read(path)

    def _read(self, path: Path) -> News:
        try:
            policies = self._source.load(path)
        except PolicyError as error:
            return News(path=path, problem=KEPT, detail=str(error))
        for policy in policies:
            reason = self._unfit(policy)
            if reason is not None:
                return News(path=path, problem=KEPT, detail=reason)
        return News(path=path, policies=policies)

    def _signatures(self) -> Mapping[Path, _Signature]:
        found: dict[Path, _Signature] = {}
        try:
            paths = self._source.paths()
        except OSError:
            return self._known
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                continue
            found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return found


def source_to_json(source: Source) -> dict[str, object]:
    """JSON values from which `source_from_json` makes an equal source."""
    return {
        "files": [str(path) for path in source.files],
        "directories": [str(path) for path in source.directories],
        "form": source.form,
        "has_aliases": source.has_aliases,
        "variables": dict(source.variables or {}),
    }


def source_from_json(data: Mapping[str, object]) -> Source:
    """The source."""
    files, directories, variables = data["files"], data["directories"], data["variables"]
    assert isinstance(files, list)
    assert isinstance(directories, list)
    assert isinstance(variables, Mapping)
    return Source(
        files=tuple(map(Path, files)),
        directories=tuple(map(Path, directories)),
        form=None if data["form"] is None else str(data["form"]),
        has_aliases=data["has_aliases"] is True,
        variables={str(name): str(text) for name, text in variables.items()},
    )
