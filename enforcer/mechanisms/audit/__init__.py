"""audit: nothing is denied, and what was done is told by the object that it was done with.

Its rules are the machine's, so they name the login id of one run, which its target cannot change.
What a record calls an object may be any of its names; device and inode are the object's.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

from enforcer.access.notes import TOO_MUCH_PERMITTED, Notes
from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs
from enforcer.kernel.audit import MOST_CALLS, rules_for
from enforcer.kernel.execve import find_command
from enforcer.mechanisms.audit.reading import Reader, reading
from enforcer.mechanisms.audit.records import key_of, told
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    LaunchError,
    Missing,
    Options,
    Plan,
    PreparedName,
)
from enforcer.mechanisms.frame import begin, unwitnessed
from enforcer.mechanisms.preparing import Arranged, Ask, Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import checked
from enforcer.policy.ast import Expression, OrExpression, Policy, TextOperator, TextSymbol
from enforcer.syscalls import ALIASES, table

LOGIN = Path("/proc/self/loginuid")
OBJECTS = "objects"
_LOGINS = 1 << 31


class Auditing:
    """The mechanism."""

    name = PreparedName.AUDIT
    needs = Needs(machine=True)
    refusals = frozenset[int]()
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """A kernel with it gives every task a login id."""
        return () if LOGIN.exists() else (Missing(feature="audit", mend="CONFIG_AUDITSYSCALL"),)

    def settle(self) -> None:
        """Switched on, it costs every task that begins then, so it is not before it is wanted."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """What is permitted and logged; nothing that is denied."""
        notes = Notes()
        for index, rule in enumerate(policy.rules):
            if rule.action is not Action.PERMIT or rule.elevation is not None:
                notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, "it tells, and denies nothing")
            elif rule.log and rule.when is not None and not _is_named(rule.when):
                reason = "what it tells of is not known by its object, only by a name"
                notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        if policy.default is not Action.PERMIT:
            notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, "it tells, and denies nothing")
        if not _logged(policy):
            notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, "no rule asks for a line of the log")
        if any(abi.nr_bit for abi in abis):
            reason = "its rules have no place for the numbers of x32"
            notes.add(None, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        return tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None))

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The calls that are logged, and the objects that are known. Raises Inexpressible."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        lost = checked(covers, options)
        calls = {call for policy in policies for call in _logged(policy)}
        numbers = {
            abi.name: sorted({table(abi.name)[c] for c in calls & {*table(abi.name)}})
            for abi in abis
            if not abi.nr_bit
        }
        names = dict.fromkeys(name for policy in policies for name in _names(policy))
        data = {"numbers": numbers, "names": list(names), "inexpressible": lost}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """The rules, as auditctl(8) takes them."""
        return "".join(
            f"-a always,exit -F arch={abi} -F auid=RUN -S {','.join(map(str, numbers))}\n"
            for abi, numbers in _numbers(plan).items()
        )

    @contextmanager
    def arrange(self, plan: Plan, ask: Ask, stage: Stage) -> Iterator[Arranged]:
        """The rules, and who reads the records, in the machine's own namespaces."""
        login = secrets.randbelow(_LOGINS - 1) + 1
        calls = {
            ABIS[abi].audit_arch: [each for each in numbers if each < MOST_CALLS]
            for abi, numbers in _numbers(plan).items()
        }
        with reading(rules_for(login, calls)) as reader:
            yield Arranged(
                plan=replace(plan, data={**plan.data, "login": login}),
                tell=lambda events: _told(reader, login, events),
            )

    def prepare(self, plan: Plan, stage: Stage, run: Run) -> AbstractContextManager[Plan]:
        """Everything is done."""
        return nullcontext(plan)

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """An open that goes through, and must be told of."""
        return (f"read:{stage.tried}",)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Take the run's login id, which nobody without privilege can change again."""
        path = find_command(command[0])
        LOGIN.write_text(str(plan.data["login"]), encoding="ascii")
        begin(plan, path, command, log)

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """Which objects the names are of while the target waits, and its login id: the rest is
        seen where the records are.
        """
        login = "none" if met.pid is None else procfs.read(met.pid, "loginuid").decode("ascii")
        if login != str(plan.data["login"]):
            return unwitnessed(f"its login id is {login}")
        refused = [act for act, code in met.answers.items() if code not in (0, errno.ENOENT)]
        if refused:
            return unwitnessed(f"{', '.join(refused)} fails")
        objects = [[*key_of(Path(n).lstat()), n] for n in _there(plan)]
        event = {"event": EventKind.START.value, OBJECTS: objects, "gate": str(stage.gate)}
        return ({**event, "target": met.pid},)

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """The records are read where they come."""
        return ()


MECHANISM = Auditing()


def _told(reader: Reader, login: int, events: Sequence[Event]) -> tuple[Event, ...]:
    """What the records say of a run, and that they say it: the gate's open is among them, and the
    kernel lost none. Raises LaunchError.
    """
    try:
        records, lost = reader.all()
    except OSError as error:
        raise LaunchError(f"audit: {error}") from error
    seen = next((each for each in events if OBJECTS in each), None)
    if seen is None:
        return ()
    known = cast("list[tuple[str, int, str]]", seen[OBJECTS])
    objects = {(device, inode): name for device, inode, name in known}
    done, before = told(records, login, objects, str(seen["gate"]))
    if not before or lost:
        missing = f"the kernel lost {lost} records" if lost else "nothing is told of its gate"
        return (*unwitnessed(missing), *done)
    on: Event = {
        "event": EventKind.ENFORCING.value,
        "mechanism": PreparedName.AUDIT.value,
        "target": seen["target"],
        "witness": {"login": login, "gate": before, "records": len(records), "lost": lost},
    }
    return (on, *done)


def _numbers(plan: Plan) -> dict[str, list[int]]:
    return cast("dict[str, list[int]]", plan.data["numbers"])


def _there(plan: Plan) -> list[str]:
    return [name for name in cast("list[str]", plan.data["names"]) if os.path.lexists(name)]


def _logged(policy: Policy) -> set[str]:
    """The calls that rules ask to have logged."""
    named = (call for rule in policy.rules if rule.log for call in rule.calls)
    return {name for call in named for name in ALIASES.get(call, (call,))}


def _names(policy: Policy) -> Iterator[str]:
    for rule in policy.rules:
        if rule.log and rule.when is not None:
            yield from _named(rule.when)


def _named(condition: Expression) -> Iterator[str]:
    match condition:
        case TextSymbol(translator="filename", operator=TextOperator.EQ, operand=name):
            yield name
        case OrExpression(left, right):
            yield from _named(left)
            yield from _named(right)


def _is_named(condition: Expression) -> bool:
    """Whether it is true of objects with certain names, and of nothing else."""
    match condition:
        case TextSymbol(translator="filename", operator=TextOperator.EQ):
            return True
        case OrExpression(left, right):
            return _is_named(left) and _is_named(right)
    return False
