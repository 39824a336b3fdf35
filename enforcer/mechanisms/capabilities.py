"""Capabilities: what only root may do is taken from a target that has some of root's privilege.

Coarse: one capability is behind many calls, and whoever may make a user namespace has all of them
again within it (catalogue C30).
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NoReturn, cast

from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes, listed
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventLog
from enforcer.kernel import prctl, procfs
from enforcer.kernel.execve import find_command
from enforcer.kernel.seccomp import no_new_privs
from enforcer.mechanisms.contract import Cover, Extent, Missing, Options, Plan, PreparedName
from enforcer.mechanisms.frame import (
    become_target,
    begin,
    enforcing,
    unwitnessed,
    with_target,
)
from enforcer.mechanisms.preparing import Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import checked, whole_calls
from enforcer.policy.ast import Policy
from enforcer.syscalls.privileges import CAPABILITIES, PRIVILEGES

SETS = (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")


class Capabilities:
    """The mechanism."""

    name = PreparedName.CAPABILITIES
    needs = Needs(root=True, rooted=True)
    refusals = frozenset({errno.EPERM})
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """Every kernel has them."""
        return ()

    def settle(self) -> None:
        """Nothing of it is the machine's."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Calls that need a capability whatever their arguments, and with others of the same."""
        return _told(policy, abis)[1]

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The capabilities to be taken. Raises Inexpressible."""
        dropped, found = _told(policies[0], abis)
        covers = list(found)
        if any(policy != policies[0] for policy in policies):
            reason = "they are taken for good, from all programs"
            covers.append(Cover(rule=None, extent=Extent.NONE, reason=reason))
        data = {"drops": list(dropped), "inexpressible": checked(covers, options)}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """One line a capability."""
        return "".join(f"without CAP_{name.upper()}\n" for name in _drops(plan))

    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Who the target is; the rest is its launcher's."""
        return contextlib.nullcontext(with_target(plan, stage, holds=list(stage.holds)))

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """None: without arguments calls fail for other reasons first."""
        return ()

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Take them out of the bounding set, as root may, and be the target with what is left."""
        path = find_command(command[0])
        drops = {CAPABILITIES[name] for name in _drops(plan)}
        for each in sorted(drops):
            prctl.drop_from_bounds(each)
        holds = set(cast("list[int]", plan.data["holds"]))
        become_target(plan, sorted(holds - drops))
        no_new_privs()
        begin(plan, path, command, log)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """None of the target's sets has them, as the kernel tells it."""
        if met.pid is None:
            return unwitnessed("no process is the target")
        fields = procfs.status_fields(procfs.read(met.pid, "status"))
        found = {name.decode(): int(fields[name], 16) for name in SETS}
        left = sorted(
            f"{kind} has {name}"
            for kind, mask in found.items()
            for name in _drops(plan)
            if mask >> CAPABILITIES[name] & 1
        )
        if left:
            return unwitnessed(", ".join(left))
        return enforcing(plan, met, {kind: f"{mask:016x}" for kind, mask in found.items()})

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """They log nothing."""
        return ()


MECHANISM = Capabilities()


def _told(policy: Policy, abis: Sequence[Abi]) -> tuple[tuple[str, ...], tuple[Cover, ...]]:
    """The capabilities that go, and what is kept of each rule."""
    whole = whole_calls(policy, abis, errno=errno.EPERM, needed=())
    dropped = tuple(sorted({PRIVILEGES[c].capability for c in whole.denied if c in PRIVILEGES}))
    notes = Notes()
    for index, (rule, cover) in enumerate(zip(policy.rules, whole.covers, strict=False)):
        if cover.extent is not Extent.FULL:
            notes.add(index, cover.extent, cover.errs, cover.reason)
        if rule.action is Action.PERMIT:
            continue
        named = [call for call in rule.calls if call in whole.denied]
        beyond = sorted(call for call in named if call not in PRIVILEGES)
        if beyond:
            reason = f"no capability is needed for {listed(beyond)}"
            extent = Extent.NONE if len(beyond) == len(named) else Extent.PARTIAL
            notes.add(index, extent, TOO_MUCH_PERMITTED, reason)
        anew = sorted(call for call in named if call in PRIVILEGES and PRIVILEGES[call].anew)
        if anew:
            reason = f"in a user namespace of its own {listed(anew)} is permitted again"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        for name in sorted({PRIVILEGES[call].capability for call in named if call in PRIVILEGES}):
            reason = f"whatever else needs CAP_{name.upper()} is denied as well"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_DENIED, reason)
    rest = whole.covers[-1]
    if rest.extent is not Extent.FULL:
        notes.add(None, rest.extent, rest.errs, rest.reason)
    if not dropped and not notes.lost:
        reason = "no rule takes a capability away"
        notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return dropped, tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None))


def _drops(plan: Plan) -> tuple[str, ...]:
    return tuple(cast("list[str]", plan.data["drops"]))
