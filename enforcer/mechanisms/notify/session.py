"""The supervisor's process: its threads, what they share, and its end."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from enforcer.call import Action, Decision
from enforcer.events import EventKind, EventLog
from enforcer.kernel import notification, procfs, seccomp
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.notify.calls import Handlers
from enforcer.mechanisms.notify.quick import QuickOpens
from enforcer.mechanisms.notify.turn import Turn
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import Domains
from enforcer.pin.identity import acting_thread
from enforcer.pin.same_objects import SameObjects, has_binds
from enforcer.pin.standing import Standings
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.decider import Decider
from enforcer.policy.denied_names import names_denied_by_equality
from enforcer.supervision.greeting import GREETING
from enforcer.supervision.launch import Handshake
from enforcer.supervision.protect import Protected

WORKERS = 12
"""Acts that may block at once; when all do, further held calls wait for one of them to end."""

_LISTENER_LINK = "anon_inode:seccomp notify"
_TICK_MS = 10
_STACK_BYTES = 512 << 10
_WAKE_SIGNAL = signal.SIGUSR1


class Session:
    """What the workers share. Its attributes change in one direction only (see `unfix`).

    `is_root_fixed`: no target has had a chance to get another root or mount namespace than the
    supervisor's. `are_credentials_fixed`: the same of credentials.
    """

    def __init__(
        self,
        policy: Policy,
        abis: Sequence[str],
        options: Options,
        log: EventLog,
        worker: Callable[[Session], Worker] = Worker,
    ) -> None:
        procfs.root()  # while /proc is surely no target's mount
        self.policy = policy
        self.decider = Decider(policy)
        self.decide: Callable[..., Decision] = self.decider.decide
        self.has_predicates = any(rule.predicate is not None for rule in policy.rules)
        self.defences = options.defences
        self.is_partial = options.partial
        self.log = log
        self.listener = -1
        self.target = 0
        self.is_launching = True
        self.generation = 0
        self.standings = Standings()
        self.domains = Domains()
        self.is_root_fixed = True
        self.are_credentials_fixed = os.geteuid() == 0 or not _has_capabilities()
        names = names_denied_by_equality(policy)
        self.same_objects = SameObjects(names, by_bind=has_binds()) if names else None
        self.tells_missing = policy.dialect is Dialect.SYSTRACE
        self.quick = QuickOpens(policy) if self.is_sound and not names else None
        self.handlers = Handlers(self, abis)
        self.protected = Protected(())
        self.interrupting = threading.Lock()
        self.turn = Turn()
        self._admitted = threading.Semaphore(0)
        self._begin = threading.Event()
        self._make_worker = worker
        self._workers: list[Worker] = []

    @property
    def is_classic(self) -> bool:
        """Whether calls are let through after the check, all defences being off."""
        return not {Defence.COPY, Defence.PIN} & self.defences

    @property
    def is_sound(self) -> bool:
        """Whether what is judged is what is done."""
        return {Defence.COPY, Defence.PIN} <= self.defences

    def admit(self, worker: Worker) -> int:
        """A worker's first call: it waits here for the listener."""
        self._admitted.release()
        self._begin.wait()
        return self.listener

    def unfix(self, *, root: bool = False, credentials: bool = False) -> None:
        """From now on ask for every task anew what could be taken as given before."""
        if root:
            self.quick = None
        if root and self.same_objects is not None:
            self.same_objects = SameObjects(self.same_objects.names, by_bind=True)
        self.is_root_fixed = self.is_root_fixed and not root
        self.are_credentials_fixed = self.are_credentials_fixed and not credentials
        self.generation += 1

    def detect(self, tid: int, call: str, reason: str, **evidence: object) -> None:
        """Log an interference, with the call that it came by, and end the process."""
        self.log.emit(
            EventKind.DETECTION,
            mechanism="notify",
            action=Action.KILL,
            call=call,
            pid=tid,
            tid=tid,
            reason=reason,
            **evidence,
        )
        self.kill(tid)

    def kill(self, tid: int) -> None:
        """End the process of a held task, which cannot run meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(tid, signal.SIGKILL)

    def serve(self, handshake: Handshake) -> None:
        """Run the supervisor until its last target is gone.

        The handshake stays open meanwhile: its end would kill a launcher (`end_with_supervisor`).
        """
        threading.stack_size(_STACK_BYTES)
        signal.signal(_WAKE_SIGNAL, lambda number, frame: None)
        self._workers = [self._make_worker(self) for _ in range(WORKERS)]
        for worker in self._workers:
            worker.start()
        for _ in self._workers:
            self._admitted.acquire()
        own = [os.getpid(), *(worker.native_id or 0 for worker in self._workers)]
        self.protected = Protected(own)
        self.target = handshake.target
        handshake.ready(" ".join(map(str, own)))
        number = int(handshake.wait_go())
        self.listener = _take_listener(handshake, number)
        is_synchronous = notification.wake_synchronously(self.listener)
        self._greet(number, is_synchronous)
        threading.excepthook = self._die
        self._begin.set()
        self._watch()
        handshake.close()
        self.log.emit(
            EventKind.END,
            mechanism="notify",
            decisions=sum(worker.decisions for worker in self._workers),
            judged=dict(sum((worker.judged for worker in self._workers), Counter[str]())),
            denials=sum(worker.denials for worker in self._workers),
        )

    def _greet(self, number: int, is_synchronous: bool) -> None:
        """Meet the launcher's first held call: proof that its filter holds what it shall hold.

        The launcher's own listener is replaced by a closed one's stand-in, so that nobody but the
        supervisor keeps it alive.
        """
        cookie, pid = self._greeting()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        try:
            notification.replace_descriptor(self.listener, cookie, nowhere, number)
        finally:
            os.close(nowhere)
        status = seccomp.status(pid)
        self.log.emit(
            EventKind.ENFORCING,
            mechanism="notify",
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

    def _watch(self) -> None:
        """Return when no target is left.

        Meanwhile interrupt acts that nobody waits for, and let others receive where one takes long.
        """
        slow: tuple[Worker, int] | None = None
        poller = select.poll()
        poller.register(self.listener, 0)
        seen: dict[Worker, tuple[int, bool]] = {}
        while not any(events & select.POLLHUP for _, events in poller.poll(_TICK_MS)):
            for worker in self._workers:
                if self.turn.holder is worker and worker.cookie:
                    busy = (worker, worker.cookie)
                    if busy == slow:
                        self.turn.pass_on(worker)
                    slow = busy
                cookie = worker.acting
                before = seen.get(worker)
                if not cookie or before is None or before[0] != cookie:
                    seen[worker] = (cookie, False)
                    continue
                if not notification.is_held(self.listener, cookie):
                    self._interrupt(worker, cookie, is_signalled=False)
                    continue
                is_signalled = _has_signal(worker.tid)
                seen[worker] = (cookie, is_signalled)
                if is_signalled and before[1]:
                    self._interrupt(worker, cookie, is_signalled=True)

    def _interrupt(self, worker: Worker, cookie: int, *, is_signalled: bool) -> None:
        """Make what `worker` does for `cookie` return EINTR, if it still does (see end_act)."""
        with self.interrupting:
            worker.is_interrupted = True
            if worker.acting == cookie and worker.ident is not None:
                worker.is_signalled = is_signalled
                signal.pthread_kill(acting_thread(worker.ident), _WAKE_SIGNAL)

    def _die(self, failure: threading.ExceptHookArgs) -> NoReturn:
        """A worker met what it cannot deal with: every later held call gets ENOSYS."""
        self.log.emit(
            EventKind.DETECTION,
            mechanism="notify",
            reason="the supervisor failed",
            detail=f"{failure.exc_type.__name__}: {failure.exc_value}",
            place=_place(failure.exc_traceback),
        )
        os._exit(70)


def _place(traceback: TracebackType | None) -> str:
    """The innermost frame of a traceback."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"


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
                if os.readlink(f"/proc/self/fd/{listener}") == _LISTENER_LINK:  # noqa: PTH115
                    return listener
                os.close(listener)
            elif listener != -errno.EBADF:
                raise OSError(-listener, f"the listener is out of reach: {os.strerror(-listener)}")
            if poller.poll(1):
                raise ConnectionError("the launcher ended before it was confined")
    finally:
        os.close(pidfd)


def _has_capabilities() -> bool:
    return int(procfs.status_fields(procfs.read(os.getpid(), "status"))[b"CapPrm"], 16) != 0


def _has_signal(tid: int) -> bool:
    """Whether a signal waits for the task that it does not block."""
    try:
        fields = procfs.status_fields(procfs.read(tid, "status"))
    except OSError:
        return False
    own, shared, blocked = (int(fields[key], 16) for key in (b"SigPnd", b"ShdPnd", b"SigBlk"))
    return bool((own | shared) & ~blocked)
