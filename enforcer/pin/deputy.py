"""Deputies: processes of the supervisor's that have joined a task's namespaces, and act there.

A thread cannot: only a process of one thread joins a user namespace (userns_install in
kernel/user_namespace.c), and it cannot come back. So a deputy is forked, joins, takes on the task's
ids, groups and capabilities there, and then does what it is told for tasks of just that authority;
judging and looking at the task stay with the supervisor, which answers the deputy's questions.

    supervisor                        deputy
    tells: the act, its arguments     walks the name, asks for the task's root, directory, memory
    answers, judges                   acts on what was judged
    has the result                    says it is done, with a descriptor if there is one
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EPERM
from typing import NoReturn

from enforcer.kernel import namespaces, procfs
from enforcer.kernel.credentials import (
    file_ids,
    set_acting_ids,
    set_effective_capabilities,
    set_file_ids,
    set_groups,
)
from enforcer.kernel.pidfd import pidfd_open
from enforcer.kernel.prctl import forbid_dumping
from enforcer.pin.channel import Answer, Deputed, Hung, Question, Supervising, Value
from enforcer.pin.domain import Domain
from enforcer.pin.identity import (
    Identity,
    OutOfReach,
    acting_deputy,
    as_supervisor,
    becomes,
    parse_identity,
)

Work = Callable[..., Answer]
"""work(deputed, *arguments), a function of a module: what it gives is sent back."""

JOINED = ("mnt", "net", "uts", "ipc")
"""The kinds beside `user` that a deputy joins. A pid namespace is only joined by children; those
of time and cgroups matter to what a task reads by itself."""

_MOST_IDLE = 6
_UNMAPPED = "its ids, namespaces or capabilities cannot be taken on"


pids: set[int] = set()
"""The process numbers of the deputies that live."""


class Deputy:
    """One of them, for tasks that are `who`, with the Landlock domain of the thread that made it.

    `is_real`: `who` has been made the one that access(2) asks about. Raises OutOfReach.
    """

    def __init__(self, tid: int, who: Identity, own: Identity, is_real: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        links = as_supervisor(lambda: _links(tid, who, own))
        try:
            child = os.fork()
            if child == 0:
                _between(theirs, lambda: _become(tid, who, own, is_real, links), links)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)  # a tracer, which waits for everybody, may have been first
        finally:
            theirs.close()
            for _, link in links:
                os.close(link)
        self._channel = Supervising(ours)
        self.pidfd = -1
        try:
            word, _ = self._channel.hear()
            pid = word[1] if word[0] == "ready" else None
            if not isinstance(pid, int):
                raise OutOfReach(_UNMAPPED)
            self.pidfd = pidfd_open(pid)
            self._pid = pid
            pids.add(pid)
        except Hung as error:
            raise OutOfReach(_UNMAPPED) from error

    def __del__(self) -> None:
        self.end()

    def end(self) -> None:
        """End it, whatever it is doing."""
        self._channel.close()
        if self.pidfd >= 0:
            with suppress(OSError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.close(self.pidfd)
            self.pidfd = -1
            pids.discard(self._pid)

    def do(
        self,
        work: Work,
        arguments: Sequence[Value],
        descriptors: Sequence[int],
        questions: Mapping[str, Question],
    ) -> tuple[Value, list[int]]:
        """What `work` gives there. Raises OutOfReach where the deputy is no more.

        An exception of a question ends the deputy: what it was doing has lost its sense.
        """
        try:
            self._channel.tell((work, tuple(arguments)), descriptors)
            return self._channel.serve(questions)
        except Hung as error:
            self.end()
            raise OutOfReach("its deputy has ended") from error
        except BaseException:
            self.end()
            raise


_Key = tuple[Identity, bool, Domain | None]


class Deputies:
    """Those of one supervisor that are at hand, the last used at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[Deputy, _Key] = OrderedDict()

    def act(
        self,
        tid: int,
        who: Identity,
        own: Identity,
        act: Callable[[], int],
        *,
        is_real: bool,
        domain: Domain | None,
    ) -> int:
        """What `act` returns, with a deputy for who is `who` at hand to the current thread.

        It is called in a thread of `domain`. `is_real`: see Deputy. Raises OutOfReach.
        """
        key = (who, is_real, domain)
        deputy = self._take(key) or Deputy(tid, who, own, is_real)
        with becomes(deputy, deputy.pidfd):
            result = act()
        if deputy.pidfd >= 0:
            self._give(deputy, key)
        return result

    def _take(self, key: _Key) -> Deputy | None:
        with self._lock:
            for deputy, known in reversed(self._idle.items()):
                if known == key:
                    del self._idle[deputy]
                    return deputy
        return None

    def _give(self, deputy: Deputy, key: _Key) -> None:
        with self._lock:
            self._idle[deputy] = key
            if len(self._idle) > _MOST_IDLE:
                self._idle.popitem(last=False)


deputies = Deputies()


def current() -> Deputy | None:
    """The deputy that acts for the current thread."""
    deputy = acting_deputy()
    assert deputy is None or isinstance(deputy, Deputy)
    return deputy


def links_of(tid: int) -> tuple[str, ...]:
    """The namespaces of JOINED that a task is in; empty where they cannot be seen."""
    try:
        return tuple(os.readlink(f"{tid}/ns/{kind}", dir_fd=procfs.root()) for kind in JOINED)
    except OSError:
        return ()


