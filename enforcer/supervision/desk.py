"""A supervisor's socket: questions go out to a console, answers come in, and who asks is told.

One thread serves it, so a person takes as long as it takes while everything else goes on. Messages
are JSON objects, one a line. Whatever goes wrong denies: nobody there, a console that goes away, a
time limit that passes, more questions than anybody can answer.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EPERM
from pathlib import Path

from enforcer.call import Action, Decision
from enforcer.kernel.pidfd import pidfd_open
from enforcer.outbox import Outbox
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.policy.decider import Decider
from enforcer.policy.wire import policy_from_json, policy_to_json
from enforcer.supervision.judge import Values
from enforcer.supervision.peers import Stranger, check_client

Answered = Callable[[Decision | None], None]
"""Told the answer to a question, once; None: the call is to be judged again."""

CanHold = Callable[[str, frozenset[str]], bool]
"""See Asker."""

Fields = Mapping[str, object]

NOBODY = "nobody can be asked"

MOST_QUESTIONS = 256
MOST_CONNECTIONS = 32
_LONGEST_LINE = 1 << 20
_TICK_S = 0.2
_LAST_REFUSALS = 20
_ACTIONS = {"permit": Action.PERMIT, "deny": Action.DENY, "kill": Action.KILL}


def given_answer(
    granted: Sequence[tuple[str, Values, Decision]], name: str, values: Values, asked: Decision
) -> Decision:
    """What was answered, this once, to a call judged by just these texts; else the question."""
    for other, texts, answer in granted:
        if other == name and texts == values:
            return answer
    return asked


class StandingAnswers:
    """The answers of one policy that are to hold for good: rules where the policy itself asks."""

    def __init__(self, policy: Policy, can_hold: CanHold) -> None:
        self.policy = policy
        self.can_hold = can_hold
        self.rules: tuple[Rule, ...] = ()
        self.is_detached = False
        self._decider: Decider | None = None

    def add(self, rules: Sequence[Rule]) -> None:
        """Answer by these rules from now on, after those that were added before."""
        self.rules += tuple(rules)
        made = Policy(binary=None, dialect=Dialect.STRICT, rules=self.rules, default=Action.ASK)
        self._decider = Decider(made)

    def ask(self, name: str, args: Sequence[int], values: Values, decision: Decision) -> Decision:
        """What was answered for good to such a call, or the question itself."""
        if self.is_detached:
            return Decision(action=Action.PERMIT, reason="detached by a person")
        if self._decider is None:
            return decision
        found = self._decider.decide(name, args, values)
        if found.action is Action.ASK or found.rule is None:
            return decision
        return Decision(action=found.action, errno=found.errno, reason="answered for good")


@dataclass
class _Pending:
    fields: Fields
    standing: StandingAnswers
    answered: Answered
    ends_at: float


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    outbox: Outbox
    read: bytearray = field(default_factory=bytearray)
    wants_questions: bool = False

    def say(self, **fields: object) -> None:
        self.outbox.put(json.dumps(fields).encode() + b"\n")


LEFT_ALONE = "the console went away: what would be asked is denied until another one comes"


class Desk:
    """`directory` gets the socket, PID.sock; `timeout_s` is how long a question stands.

    `expected`: the process that is about to answer; questions wait for it while it lives.
    `describe` gives what `enforcer status` shows; `left_alone` is told when who answered, or was
    about to, is gone before the target is, and will be missed.
    """

    def __init__(self, directory: Path, timeout_s: float, expected: int | None) -> None:
        self.path = directory / f"{os.getpid()}.sock"
        self.timeout_s = timeout_s
        self.most_filters = -1
        self.describe: Callable[[], Fields] = dict
        self.left_alone: Callable[[str], None] | None = None
        self.target = 0
        self.refusals: deque[Fields] = deque(maxlen=_LAST_REFUSALS)
        self._expected: int | None = None
        self._is_needed = expected is not None
        self._console: _Connection | None = None
        self._connections: dict[int, _Connection] = {}
        self._pending: dict[int, _Pending] = {}
        self._standings: dict[int, StandingAnswers] = {}
        self._asked: Counter[tuple[object, object]] = Counter()
        self._next = 1
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # A console takes a socket that nobody listens on for that of a supervisor that was killed.
        unheard = self.path.with_suffix(".new")
        unheard.unlink(missing_ok=True)
        self._listening.bind(str(unheard))
        unheard.chmod(0o600)
        self._listening.listen(MOST_CONNECTIONS)
        unheard.rename(self.path)
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)
        if expected is not None:
            self._expect(expected)

    def _expect(self, process: int) -> None:
        """Hear of its end from the kernel: killed before it connects, it closes nothing here."""
        pidfd = pidfd_open(process)
        if pidfd >= 0:
            self._expected = pidfd
            self._selector.register(pidfd, selectors.EVENT_READ)

    def start(self, target: int, most_filters: int) -> None:
        """Begin to serve. `most_filters`: tasks of the target are under more of them."""
        self.target = target
        self.most_filters = most_filters
        if self._is_needed and self._expected is None:
            self._leave()
        threading.Thread(target=self._serve, name="desk", daemon=True).start()

    def close(self) -> None:
        """Nobody will ask any more."""
        with suppress(FileNotFoundError):
            self.path.unlink()

    def standing(
        self, policy: Policy, can_hold: Callable[[str, frozenset[str]], bool]
    ) -> StandingAnswers:
        """The answers for good to what this policy asks; `can_hold` as Asker has it."""
        with self._lock:
            return self._standings.setdefault(id(policy), StandingAnswers(policy, can_hold))

    # ----- asking -----

    @property
    def is_heard(self) -> bool:
        """Whether a question would come before anybody now."""
        with self._lock:
            return self._is_heard()

    def _is_heard(self) -> bool:
        is_there = self._console is not None or self._expected is not None
        return is_there and len(self._pending) < MOST_QUESTIONS

    def put(self, standing: StandingAnswers, fields: Fields, answered: Answered) -> int:
        """Ask; the number of the question, or 0 where nobody can be asked."""
        with self._lock:
            if not self._is_heard():
                return 0
            number, self._next = self._next, self._next + 1
            kind = fields.get("program"), fields.get("call")
            before = self._asked[kind]
            self._asked[kind] += 1
            fields = {**fields, "id": number, "before": before, "timeout_s": self.timeout_s}
            ends_at = time.monotonic() + self.timeout_s
            self._pending[number] = _Pending(fields, standing, answered, ends_at)
            for each in self._connections.values():
                if each.wants_questions:
                    each.say(question=fields)
            return number

    def withdraw(self, number: int) -> None:
        """The task that asked is gone."""
        with self._lock:
            if self._pending.pop(number, None) is not None:
                self._tell(closed=number)

    def noted(self, fields: Fields) -> None:
        """A refusal, for `enforcer status`."""
        self.refusals.append(fields)

    def _end(self, number: int, decision: Decision | None, how: str, **more: object) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._tell(closed=number, how=how, **more)
            pending.answered(decision)

    def _tell(self, **fields: object) -> None:
        for each in self._connections.values():
            if each.wants_questions:
                each.say(**fields)

    # ----- serving -----

    def _serve(self) -> None:
        while True:
            ready = self._selector.select(_TICK_S)
            with self._lock:
                for key, _ in ready:
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fd in self._connections:
                        self._receive(self._connections[key.fd])
                    elif len(ready) == 1:  # after all that it said while it lived
                        self._cannot_come()
                now = time.monotonic()
                late = [number for number, each in self._pending.items() if each.ends_at <= now]
                for number in late:
                    self._end(number, _denied("nobody answered in time"), "too late: denied")

    def _accept(self) -> None:
        try:
            made, _ = self._listening.accept()
        except OSError:
            return
        try:
            check_client(made, self.most_filters)
            if len(self._connections) >= MOST_CONNECTIONS:
                raise Stranger("too many at once")
        except Stranger as error:
            with suppress(OSError):
                made.send(json.dumps({"refused": str(error)}).encode() + b"\n")
            made.close()
            return
        made.setblocking(False)
        connection = _Connection(made, Outbox(made.fileno(), _lost))
        self._connections[made.fileno()] = connection
        self._selector.register(made, selectors.EVENT_READ)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.read += data
        while data and b"\n" in connection.read:
            line, _, rest = bytes(connection.read).partition(b"\n")
            connection.read = bytearray(rest)
            try:
                self._heard(connection, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                connection.say(error=f"not understood: {error}")
        if not data or len(connection.read) > _LONGEST_LINE:
            self._gone(connection)

    def _gone(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        self._selector.unregister(connection.socket)
        del self._connections[descriptor]
        connection.socket.close()
        if connection is self._console:
            self._console = None
            self._leave()

    def _cannot_come(self) -> None:
        """The process that was expected has ended."""
        has_come = self._console is not None
        self._forget()
        if not has_come:
            self._leave()

    def _forget(self) -> None:
        """Nobody is waited for who has not come yet."""
        if self._expected is not None:
            self._selector.unregister(self._expected)
            os.close(self._expected)
            self._expected = None

    def _leave(self) -> None:
        """Nobody answers from now on."""
        self._forget()
        is_missed = self._is_needed or bool(self._asked)
        # Before what stands is denied: after that the target may end, and nobody would be told.
        if self.left_alone is not None and is_missed and _lives(self.target):
            self.left_alone(LEFT_ALONE)
        for number in list(self._pending):
            self._end(number, _denied("the console went away"), "the console went away: denied")

    def _heard(self, connection: _Connection, message: Mapping[str, object]) -> None:
        match message.get("say"):
            case "status":
                connection.say(status=self._status())
            case "console":
                connection.wants_questions = True
                if self._console is None:
                    self._console = connection
                role = "answers" if self._console is connection else "watches"
                connection.say(role=role, status=self._status())
                for pending in self._pending.values():
                    connection.say(question=pending.fields)
            case "answer":
                if connection is not self._console:
                    connection.say(error="another console answers; this one watches")
                    return
                self._take(connection, message)
            case "rules":
                connection.say(
                    rules=[
                        policy_to_json(_with(each.policy, each.rules))
                        for each in self._standings.values()
                        if each.rules
                    ]
                )
            case _:
                connection.say(error="unknown message")

    def _status(self) -> Fields:
        return {
            "supervisor": os.getpid(),
            "target": self.target,
            "questions": len(self._pending),
            "console": self._console is not None,
            "refusals": list(self.refusals),
            **self.describe(),
        }

    def _take(self, connection: _Connection, message: Mapping[str, object]) -> None:
        number = message["id"]
        pending = self._pending.get(number) if isinstance(number, int) else None
        if pending is None or not isinstance(number, int):
            connection.say(error=f"there is no question {number}")
            return
        if message.get("detach"):
            pending.standing.is_detached = True
            self._end(number, None, "detached")
            for other, each in list(self._pending.items()):
                if each.standing is pending.standing:
                    self._end(other, None, "detached")
            return
        given = message.get("rules")
        if isinstance(given, Mapping):
            standing = pending.standing
            standing.add(policy_from_json(given).rules)
            # Now, because the target may end by this answer, and nobody could ask for them then.
            rules = policy_to_json(_with(standing.policy, standing.rules))
            self._end(number, None, "answered for good", standing=rules)
            return
        action = _ACTIONS[str(message["action"])]
        errno = message.get("errno") or EPERM
        if not isinstance(errno, int) or not 0 < errno < 4096:
            raise ValueError("an errno is a number from 1 to 4095")
        decision = Decision(
            action=action,
            errno=errno if action is Action.DENY else 0,
            reason="answered by a person",
            log=True,
        )
        self._end(number, decision, f"{action}, this once")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lost(count: int) -> bytes:
    return b'{"lost": %d}\n' % count


def _denied(reason: str) -> Decision:
    return Decision(action=Action.DENY, errno=EPERM, reason=reason)


def _with(policy: Policy, rules: tuple[Rule, ...]) -> Policy:
    """The rules that were answered, as a policy for the same binary."""
    return Policy(
        binary=policy.binary,
        dialect=Dialect.STRICT,
        rules=rules,
        default=Action.ASK,
        source=policy.source,
    )


def desk_of(data: object) -> Desk | None:
    """The desk that a plan asks for. Raises OSError."""
    if not isinstance(data, Mapping):
        return None
    expected = data["expected"]
    return Desk(
        Path(str(data["directory"])),
        float(str(data["timeout_s"])),
        expected if isinstance(expected, int) else None,
    )
