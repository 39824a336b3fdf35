"""One thread of the supervisor: it takes a held call, has it judged and answered, and the next.

Several threads serve one listener in turn, so an act that blocks (a FIFO, a connection) holds up
none but its own caller for longer than a tick.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

from enforcer.call import Action, Decision, Elevation
from enforcer.kernel import notification
from enforcer.mechanisms.notify.held_view import HeldView
from enforcer.mechanisms.notify.shared import Shared
from enforcer.pin import TargetGone, perform
from enforcer.pin import open_judged as open_pinned
from enforcer.pin.elevation import acting_with
from enforcer.pin.glance import glance_at_descriptor
from enforcer.pin.identity import OutOfReach, as_supervisor
from enforcer.pin.performing import perform_walking
from enforcer.pin.places import UNPLACED
from enforcer.supervision import memory
from enforcer.supervision.desk import NOBODY, Desk, StandingAnswers, given_answer
from enforcer.supervision.elevation import NOT_PERMITTED_SO, NOT_WITH_OTHERS_IDS
from enforcer.supervision.journal import UNREADABLE, decision_fields, refusal
from enforcer.supervision.judge import Values
from enforcer.syscalls.memory import PATH_MAX, Arguments, Refused, UnreadableMemory

ERESTARTSYS = 512
"""The kernel's own code: handle the signal, then make the call again if its action says so."""

_MOST_VIEWS = 4096
_LOOK_S = 0.2
"""How often a question is looked at for whether its caller still waits."""
_NOTHING: Values = {}
_READ: Mapping[int, bytes] = {}


class Asked(Exception):
    """The policy asks a person about the held call, which is not answered yet."""


class NotElevated(Exception):
    """A held call is not permitted with the ids that it was tried with."""


