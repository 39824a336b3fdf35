"""The supervisor's process: its threads, and its end."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import notification, procfs, seccomp
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.mechanisms.contract import MechanismName, Options
from enforcer.mechanisms.notify.calls import Handlers, is_acted_on
from enforcer.mechanisms.notify.shared import Shared
from enforcer.mechanisms.notify.states import States
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import View
from enforcer.pin.identity import interrupt
from enforcer.policy.ast import Policy
from enforcer.supervision.aimed import Protected
from enforcer.supervision.desk import Desk
from enforcer.supervision.failure import place, told
from enforcer.supervision.greeting import GREETING
from enforcer.supervision.judge import Judge
from enforcer.supervision.launch import Handshake
from enforcer.supervision.peers import filters_of
from enforcer.supervision.processes import by_age, descendants, shown
from enforcer.supervision.rereading import Rereads, tell

WORKERS = 12
"""Threads from the beginning; when all are held up by calls, more are begun."""

MOST_WORKERS = 4096
"""Calls that may be held up at once; each holds up a task of the target's, too."""

NO_THREAD = "no thread is left for another held call"

_LISTENER_LINK = "anon_inode:seccomp notify"
_TICK_S = 0.01
_LOOKED_AT = 32
"""Acts that are looked at in one tick: each costs a read of its task's status."""
_FAREWELL_S = 1.0
"""How long a supervisor that is told to end looks for targets that it has not found."""

_STACK_BYTES = 512 << 10
_WAKE_SIGNAL = signal.SIGUSR1


