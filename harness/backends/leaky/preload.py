"""An enforcer in the target's own C library, where LD_PRELOAD puts it (sudo's noexec, libnetblock).

CVE-2016-7032; programs without that library, or that are run without the variable, are free.
"""

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
from enforcer.mechanisms.notify import MECHANISM
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import execute
from harness import process
from harness.backends.handles import denied_names
from harness.backends.weak import Leaky

SOURCE = Path(__file__).with_suffix(".c")


class _Preload(Control):
    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The library, and the first name that is denied. Raises Inexpressible, LaunchError."""
        if abis[0].name != native().abis[0].name:
            reason = "the library is compiled for the machine that it is compiled on"
            raise Inexpressible(
                [Cover(rule=None, extent=Extent.NONE, reason=reason, elsewhere=True)]
            )
        denied = [name for policy in policies for name in denied_names(policy)]
        data = {"library": _library(), "denied": denied[0] if denied else ""}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Execute the command with the library before its own. Raises OSError."""
        library = os.memfd_create("preload", 0)
        os.write(library, base64.b64decode(str(plan.data["library"])))
        os.environ["LD_PRELOAD"] = f"/proc/self/fd/{library}"
        os.environ["PRELOAD_DENIED"] = str(plan.data["denied"])
        log.emit(EventKind.ENFORCING, mechanism=self.name, pid=os.getpid(), preload=str(SOURCE))
        execute(command)


def _library() -> str:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "preload.so"
        compiler = os.environ.get("CC", "cc")
        done = process.run([compiler, "-O2", "-shared", "-fPIC", "-o", output, SOURCE])
        if done.status != 0:
            raise LaunchError(done.describe())
        return base64.b64encode(output.read_bytes()).decode("ascii")


BACKEND = Leaky(
    name="leaky-preload",
    weakness="enforces in a library that the target may leave out",
    enforcer=_Preload(),
    repaired=MECHANISM,
)
