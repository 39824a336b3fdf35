"""Which of several policies is for which binary.

A policy's binary counts under the name that it is written with and under the one that this name
leads to (`/bin/ls` is `/usr/bin/ls`), looked up once: what a target does to links later on changes
no policy's binary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from enforcer.policy.ast import Policy
from enforcer.supervision.scripts import interpreter_of


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

    def place(self, *names: str) -> int | None:
        """The policy for the binary of the first canonical name that has one, else that for any."""
        known = (self._places[name] for name in names if name in self._places)
        return next(known, self._for_any)

    def exact(self, binary: str) -> int | None:
        """The policy that is for this binary alone."""
        return self._places.get(binary)

    def add(self, binary: str, place: int) -> None:
        """A policy came later."""
        self._places.setdefault(binary, place)
        self._places.setdefault(os.path.realpath(binary), place)

    def place_of_command(self, path: str) -> int | None:
        """The same for a path as a user writes it; a script may come under its interpreter's."""
        real = os.path.realpath(path)
        program = interpreter_of(real)
        others = () if program is None else (program, os.path.realpath(program))
        return self.place(path, real, *others)