def _links(tid: int, who: Identity, own: Identity) -> list[tuple[str, int]]:
    """Descriptors of the namespaces to join: user namespaces from the outermost to the innermost.

    Raises OutOfReach.
    """
    found: list[tuple[str, int]] = []
    try:
        for kind, link, our_own in zip(JOINED, who.others, own.others, strict=True):
            if link != our_own:
                found.append((kind, _link(tid, kind)))
        if who.namespace != own.namespace:
            ours = os.stat("self/ns/user", dir_fd=procfs.root()).st_ino
            first = len(found)
            found.append(("user", _link(tid, "user")))
            while os.fstat(parent := namespaces.parent_of(found[first][1])).st_ino != ours:
                found.insert(first, ("user", parent))
            os.close(parent)
    except (OSError, ValueError) as error:
        for _, descriptor in found:
            os.close(descriptor)
        raise OutOfReach(_UNMAPPED) from error
    return found


def _link(tid: int, kind: str) -> int:
    return os.open(f"{tid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.root())


def _between(
    end: socket.socket, become: Callable[[], Identity], links: Sequence[tuple[str, int]]
) -> NoReturn:
    """In a child that ends at once: a tracer waits for its children until there is none left."""
    try:
        gc.disable()  # what is collected now would close descriptors by numbers that mean others
        if os.fork() == 0:
            _serve(Deputed(end), become, {end.fileno(), *(link for _, link in links)})
    finally:
        os._exit(0)


def _serve(deputed: Deputed, become: Callable[[], Identity], wanted: set[int]) -> NoReturn:
    """The life of a deputy, until its supervisor's end closes."""
    try:
        forbid_dumping()
        _keep_only({0, 1, 2, procfs.root(), *wanted})
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        identity = become()
        threading.Thread(target=_end_with_supervisor, args=(deputed,), daemon=True).start()
        procfs.work_from_root()
        deputed.say("ready", os.getpid())
        with becomes(None, -1, identity):
            while True:
                word, descriptors = deputed.heed()
                assert isinstance(word, tuple)
                work, arguments = word
                value, given = work(deputed, *arguments, *descriptors)
                deputed.finish(value, given, descriptors)
    finally:
        os._exit(0)


def _end_with_supervisor(deputed: Deputed) -> None:
    """In a thread, which a user namespace joined leaves alone from now on (userns_install).

    The other one may wait in an act for what never comes (a FIFO, a lease), and no signal follows
    the supervisor's end: PR_SET_PDEATHSIG is about the parent, which has ended long before.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    deputed.wait_for_end()
    os._exit(0)


def _keep_only(wanted: set[int]) -> None:
    """Close all descriptors but these: the listener, the log, other deputies, memory of tasks."""
    lowest = 0
    for descriptor in sorted(wanted):
        if lowest < descriptor:  # closerange(0, 0) closes all (close_range(0, -1))
            os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def _become(
    tid: int, who: Identity, own: Identity, is_real: bool, links: Sequence[tuple[str, int]]
) -> Identity:
    """Join the namespaces and take on the task's rights: who that is as numbered there.

    To join one takes CAP_SYS_ADMIN in the user namespace that owns it, and each user namespace
    joined gives all capabilities there (set_cred_user_ns): so whatever could not be joined before
    is tried again behind each. Ids are the kernel's own (kuid_t) and stay what they are in any
    namespace, so they are set outside first, where they have a number although nobody may have
    mapped them inside yet. An ordinary user may set them inside only. Raises OSError.
    """
    is_itself = _has_ids(who, own)
    if not is_itself:
        is_itself = not (who.groups != own.groups and set_groups(who.groups))
        is_itself = is_itself and not set_acting_ids(who.uids, who.gids, own.permitted)
    pending = [link for kind, link in links if kind != "user"]
    pending = [link for link in pending if namespaces.setns(link)]
    for kind, link in links:
        if kind == "user":
            _check(namespaces.setns(link))
            pending = [other for other in pending if namespaces.setns(other)]
    for _, link in links:
        os.close(link)
    if pending:
        raise OSError(EPERM, _UNMAPPED)
    wanted = who if is_itself else _take_ids_inside(tid, who)
    uid, gid = file_ids()
    wanted = wanted._replace(uids=(uid,) * 4, gids=(gid,) * 4)
    effective = (0 if uid else who.permitted) if is_real else who.effective
    if who.namespace == own.namespace:
        effective &= own.permitted
    _check(set_effective_capabilities(effective, effective))
    return wanted


def _take_ids_inside(tid: int, who: Identity) -> Identity:
    """Take on the ids and groups of a task as their numbers are here. Raises OSError."""
    fields, own_fields = (
        procfs.status_fields(procfs.read(each, "status")) for each in (tid, os.getpid())
    )
    wanted = parse_identity(fields, who.namespace, who.others)
    if wanted.groups != parse_identity(own_fields, who.namespace).groups:
        _check(set_groups(wanted.groups))
    _check(set_file_ids(wanted.uids[3], wanted.gids[3]))
    return wanted


def _has_ids(who: Identity, own: Identity) -> bool:
    return (who.uids, who.gids, who.groups) == (own.uids, own.gids, own.groups)


def _check(result: int) -> None:
    if result:
        raise OSError(EPERM, _UNMAPPED)
