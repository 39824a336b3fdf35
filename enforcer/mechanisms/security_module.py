"""What the kernel's security modules have in common as mechanisms.

They judge objects where the kernel acts on them, so that no argument can be raced; what is told to
them is a tree of names, and what they refuse stands in the kernel's log.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, NoReturn, cast

from enforcer.access.kinds import Access
from enforcer.access.mediation import Mediation, judge
from enforcer.access.tree import Node, node_from_json
from enforcer.access.uses import LINKS, OPENS
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel.execve import find_command
from enforcer.kernel.seccomp import no_new_privs
from enforcer.mechanisms.contract import Cover, Extent, Inexpressible, Missing, Options, Plan
from enforcer.mechanisms.frame import enforcing, told_start, unwitnessed
from enforcer.mechanisms.preparing import Event, Met, Needs, Run, Stage
from enforcer.policy.ast import Policy

# What a ring opens is opened by the call that submits it.
OPENING = frozenset({*OPENS, "creat", "open_by_handle_at", "uselib", "io_uring_enter"})
ON_NAMES: Mapping[str, frozenset[str]] = {
    "truncate": OPENING | {"truncate", "truncate64"},
    "mkdir": frozenset({"mkdir", "mkdirat"}),
    "symlink": frozenset({"symlink", "symlinkat"}),
    "link": frozenset(LINKS),
    "unlink": frozenset({"unlink", "unlinkat"}),
    "rmdir": frozenset({"rmdir", "unlinkat"}),
    "chmod": frozenset({"chmod", "fchmod", "fchmodat", "fchmodat2"}),
    "chown": frozenset(
        {"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32"}
    ),
}
"""The calls behind what modules call operations, where they call them the same; a file may be
emptied while it is opened, and changed through a descriptor (chmod_common of fs/open.c)."""
PROBED = (Access.READ, Access.WRITE, Access.EXECUTE)


class SecurityModule(ABC):
    """A mechanism of which a subclass says how the tree is told, and how a task is confined."""

    name: ClassVar[str]
    needs: ClassVar[Needs]
    says: ClassVar[Mediation]
    logs = True

    @property
    def refusals(self) -> frozenset[int]:
        """Whatever a module answers, capabilities are refused with EPERM, and a program that could
        not start another reports EACCES.
        """
        return self.says.refusals | {errno.EACCES, errno.EPERM}

    def probe(self) -> tuple[Missing, ...]:
        """Its `needs` are all that it has."""
        return ()

    def settle(self) -> None:
        """What is the same for every policy, where there is such."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on names in full or in part, others not at all."""
        return judge(policy, abis, self.says)[1]

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The tree of the one policy. Raises Inexpressible."""
        tree, found = judge(policies[0], abis, self.says)
        covers = list(found)
        if any(policy != policies[0] for policy in policies):
            reason = "it has one policy for all programs"
            covers.append(Cover(rule=None, extent=Extent.NONE, reason=reason))
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        if lacking and not options.partial:
            raise Inexpressible(lacking)
        return Plan(
            mechanism=self.name,
            machine=abis[0].name,
            data={
                "tree": tree.to_json(),
                "inexpressible": [
                    {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                    for c in lacking
                ],
            },
        )

    def describe(self, plan: Plan) -> str:
        """What it is told, but for the programs of a run."""
        return self.told(tree_of_plan(plan), ())

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """What the policy denies of the denied object."""
        tried = stage.tried
        denied = [kind for kind in PROBED if kind not in tree_of_plan(plan).permitted(str(tried))]
        if not os.access(tried, os.X_OK):
            denied = [kind for kind in denied if kind is not Access.EXECUTE]
        return tuple(f"{kind}:{tried}" for kind in denied)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Ask to be confined by the next execve, and execute."""
        path = find_command(command[0])
        told_start(plan, command, log)
        no_new_privs()
        self.enter(plan)
        os.execv(path, list(command))

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """What the kernel says that the waiting task is confined by, and what was refused to it.

        What the gate tried is no act of the program's: it is taken out of the log.
        """
        self.collect(plan, stage)
        found = "no process" if met.pid is None else self.confinement(plan, met.pid)
        let_through = [act for act, code in met.answers.items() if code not in self.refusals]
        missing = f"its confinement is {found}" if found != self.confined else ""
        missing = missing or ", ".join(f"{act} goes through" for act in let_through)
        if missing:
            return unwitnessed(missing)
        evidence = {act: errno.errorcode[code] for act, code in met.answers.items()}
        return enforcing(plan, met, {"confinement": found, **evidence})

    @property
    @abstractmethod
    def confined(self) -> str:
        """What `confinement` says of a task that is confined."""

    @abstractmethod
    def told(self, tree: Node, programs: Iterable[Path]) -> str:
        """The text that says the tree; `programs` are executed and read, whatever it says: without
        them nothing could be started.
        """

    @abstractmethod
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Load what `told` says."""

    @abstractmethod
    def enter(self, plan: Plan) -> None:
        """Ask the kernel to confine the caller from its next execve on. Raises OSError."""

    @abstractmethod
    def confinement(self, plan: Plan, pid: int) -> str:
        """What the kernel says of a task."""

    @abstractmethod
    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """Its refusals."""


def tree_of_plan(plan: Plan) -> Node:
    """The tree of a compiled policy."""
    return node_from_json(plan.data["tree"])


def programs_of(stage: Stage) -> tuple[Path, ...]:
    """Those that a run begins with."""
    return (stage.gate, stage.program)


def refusal(calls: Iterable[str], name: str, record: Mapping[str, str] | None = None) -> Event:
    """One refusal as a decision: one of `calls`, on the object `name`."""
    return {
        "event": EventKind.DECISION.value,
        "action": Action.DENY.value,
        "calls": sorted(calls),
        "values": {"object": [name]},
        "record": dict(record or {}),
    }


def descriptor_of(plan: Plan, key: str) -> int:
    """A descriptor that `prepare` opened."""
    return cast("int", plan.data[key])
