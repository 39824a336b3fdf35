"""Which of several policies is for which binary.

A policy's binary counts under the name that it is written with and under the one that this name
leads to (`/bin/ls` is `/usr/bin/ls`), looked up once: what a target does to links later on changes
no policy's binary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from enforcer.policy.ast import Policy


class Binaries:
    """The places of policies in their sequence, by binary."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._places: dict[str, int] = {}
        self._for_any: int | None = None
        for place, policy in enumerate(policies):
            if policy.binary is not None:
                self._places.setdefault(policy.binary, place)
            elif self._for_any is None:
                self._for_any = place
        for place, policy in enumerate(policies):
            if policy.binary is not None:
                self._places.setdefault(os.path.realpath(policy.binary), place)

    def place(self, name: str) -> int | None:
        """The policy for the binary of this canonical name, else the first that is for any."""
        return self._places.get(name, self._for_any)

    def place_of_command(self, path: str) -> int | None:
        """The same for a path as a user writes it."""
        return self._places.get(path, self.place(os.path.realpath(path)))