class Worker:
    """One thread, the call that it holds (see HeldCall), and what it may do with that.

    `cookie` is the held call's id, `acting` the same while the call is being carried out (0: not),
    `judging` judges it, and `policy` is the one that did. `is_changing`: after it the task may
    be somebody else. `elevation`: the call is tried with other ids. `is_decided` and `copies` serve
    the supervisors that judge and act apart (see classic.py).
    Methods below that read, resolve or decide are what a deliberately weak supervisor overrides.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.ident = 0
        self.listener = -1
        self.cookie = 0
        self.acting = 0
        self.is_interrupted = False
        self.tid = 0
        self.abi = ""
        self.name = ""
        self.full_name = b""
        self.args: Arguments = (0, 0, 0, 0, 0, 0)
        self.known: Values = {}
        self.values: Values = {}
        self.decision: Decision | None = None
        self.judging = shared.judge
        self.policy = shared.policy
        self.decisions = 0
        self.judged: defaultdict[str, int] = defaultdict(int)
        self.denials = 0
        self.is_signalled = False
        self.is_multiplexed = False
        self.is_changing = False
        self.elevation: Elevation | None = None
        self.granted: list[tuple[str, Values, Decision]] = []
        self.is_decided = False
        self.copies: dict[tuple[int, int], bytes] | None = None
        self._views: dict[int, HeldView] = {}
        self._generation = 0

    def start(self, handlers: Handlers, listener: Callable[[], int]) -> None:
        """Begin a thread that serves calls by `handlers` once `listener` gives the descriptor."""
        thread = threading.Thread(target=self.run, args=(handlers, listener), daemon=True)
        thread.start()
        self.ident = thread.ident or 0

    def run(self, handlers: Handlers, get_listener: Callable[[], int]) -> None:
        self.listener = listener = get_listener()
        receive = notification.receive
        unpack = notification.NOTIFICATION.unpack
        turn = self.shared.turn
        see = self.shared.seen.add
        while True:
            self.cookie = 0
            if turn.holder is not self:
                turn.take(self)
            try:
                held = receive(listener)
            except OSError as error:
                # ENOENT: a signal took the task out of its call before it was received
                # (seccomp_notify_recv).
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            fields = unpack(held)
            self.tid = fields[1]
            see(fields[1])
            self.args = fields[6:]
            self.decision = None
            self.is_signalled = False
            self.is_changing = False
            self.known = _NOTHING
            self.values = _NOTHING
            self.cookie = fields[0]
            handler = self._handler(handlers, fields[4], fields[3])
            try:
                handler(self, self.args)
            except Asked:
                self.consult(handler, fields[6:])
            except TargetGone:
                self.end_act()
                self.give_up()
            except UnreadableMemory as error:
                self.end_act()
                self.refuse(error.errno, UNREADABLE)
            except OutOfReach as error:
                self.end_act()
                self.refuse(errno.EPERM, str(error))
            except Refused as error:
                self.end_act()
                self.answer(-error.number)

    def _handler(self, handlers: Handlers, arch: int, number: int) -> Handler:
        """How the held call is answered, by the policy that counts now, to the end of the call.

        A handler reads what its policy needs, so the two belong together:

            session    renewals 1 . judge = new . handlers = new . renewals 2
            here       look . . . . . . . judge, handler . . . . look again: both of one policy
        """
        shared = self.shared
        while True:
            before = shared.renewals
            self.judging = shared.judge
            handler = handlers[arch][number]
            if before == shared.renewals and not before & 1:
                return handler

    def validate(self) -> None:
        """Raise TargetGone unless the call is still held: then its task's number means itself."""
        if not notification.is_held(self.listener, self.cookie):
            raise TargetGone(f"call {self.cookie:#x}")

    def give_up(self) -> None:
        """Nothing more can be learnt of the task: it is gone, or else the call is refused."""
        if notification.is_held(self.listener, self.cookie):
            self.refuse(errno.EPERM, "its task cannot be looked at")
        else:
            self.settle()

    def settle(self) -> None:
        """Count the decision and log it, before the task can go on and anyone look at the log."""
        decision = self.decision
        if decision is None:
            return
        self.decision = None
        self.decisions += 1
        if decision.is_plain:
            return
        if decision.log or decision.action is not Action.PERMIT:
            self.report(decision)
            if decision.action is Action.KILL:
                self.shared.kill(self.tid)

    def answer(self, result: int) -> None:
        """Give the call a result or -errno.

        An act interrupted because its task has a signal to handle is one that the task makes again.
        Raises NotElevated where that was an attempt with ids that the policy does not give.
        """
        if self.elevation is not None:
            self._must_be_elevated()
        decision = self.decision
        is_asked = not (decision is None or decision.is_plain) and decision.action is Action.ASK
        if is_asked and self.can_ask:
            raise Asked
        if result == -errno.EINTR and self.is_signalled:
            result = -ERESTARTSYS
        self.settle()
        notification.answer(self.listener, self.cookie, result)

    def refuse(self, number: int, reason: str) -> None:
        """Deny the call for a reason that is not the policy's."""
        self.decision = refusal(number, reason)
        self.answer(-number)

    def hand_over(self, descriptor: int, close_on_exec: bool) -> None:
        """Place `descriptor` in the task as the call's result, closed here before it can go on.

        Else the task could not execute a file just written (deny_write_access, ETXTBSY), nor see a
        pipe's end, lease a file that it opened and closed (F_SETLEASE, EAGAIN), or unmount what it
        was on. SECCOMP_ADDFD_FLAG_SEND, which does both in one step, leaves no time for that.
        """
        result = notification.place_descriptor(
            self.listener, self.cookie, descriptor, close_on_exec
        )
        os.close(descriptor)
        self.answer(result)

    def let_continue(self) -> None:
        """The kernel carries the call out."""
        self.settle()
        notification.let_continue(self.listener, self.cookie)

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """A name in the task's memory, read once. Raises UnreadableMemory."""
        if self.shared.are_credentials_fixed and self.copies is None:
            return memory.read_string(self.tid, address, limit)
        return self._copied(address, 0, lambda: memory.read_string(self.tid, address, limit))

    def read_bytes(self, address: int, size: int) -> bytes:
        """A range of the task's memory, read once. Raises UnreadableMemory."""
        if self.shared.are_credentials_fixed and self.copies is None:
            return memory.read_bytes(self.tid, address, size)
        return self._copied(address, size, lambda: memory.read_bytes(self.tid, address, size))

    def _copied(self, address: int, size: int, read: Callable[[], bytes]) -> bytes:
        copies = self.copies
        if copies is not None and (address, size) in copies:
            return copies[address, size]
        found = as_supervisor(read)
        if copies is not None:
            copies[address, size] = found
        return found

    def write_bytes(self, address: int, data: bytes) -> None:
        """Write to the task's memory. Raises UnreadableMemory."""
        self.view.write_bytes(address, data)

    def directory(self, descriptor: int) -> int:
        """The task's directory descriptor that a name is relative to."""
        return descriptor

    @property
    def view(self) -> HeldView:
        """How the task sees names."""
        views = self._views
        if self._generation != self.shared.generation:
            views.clear()
            self._generation = self.shared.generation
        view = views.get(self.tid)
        if view is None:
            if len(views) > _MOST_VIEWS:
                views.clear()
            view = views[self.tid] = HeldView(self)
        return view

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """The policy's word on the held call with these names: 0 or an errno."""
        if not names:
            self.decision = refusal(errno.EACCES, UNPLACED)
            return errno.EACCES
        known = self.known
        return self.decide({**known, "filename": names} if known else {"filename": names}, missing)

    def refusal(self, name: bytes) -> int:
        """The same for one canonical name of which nothing is missing."""
        decision = self.judging.known[self.name].get(name)
        if decision is not None and self.elevation is None:
            self.decision = decision
            return 0
        number = self.judge((os.fsdecode(name),), 0)
        self.remember(name)
        return number

    def is_known(self, name: bytes) -> bool:
        """Whether the held call is surely permitted by this canonical name, or address."""
        decision = self.judging.known[self.name].get(name)
        if decision is None or self.elevation is not None:
            return False
        self.decision = decision
        return True

    def remember(self, name: bytes) -> None:
        """What was just decided on this name, or address, may be remembered.

        Not where it was decided before, on what was read then.
        """
        if self.decision is not None and self.elevation is None and not self.is_decided:
            self.judging.remember(self.name, name, self.decision)

    def refuses(self) -> bool:
        """Whether the policy refuses the held call by registers and ids; it is answered then."""
        number = self.decide({})
        if number:
            self.answer(-number)
        return number != 0

    def decide(self, values: Values, missing: int = 0) -> int:
        """The policy's word on the held call with these values: 0 or an errno."""
        if self.is_decided:
            return 0
        uid = gid = 0
        judge = self.judging
        if judge.has_predicates:
            uid, gid = self.effective_ids()
        decision = judge.decide(self.name, self.args, values, uid, gid, missing, self.abi)
        if not decision.is_plain or self.elevation is not None:
            decision = self._as_granted(decision, values)
        self.values = values
        self.decision = decision
        self.policy = judge.policy
        return decision.refusal

    def _as_granted(self, decision: Decision, values: Values) -> Decision:
        """The same, held against the ids that the call is tried with, and against given answers."""
        granted = decision.elevation if decision.action is Action.PERMIT else None
        if granted != self.elevation:
            tried = self.elevation is not None
            decision = refusal(errno.EPERM, NOT_PERMITTED_SO if tried else NOT_WITH_OTHERS_IDS)
        if decision.action is Action.ASK and self.granted:
            decision = given_answer(self.granted, self.name, values, decision)
        return decision

    @property
    def can_ask(self) -> bool:
        """Whether a question is worth asking: it is answered by a person, or in time refused."""
        desk = self.shared.desk
        return desk is not None and desk.is_heard

    def consult(self, handler: Handler, args: Arguments) -> None:
        """Have a person asked, and the call carried out, or refused, by the answer.

        Meanwhile others receive; no act is under way that had to be interrupted.
        """
        desk, standing = self.shared.desk, self.shared.asker
        assert desk is not None
        assert standing is not None
        self.granted = []
        while True:
            try:
                self.ask(desk, standing)
                self.name = self.abi = ""
                self.args = args
                self.known = self.values = _NOTHING
                handler(self, args)
                return
            except Asked:
                self.judged[self.name] -= 1
                continue
            finally:
                self.end_act()

    def ask(self, desk: Desk, standing: StandingAnswers) -> None:
        """Wait for the answer to the held call. Raises TargetGone."""
        decision = self.decision
        assert decision is not None
        self.shared.turn.pass_on(self)
        answers: SimpleQueue[Decision | None] = SimpleQueue()
        fields = decision_fields(self, self.shared.policy, decision, self.values)
        number = desk.put(standing, fields, answers.put)
        if not number:
            answers.put(replace(decision, action=Action.DENY, reason=NOBODY))
        while True:
            with suppress(Empty):
                answer = answers.get(timeout=_LOOK_S)
                break
            if not notification.is_held(self.listener, self.cookie):
                desk.withdraw(number)
                raise TargetGone(f"call {self.cookie:#x}")
        if answer is not None:
            self.granted.append((self.name, self.values, answer))
        self.decision = None

    def attempt(self, handler: Handler, args: Arguments, elevation: Elevation) -> bool:
        """Carry the held call out with other ids, if the policy permits it so."""
        self.elevation = elevation
        try:
            with acting_with(self.view, elevation):
                handler(self, args)
            return True
        except (NotElevated, OutOfReach):
            self.end_act()
            self.decision = None
            self.known = self.values = _NOTHING
            return False
        finally:
            self.elevation = None

    def _must_be_elevated(self) -> None:
        if self.decision is None or self.decision.elevation != self.elevation:
            raise NotElevated

    def effective_ids(self) -> tuple[int, int]:
        """The task's effective user and group."""
        identity = self.view.standing().identity
        return identity.uids[1], identity.gids[1]

    def end_act(self) -> None:
        """From here on the session must not interrupt this thread, and what it began is over.

        The session sets `is_interrupted` before it looks at `acting`, this thread looks at it after
        it has cleared `acting`: one of the two sees the other. A signal on its way when the lock is
        free is delivered at the latest on the way out of the next system call. It must not hit the
        answer: the kernel would take a half-placed descriptor for success.
        """
        self.acting = 0
        if self.is_interrupted:
            with self.shared.interrupting:
                self.is_interrupted = False
            os.sched_yield()

    def act(self, function: Callable[[], int], *, waits: bool = True) -> int:
        """What `function` gives; while it blocks it can be interrupted, and others receive.

        Unless it `waits` they are not woken for that: the session does it when it takes long.
        """
        if waits:
            self.shared.turn.pass_on(self)
        self.acting = self.cookie
        result = function()
        self.end_act()
        return result

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Open for the task: a descriptor of ours or -errno."""
        self.acting = self.cookie
        result = open_pinned(
            self.view, self.directory(dirfd), name, flags, mode, self.judge, resolve=resolve
        )
        self.end_act()
        return result

    def perform(self, args: Arguments, given: Mapping[int, bytes] = _READ) -> int:
        """Carry a call that takes names out for the task: a result or -errno.

        `given` holds names that were read already, by register.
        """
        self.acting = self.cookie
        result = perform(self.view, self.abi, self.name, args, self.judge, given)
        self.end_act()
        return result

    def walk(self, args: Arguments, given: Mapping[int, bytes]) -> int:
        """As `perform`, where a glance was not enough."""
        self.acting = self.cookie
        result = perform_walking(self.view, self.abi, self.name, args, self.judge, given)
        self.end_act()
        return result

    def look(self, args: Arguments, call: str) -> int:
        """What `call` says of the object behind a descriptor: a result or -errno."""
        self.acting = self.cookie
        result = glance_at_descriptor(self.view, self.abi, call, args)
        if result is None:
            result = perform(self.view, self.abi, call, args, _permit, {1: b""})
        self.end_act()
        return result

    def duplicate(self, descriptor: int) -> int:
        """A duplicate of the task's descriptor, or -errno (-EBADF: it has none)."""
        return self.view.duplicate(descriptor)

    def report(self, decision: Decision) -> None:
        """Log a denial, or what a rule wants logged; a task that is to be killed is."""
        if decision.action is not Action.PERMIT:
            self.denials += 1
        self.shared.journal.decided(self, self.policy, decision, self.values)


def _permit(names: tuple[str, ...], missing: int) -> int:
    return 0


Handler = Callable[[Worker, Arguments], None]
Handlers = Mapping[int, Mapping[int, Handler]]
"""AUDIT_ARCH -> number -> handler; what is missing is made when it is first asked for."""
