"""systemd's sets of calls (@system-service...), asked from the systemd of this machine.

They change with systemd's version, so that a copy here would be another systemd's. This is the one
module of the enforcer that starts a program.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache

_COMMAND = ("systemd-analyze", "syscall-filter", "--no-pager")
_PATIENCE_S = 20


@cache
def call_sets() -> Mapping[str, tuple[str, ...]]:
    """Every set with the calls and sets in it; empty where this machine has no systemd-analyze."""
    try:
        done = subprocess.run(
            _COMMAND, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_call_sets(done.stdout) if done.returncode == 0 else {}


def parse_call_sets(text: str) -> Mapping[str, tuple[str, ...]]:
    """The sets in what `systemd-analyze syscall-filter` prints."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = found.setdefault(word, [])
        elif not line.strip():
            current = []
        elif line[0].isspace() and not word.startswith("#"):
            current.append(word)
        elif not line[0].isspace():
            current = []
    return {name: tuple(calls) for name, calls in found.items()}


def members(name: str, sets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The calls of a set, those of the sets in it too. KeyError for a set that is not there."""
    found: dict[str, None] = {}
    waiting, seen = [name], {name}
    while waiting:
        for each in sets[waiting.pop()]:
            if not each.startswith("@"):
                found[each] = None
            elif each not in seen:
                seen.add(each)
                waiting.append(each)
    return tuple(found)
