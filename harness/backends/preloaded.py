"""Enforcers in the target's own C library, where LD_PRELOAD puts them."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from enforcer.arch import native
from enforcer.arch.record import Abi
from enforcer.events import EventKind, EventLog
from enforcer.mechanisms.contract import Cover, Extent, Inexpressible, LaunchError, Options, Plan
from enforcer.mechanisms.none import Control
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import execute
from harness import process
from harness.backends.handles import denied_names


class Preloaded(Control):
    """The library compiled of `source`, for any machine or for the one that it is written for."""

    source: Path
    machine: str | None = None

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The library, and the first name that is denied. Raises Inexpressible, LaunchError."""
        here = native().abis[0].name
        if abis[0].name != here or self.machine not in (None, here):
            reason = "the library is compiled for the machine that it is compiled on"
            raise Inexpressible(
                [Cover(rule=None, extent=Extent.NONE, reason=reason, elsewhere=True)]
            )
        denied = [name for policy in policies for name in denied_names(policy)]
        data = {"library": _library(self.source), "denied": denied[0] if denied else ""}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Execute the command with the library before its own. Raises OSError."""
        library = os.memfd_create("preload", 0)
        os.write(library, base64.b64decode(str(plan.data["library"])))
        os.environ["LD_PRELOAD"] = f"/proc/self/fd/{library}"
        os.environ["PRELOAD_DENIED"] = str(plan.data["denied"])
        log.emit(
            EventKind.ENFORCING, mechanism=self.name, pid=os.getpid(), preload=str(self.source)
        )
        execute(command)


def _library(source: Path) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "preload.so"
        compiler = os.environ.get("CC", "cc")
        done = process.run([compiler, "-O2", "-shared", "-fPIC", "-o", output, source])
        if done.status != 0:
            raise LaunchError(done.describe())
        return base64.b64encode(output.read_bytes()).decode("ascii")
