"""What mechanisms that are switched on outside of their target do alike: begin, become, witness."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn, cast

from enforcer.events import EventKind, EventLog
from enforcer.kernel.credentials import become
from enforcer.kernel.prctl import permit_dumping
from enforcer.mechanisms.contract import Plan
from enforcer.mechanisms.preparing import Event, Met, Stage


def told_start(plan: Plan, command: Sequence[str], log: EventLog) -> None:
    """The line that a log begins with: what is run, and what of the policy is not kept."""
    log.emit(
        EventKind.START,
        mechanism=plan.mechanism,
        command=list(command),
        inexpressible=plan.data["inexpressible"],
    )


def begin(plan: Plan, path: str, command: Sequence[str], log: EventLog) -> NoReturn:
    """Say so, and execute `command`, whose program is `path`. Raises OSError."""
    told_start(plan, command, log)
    os.execv(path, list(command))


def with_target(plan: Plan, stage: Stage, **more: object) -> Plan:
    """The plan, with who the target is, for a launcher that begins with the run's privilege."""
    return replace(plan, data={**plan.data, "uid": stage.uid, "gid": stage.gid, **more})


def become_target(plan: Plan, holds: Collection[int] = ()) -> None:
    """Give up that privilege but for the capabilities `holds`. Raises OSError."""
    become(cast("int", plan.data["uid"]), cast("int", plan.data["gid"]), holds)
    permit_dumping()


def unwitnessed(missing: str) -> tuple[Event, ...]:
    """It was looked at, and this is not seen."""
    return ({"event": EventKind.START.value, "unwitnessed": missing},)


def enforcing(plan: Plan, met: Met, evidence: Mapping[str, object]) -> tuple[Event, ...]:
    """It is on, by this evidence."""
    return (
        {
            "event": EventKind.ENFORCING.value,
            "mechanism": plan.mechanism,
            "target": met.pid,
            "witness": dict(evidence),
        },
    )
