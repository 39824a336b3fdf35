"""What confines the target in a run, by name: a mechanism of ours, or a leaky enforcer.

Imported on first use, because a guest has only what its mechanism needs.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    Mechanism,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.policy.ast import Policy

LEAKY_PREFIX = "leaky-"


class UnknownBackend(Exception):
    """No backend has this name."""


class Backend(Protocol):
    """One way of confining a target. `weakness` says what is wrong with a leaky one."""

    @property
    def name(self) -> str: ...

    @property
    def mechanism(self) -> str: ...

    @property
    def leaky(self) -> bool: ...

    @property
    def weakness(self) -> str: ...

    def probe(self) -> tuple[Missing, ...]: ...

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]: ...

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan: ...

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn: ...


@dataclass(frozen=True)
class Ours:
    """One of our mechanisms, by default with every defence on."""

    name: str
    options: Options = field(default_factory=Options)
    leaky: bool = False
    weakness: str = ""

    @property
    def mechanism(self) -> str:
        return self.name

    def probe(self) -> tuple[Missing, ...]:
        return mechanism(self.name).probe()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return mechanism(self.name).cover(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
        """Raises Inexpressible for a rule of which nothing is enforced.

        A rule that is enforced in part is run: what the part is worth, the oracle sees.
        """
        try:
            return mechanism(self.name).compile(policies, abis, self.options)
        except Inexpressible as error:
            if any(cover.extent is Extent.NONE for cover in error.covers):
                raise
            return mechanism(self.name).compile(policies, abis, replace(self.options, partial=True))

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        mechanism(self.name).launch(plan, command, log)


def mechanism(name: str) -> Mechanism:
    """The mechanism's instance. Raises UnknownBackend."""
    if name not in list(MechanismName):
        raise UnknownBackend(name)
    found: Mechanism = importlib.import_module(f"enforcer.mechanisms.{name}").MECHANISM
    return found


def names() -> tuple[str, ...]:
    """Every backend, ours first."""
    return (*(name.value for name in MechanismName), *leaky_names())


@functools.cache
def leaky_names() -> tuple[str, ...]:
    """The deliberately weak enforcers, one module each."""
    package = importlib.import_module("harness.backends.leaky")
    modules = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    return tuple(LEAKY_PREFIX + module.replace("_", "-") for module in modules)


@functools.cache
def backend(name: str) -> Backend:
    """The backend of this name. Raises UnknownBackend."""
    if name in list(MechanismName):
        return Ours(name)
    if name not in leaky_names():
        raise UnknownBackend(name)
    module = name.removeprefix(LEAKY_PREFIX).replace("-", "_")
    found: Backend = importlib.import_module(f"harness.backends.leaky.{module}").BACKEND
    return found