class Session(Shared):
    """The life of one supervisor."""

    make_protected: type[Protected] = Protected

    def __init__(
        self,
        policy: Policy,
        abis: Sequence[str],
        options: Options,
        log: EventLog,
        worker: Callable[[Shared], Worker] = Worker,
    ) -> None:
        super().__init__(policy, abis, options, log)
        self.listener = -1
        self.states: States | None = None
        self.rereads: Rereads | None = None
        self._begin = threading.Event()
        self._make_worker = worker
        self._workers: list[Worker] = []
        self._handlers: Handlers | None = None

    def serve(self, handshake: Handshake) -> None:
        """Run the supervisor until its last target is gone.

        The handshake stays open meanwhile: its end would kill a launcher (`end_with_supervisor`).
        """
        threading.stack_size(_STACK_BYTES)
        signal.signal(_WAKE_SIGNAL, lambda number, frame: None)
        self._handlers = Handlers(self, self.abis)
        self._begin_workers(WORKERS)
        # Threads come and go: whether a number is one's is looked up for each call (aimed.py).
        self.protected = self.make_protected([os.getpid()])
        self.target = handshake.target
        handshake.ready(str(os.getpid()))
        number = int(handshake.wait_go())
        self.listener = _take_listener(handshake, number)
        is_synchronous = notification.wake_synchronously(self.listener)
        self.states = states = States(self.listener)
        self._greet(number, is_synchronous)
        threading.excepthook = self._die
        handshake.ending.act = self._told_to_end
        self._begin.set()
        self._watch(states)
        handshake.close()
        if self.desk is not None:
            self.desk.close()
        self._say_last_word()

    def _say_last_word(self, **fields: object) -> None:
        """What was decided and judged in all, and the time that it took."""
        self.journal.ended(
            sum(worker.decisions for worker in self._workers),
            self._judged(),
            denials=sum(worker.denials for worker in self._workers),
            cpu_s=round(time.process_time(), 6),
            **fields,
        )

    def _judged(self) -> Mapping[str, int]:
        """How many calls of each name were held."""
        judged: Counter[str] = Counter()
        for worker in self._workers:
            judged.update(dict(worker.judged))  # whose thread goes on
        return judged

    def _told_to_end(self, number: signal.Signals) -> None:
        """In a thread of its own: end every target that can be found.

        The kernel ends none with its supervisor. Until then the workers go on, so that whoever was
        not known makes itself known by its next held call.
        """
        self._say_last_word(action=Action.KILL, signal=number.name)
        own = filters_of(os.getpid())
        assert self.states is not None
        until = time.monotonic() + _FAREWELL_S
        while not self.states.has_ended(_TICK_S):
            if time.monotonic() > until:
                return
            # Those that were there first: none is to see its child's end, and go on from there.
            for pid in by_age(self._processes()):
                with suppress(OSError):
                    if filters_of(pid) > own:
                        os.kill(pid, signal.SIGKILL)

    def attend(self, desk: Desk | None) -> None:
        """Ask there, and tell there how things are; before anything is served."""
        if desk is None:
            return
        self.desk = desk
        self.asker = desk.standing(self.policy, is_acted_on)
        self.judge = Judge(self.policy, asker=self.asker, permissive=self.is_permissive)
        self.journal.noted = desk.noted
        desk.describe = self._described
        desk.left_alone = self.journal.detected

    def _described(self) -> Mapping[str, object]:
        """What `enforcer status` shows of this supervisor."""
        return {
            "mechanism": MechanismName.NOTIFY,
            "policies": [self.policy.source],
            "processes": shown(self._processes()),
            "decisions": sum(each.decisions for each in self._workers),
            "denials": sum(each.denials for each in self._workers),
            "judged": self._judged(),
        }

    def _processes(self) -> set[int]:
        """Those whose calls were held, also where who made them has ended, and their descendants.

        A number may be somebody else's by now: who is under no more filters than the supervisor is.
        """
        own = filters_of(os.getpid())
        for tid in tuple(self.seen):
            try:
                is_target = filters_of(tid) > own
            except OSError:
                is_target = False
            if not is_target:
                self.seen.discard(tid)
        return descendants(self.target, *self.seen)

    def _wait_for_listener(self) -> int:
        self._begin.wait()
        return self.listener

    def _greet(self, number: int, is_synchronous: bool) -> None:
        """Meet the launcher's first held call: proof that its filter holds what it must hold.

        The launcher's own listener is replaced by a closed one's stand-in, so that nobody but the
        supervisor keeps it alive.
        """
        cookie, pid = self._greeting()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        try:
            notification.replace_descriptor(self.listener, cookie, nowhere, number)
        finally:
            os.close(nowhere)
        # From here on each umask(2) is held, and whoever is born has its parent's (copy_fs).
        self.umask = View(pid, pid).umask()
        status = seccomp.status(pid)
        if self.desk is not None:
            self.desk.start(self.target, filters_of(pid) - 1)
        self.journal.emit(
            EventKind.ENFORCING,
            pid=pid,
            supervisor=os.getpid(),
            witness={
                "held": pid == self.target,
                "seccomp": status.mode,
                "filters": status.filters,
                "no_new_privs": status.no_new_privs,
            },
            synchronous=is_synchronous,
        )
        notification.answer(self.listener, cookie, 0)

    def _greeting(self) -> tuple[int, int]:
        """The launcher's greeting: cookie and pid. What else it has to do before is let through.

        Up to its execve its code is ours, and a policy that kills would end it unheard.
        """
        while True:
            fields = notification.NOTIFICATION.unpack(notification.receive(self.listener))
            if fields[3] == GREETING:
                return fields[0], fields[1]
            notification.let_continue(self.listener, fields[0])

    def _begin_workers(self, count: int) -> bool:
        """Begin `count` more threads; False where the system gives no more (RLIMIT_NPROC)."""
        assert self._handlers is not None
        for _ in range(min(count, MOST_WORKERS - len(self._workers))):
            worker = self._make_worker(self)
            try:
                worker.start(self._handlers, self._wait_for_listener)
            except RuntimeError:  # as threading says that it could not
                return False
            self._workers.append(worker)
        return len(self._workers) < MOST_WORKERS

    def _watch(self, states: States) -> None:
        """Return when no target is left.

        Meanwhile interrupt acts that nobody waits for, let others receive where one takes long, and
        see to it that somebody is there to receive: a name may never come (userfaultfd, FUSE), nor
        anybody to a FIFO, and only its caller may wait for that.
        """
        slow: tuple[Worker, int] | None = None
        seen: dict[Worker, tuple[int, bool]] = {}
        start = 0
        while not states.has_ended(_TICK_S):
            if self.rereads is not None and self.rereads.is_due():
                self._read_again(self.rereads)
            holder = self.turn.holder
            if isinstance(holder, Worker) and holder.cookie:
                busy = (holder, holder.cookie)
                if busy == slow:
                    self.turn.pass_on(holder)
                slow = busy
            if all(worker.cookie for worker in self._workers):
                self._relieve()
            start = start + _LOOKED_AT if start + _LOOKED_AT < len(self._workers) else 0
            for worker in self._workers[start : start + _LOOKED_AT]:
                cookie = worker.acting
                before = seen.get(worker)
                if not cookie or before is None or before[0] != cookie:
                    seen[worker] = (cookie, False)
                    continue
                if not notification.is_held(self.listener, cookie):
                    self._interrupt(worker, cookie, is_signalled=False)
                    continue
                # Once its call was received a task waits for the answer killably and handles no
                # signal (seccomp_do_user_notification): bare, the call would return EINTR. Two
                # ticks in a row, because a signal that is ignored is pending for a moment, too.
                is_signalled = _has_signal(worker.tid)
                seen[worker] = (cookie, is_signalled)
                if is_signalled and before[1]:
                    self._interrupt(worker, cookie, is_signalled=True)

    def _read_again(self, rereads: Rereads) -> None:
        """Take the policy that is new; who is just judging goes on by the former one."""
        assert self._handlers is not None
        for news in rereads.news():
            for policy in news.policies:
                if policy.binary == self.policy.binary:
                    self.renewals += 1
                    self.renew(policy)
                    self._handlers.choose_again()
                    self.renewals += 1
            tell(self.journal, news)

    def _relieve(self) -> None:
        """All threads have a call: begin more, or where there are none answer the next call."""
        if self._begin_workers(max(1, len(self._workers) // 2)) or not self._is_waited_for():
            return
        try:
            fields = notification.NOTIFICATION.unpack(notification.receive(self.listener))
        except OSError:  # it is gone by now
            return
        self.journal.detected(NO_THREAD, pid=fields[1], tid=fields[1])
        notification.answer(self.listener, fields[0], -errno.EAGAIN)

    def _is_waited_for(self) -> bool:
        """Whether a held call waits to be received, and nobody is about to."""
        return self.turn.holder is None and self.states is not None and self.states.has_call()

    def _interrupt(self, worker: Worker, cookie: int, *, is_signalled: bool) -> None:
        """Make what `worker` does for `cookie` return EINTR, if it still does (see end_act)."""
        with self.interrupting:
            worker.is_interrupted = True
            if worker.acting == cookie:
                worker.is_signalled = is_signalled
                interrupt(worker.ident, _WAKE_SIGNAL)

    def _die(self, failure: threading.ExceptHookArgs) -> NoReturn:
        """A worker met what it cannot deal with: every later held call gets ENOSYS."""
        error = failure.exc_value or failure.exc_type()
        self.journal.detected(
            "the supervisor failed",
            error=told(error),
            place=place(error),
        )
        os._exit(70)


def _take_listener(handshake: Handshake, number: int) -> int:
    """The launcher's descriptor `number`, as soon as loading its filter has made it a listener.

    Under its filter the launcher may be unable to say anything (a policy that denies writing), so
    the supervisor looks. Raises ConnectionError when the launcher ends before.
    """
    pidfd = pidfd_open(handshake.target)
    if pidfd < 0:
        raise OSError(-pidfd, os.strerror(-pidfd))
    poller = select.poll()
    poller.register(handshake, select.POLLIN)
    try:
        while True:
            listener = pidfd_getfd(pidfd, number)
            if listener >= 0:
                # The number was promised before the filter was loaded: it may be another file yet.
                if os.readlink(f"/proc/self/fd/{listener}") == _LISTENER_LINK:  # noqa: PTH115
                    return listener
                os.close(listener)
            elif listener != -errno.EBADF:
                raise OSError(-listener, f"the listener is out of reach: {os.strerror(-listener)}")
            if poller.poll(1):
                raise ConnectionError("the launcher ended before it was confined")
    finally:
        os.close(pidfd)


def _has_signal(tid: int) -> bool:
    """Whether a signal waits for the task that it does not block."""
    try:
        fields = procfs.status_fields(procfs.read(tid, "status"))
    except OSError:
        return False
    own, shared, blocked = (int(fields[key], 16) for key in (b"SigPnd", b"ShdPnd", b"SigBlk"))
    return bool((own | shared) & ~blocked)
