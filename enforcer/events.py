"""The event log: what an enforcer did, one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from enum import StrEnum
from typing import Protocol


class EventKind(StrEnum):
    """What an event says.

    START: the enforcer's description (backend, defences, features). ENFORCING: the witness, with
    the evidence that enforcement is on. DECISION: one decision (denials, kills and rules with
    `log`). DETECTION: an interference was noticed (verify, lost task, unknown ABI).
    END: the supervisor saw the last task end; `decisions` counts what it decided, `judged` the
    calls that it held and judged, by name.

    An enforcer that kills says so first, and names the call: a decision or a detection with the
    action `kill` stands in the log before the signal is sent.
    """

    START = "start"
    ENFORCING = "enforcing"
    DECISION = "decision"
    DETECTION = "detection"
    END = "end"


class EventLog(Protocol):
    """Where events go."""

    def emit(self, kind: EventKind, **fields: object) -> None:
        """Append one event; `fields` are JSON values."""
        ...


class FileLog:
    """Events appended to a descriptor, one write each, so that writers never mix within a line."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def emit(self, kind: EventKind, **fields: object) -> None:
        record = {"event": kind.value, "time": round(time.time(), 6), **fields}
        os.write(self.fd, json.dumps(record, ensure_ascii=True).encode("ascii") + b"\n")


class NullLog:
    """Events thrown away."""

    def emit(self, kind: EventKind, **fields: object) -> None:
        return None
