"""Tracers with other handlers for some calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enforcer.mechanisms.ptrace.dispatch import Dispatch, Entries
from enforcer.mechanisms.ptrace.held import Handler


def exchanged(table: Dispatch, handlers: Mapping[str, Handler]) -> Dispatch:
    """A tracer's table with the handlers of these calls in place of its own."""

    def instead(of: Callable[[str], Handler]) -> Callable[[str], Handler]:
        return lambda name: handlers[name] if name in handlers else of(name)

    return {arch: Entries(entries.abi, instead(entries.of)) for arch, entries in table.items()}
