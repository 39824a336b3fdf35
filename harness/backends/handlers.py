"""Tracers with other handlers for some calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from enforcer.mechanisms.ptrace.dispatch import Entry, Handler

Table = Mapping[int, Mapping[int, Entry]]


def exchanged(table: Table, handlers: Mapping[str, Handler]) -> Table:
    """A tracer's table with the handlers of these calls in place of its own."""
    return {
        arch: {
            number: replace(entry, handler=handlers.get(entry.name, entry.handler))
            for number, entry in entries.items()
        }
        for arch, entries in table.items()
    }
