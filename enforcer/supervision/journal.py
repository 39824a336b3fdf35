"""What a supervisor writes down: one schema of events, whatever the mechanism.

Every refusal is a `decision`, of a rule, of a default, or of the mechanism itself (unknown call,
protection of the supervisor, unreadable memory...), with the call, its arguments as rules see
them, the rule's number, file and line, and whose call it was.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from enforcer.call import Action, Decision
from enforcer.events import EventKind, EventLog, NullLog
from enforcer.kernel import procfs
from enforcer.pin import TargetGone
from enforcer.pin.identity import as_supervisor
from enforcer.policy.ast import Policy
from enforcer.supervision.held import HeldCall, walk_of
from enforcer.supervision.judge import Values
from enforcer.syscalls import syscall
from enforcer.syscalls.arguments import read_texts, register_texts

UNREADABLE = "an argument is not readable"
"""The reason of such a refusal."""


class Journal:
    """The events of one supervisor. Nothing is looked up for a log that nobody keeps."""

    def __init__(self, log: EventLog, mechanism: str) -> None:
        log.never_wait()
        self.log = log
        self.mechanism = mechanism
        self.is_kept = not isinstance(log, NullLog)
        self.noted: Callable[[Mapping[str, object]], None] | None = None
        self._last_word = threading.Lock()
        self._is_over = False

    def emit(self, kind: EventKind, **fields: object) -> None:
        """Append an event of this supervisor's."""
        self.log.emit(kind, mechanism=self.mechanism, **fields)

    def decided(self, call: HeldCall, policy: Policy, decision: Decision, values: Values) -> None:
        """A decision that is to be logged: a refusal, or one by a rule with `log`.

        `values` are the texts that were judged; what no rule looked at is read now, for the reader
        of the log alone.
        """
        if self.noted is not None and decision.action is not Action.PERMIT:
            self.noted(decision_fields(call, policy, decision, values))
        if self.is_kept:
            self.emit(EventKind.DECISION, **decision_fields(call, policy, decision, values))

    def detected(self, reason: str, **fields: object) -> None:
        """An interference."""
        self.emit(EventKind.DETECTION, reason=reason, **fields)

    def ended(self, decisions: int, judged: Mapping[str, int], **fields: object) -> None:
        """The last word: `decisions` made, and the calls that were held and judged, by name.

        Told once: who is told to end may see its last target end meanwhile.
        """
        with self._last_word:
            if self._is_over:
                return
            self._is_over = True
            self.emit(EventKind.END, decisions=decisions, judged=dict(judged), **fields)


def decision_fields(
    call: HeldCall, policy: Policy, decision: Decision, values: Values
) -> Mapping[str, object]:
    """What is told of a decision: in the log, at the desk, to whoever is asked."""
    rule = None if decision.rule is None else policy.rules[decision.rule]
    texts, absent = _texts(call, values)
    would_be = decision.would_be
    return {
        "action": decision.action.value,
        "would_be": None if would_be is None else would_be.value,
        "errno": decision.refusal,
        "call": call.name,
        "abi": call.abi,
        "args": list(call.args),
        "values": texts,
        "absent": absent,
        "policy": policy.source,
        "rules": len(policy.rules),
        "rule": None if decision.rule is None else _number(policy, decision.rule),
        "file": policy.source if rule is None else rule.source or policy.source,
        "line": None if rule is None or rule.position is None else rule.position.line,
        "reason": decision.reason,
        "elevation": None if decision.elevation is None else str(decision.elevation),
        **_caller(call),
    }


def refusal(errno: int, reason: str) -> Decision:
    """The mechanism's own refusal of a call."""
    return Decision(action=Action.DENY, errno=errno, reason=reason)


def _number(policy: Policy, index: int) -> int:
    """A rule's number in its file; in a policy that was never in one, its place in it from 1."""
    return policy.rules[index].number or index + 1


def _texts(call: HeldCall, judged: Values) -> tuple[dict[str, list[str | None]], list[int]]:
    """Every text of the call: those judged as they were judged.

    Also the places of the file names, of those read only now, none of whose directories exist.
    """
    try:
        model = syscall(call.name, call.abi)
    except KeyError:
        return {}, []
    absent = 0
    texts = dict(register_texts(call.name, call.abi, call.args))
    texts |= {name: list(found) for name, found in judged.items()}
    missing = frozenset(model.translators) - texts.keys()
    if missing:
        with suppress(TargetGone):
            walk = walk_of(call.view)
            read, absent = read_texts(call, walk, call.name, call.abi, call.args, missing)
            texts = read | texts
    return texts, [place for place in range(absent.bit_length()) if absent >> place & 1]


def _caller(call: HeldCall) -> dict[str, object]:
    """Whose call it is: task, process and program, None where they cannot be told any more."""
    pid: int | None = None
    program: str | None = None
    parent: int | None = None
    uid: int | None = None
    with suppress(TargetGone):
        pid = call.view.tgid
    with suppress(OSError, KeyError):
        fields = procfs.status_fields(procfs.read(call.tid, "status"))
        parent, uid = int(fields[b"PPid"]), int(fields[b"Uid"].split()[0])
    with suppress(OSError):
        path = f"/proc/{call.tid}/exe"
        program = as_supervisor(lambda: os.readlink(path))  # noqa: PTH115 (a name, not a path)
    return {"pid": pid, "tid": call.tid, "ppid": parent, "uid": uid, "program": program}
