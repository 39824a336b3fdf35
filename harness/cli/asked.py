"""The options that select cases of `harness run`: what a resumed campaign goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.cases import EVERY_LEAKY
from harness.cli import UserError
from harness.places.choice import Driver, Wish


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options that select cases: what a resumed campaign goes on with."""

    wanted: tuple[str, ...]
    arches: tuple[str, ...]
    kernels: tuple[str, ...]
    driver: str | None
    abis: tuple[str, ...]
    cpus: int
    root: str | None
    keywords: tuple[str, ...]
    attempts: int | None
    quick: bool
    suite: str | None = None
    all_ways: bool = False

    def as_suite(self) -> Asked:
        """With what the suite selects, if there is one. Raises UserError."""
        if self.suite is None:
            return self
        if self.wanted:
            raise UserError("--suite mutation runs the leaky backends: leave --backend out")
        return replace(self, wanted=(EVERY_LEAKY,), quick=True)

    @classmethod
    def quickly(cls) -> Asked:
        """A quick run of everything on this machine."""
        none: tuple[str, ...] = ()
        return cls(
            wanted=none,
            arches=none,
            kernels=none,
            driver=Driver.NONE.value,
            abis=none,
            cpus=2,
            root=None,
            keywords=none,
            attempts=None,
            quick=True,
        )

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Asked:
        """From click's values, or from the JSON of a stored campaign."""
        listed = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**listed)  # type: ignore[arg-type]

    def wish(self) -> Wish:
        return Wish(
            arches=self.arches,
            kernels=self.kernels,
            driver=Driver(self.driver) if self.driver else None,
            abis=self.abis,
            cpus=self.cpus,
            root=self.root,
        )
