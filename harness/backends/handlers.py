"""Tracers with other handlers for some calls."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.mechanisms.ptrace.dispatch import Dispatch
from enforcer.mechanisms.ptrace.held import Handler


def exchanged(table: Dispatch, handlers: Mapping[str, Handler]) -> Dispatch:
    """A tracer's table with the handlers of these calls in place of its own."""
    return {
        arch: {
            number: entry._replace(handler=handlers.get(entry.name, entry.handler))
            for number, entry in entries.items()
        }
        for arch, entries in table.items()
    }
