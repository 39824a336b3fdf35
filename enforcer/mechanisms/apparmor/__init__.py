"""AppArmor: a profile of permitted names, loaded into the kernel for one run and one target.

What is not permitted is refused and logged. Names are judged, so a hard link or a bind mount from
before gives a permitted name to a denied object (catalogue B8, B9).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from enforcer.access.kinds import Access
from enforcer.access.mediation import Mediation
from enforcer.access.tree import Node
from enforcer.kernel import kernel_log, namespaces, procfs
from enforcer.mechanisms.apparmor.profile import PROFILE, profile
from enforcer.mechanisms.apparmor.records import CALLS, refusals
from enforcer.mechanisms.contract import Plan, PreparedName
from enforcer.mechanisms.preparing import Event, Needs, Run, Stage
from enforcer.mechanisms.security_module import (
    SecurityModule,
    descriptor_of,
    programs_of,
    tree_of_plan,
)

FEATURES = Path("/sys/kernel/security/apparmor/features")
CHANGES = frozenset({Access.WRITE, Access.CREATE, Access.REMOVE, Access.CHANGE})


class AppArmor(SecurityModule):
    """The mechanism."""

    name = PreparedName.APPARMOR
    needs = Needs(machine=True, lsm=("apparmor",), packages={"debian": "apparmor"})
    says = Mediation(
        calls=frozenset().union(*CALLS.values()),
        refusals=frozenset({errno.EACCES}),
        together=CHANGES,
        reads_to_execute=True,
    )
    confined = f"{PROFILE} (enforce)"

    def told(self, tree: Node, programs: Iterable[Path]) -> str:
        return profile(tree, programs)

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """The compiled profile in one write; removed at the end."""
        compiled = self._compiled(plan, stage, run)
        records = kernel_log.opened_at_end()
        try:
            with _directory(stage) as apparmor:
                (apparmor / ".replace").write_bytes(compiled)
            yield replace(plan, data={**plan.data, "records": records})
        finally:
            os.close(records)
            with _directory(stage) as apparmor:
                (apparmor / ".remove").write_bytes(PROFILE.encode())

    def foresee(self, plan: Plan, stage: Stage, run: Run) -> None:
        """The profile is compiled once for a case: in an emulated machine that takes longest."""
        self._compiled(plan, stage, run)

    def _compiled(self, plan: Plan, stage: Stage, run: Run) -> bytes:
        return compiled(self.told(tree_of_plan(plan), programs_of(stage)), run)

    def enter(self, plan: Plan) -> None:
        Path("/proc/self/attr/apparmor/exec").write_text(f"exec {PROFILE}", encoding="ascii")

    def confinement(self, plan: Plan, pid: int) -> str:
        return procfs.read(pid, "attr/apparmor/current").decode().strip()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        return tuple(refusals(kernel_log.audited(descriptor_of(plan, "records"))))


@functools.lru_cache(maxsize=1)
def compiled(text: str, run: Run) -> bytes:
    """A profile as this kernel's AppArmor wants it."""
    with tempfile.TemporaryDirectory() as directory:
        binary = Path(directory, "profile")
        # Without the kernel's own features rules that it knows are left out in silence.
        run(("apparmor_parser", "-Q", "-K", "-M", str(FEATURES), "-o", str(binary)), text)
        return binary.read_bytes()


@contextlib.contextmanager
def _directory(stage: Stage) -> Iterator[Path]:
    """The files that load profiles, writable, where no target is yet, or none any more."""
    mounted = stage.state / "securityfs"
    mounted.mkdir(exist_ok=True)
    namespaces.mount("securityfs", mounted, "securityfs")
    try:
        yield mounted / "apparmor"
    finally:
        namespaces.unmount(mounted)


MECHANISM = AppArmor()
