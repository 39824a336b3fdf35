"""Acting within a Landlock domain like the caller's own.

A domain is a task's and its children's for ever, and no other task can join it. But the ruleset
that made it can be enforced on a thread of the supervisor too, at the same moment: what is then
done in such a thread is held to the caller's own rights (landlock(7)).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from errno import EPERM
from queue import SimpleQueue
from typing import Protocol

from enforcer.kernel.landlock import restrict_self
from enforcer.kernel.seccomp import no_new_privs
from enforcer.pin.identity import Asking, stand_in

Job = Callable[[], None]


class Domain:
    """One domain, beneath `parent` (None: only this layer); `ruleset` is read at once.

    Made while landlock_restrict_self is held:

        target                        supervisor
        landlock_restrict_self(R)     held: a thread restricts itself by a duplicate of R
                                      lets it go on
        is restricted by R

    Rules added to R in between bind the thread more than the target, never less. Raises OSError
    where the kernel refuses, as it may also the target (E2BIG: beyond 16 layers).

    A domain keeps who is in it from looking at a task outside of it (hook_ptrace_access_check), and
    from opening what it does not permit: so acts ask the thread that had them begun for that.
    """

    def __init__(self, ruleset: int, parent: Domain | None = None) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        begun: SimpleQueue[OSError | None] = SimpleQueue()
        keeper = threading.Thread(target=self._keep, args=(ruleset, begun), daemon=True)
        if parent is None:
            keeper.start()
        else:
            parent._jobs.put(keeper.start)
        error = begun.get()
        if error is not None:
            raise error

    def _keep(self, ruleset: int, begun: SimpleQueue[OSError | None]) -> None:
        try:
            no_new_privs()
            restrict_self(ruleset)
        except OSError as error:
            begun.put(error)
            return
        begun.put(None)
        while True:
            self._jobs.get()()

    def run(self, act: Callable[[], int]) -> int:
        """What `act` returns, done in a thread of the domain. An exception of it is raised here."""
        asking = Asking()
        result = -EPERM
        errors: list[BaseException] = []

        def body() -> None:
            nonlocal result
            try:
                with stand_in(asking):
                    result = act()
            except BaseException as error:
                errors.append(error)
            finally:
                asking.end()

        # The keeper starts it: a thread has the credentials, so the domain, of who started it.
        self._jobs.put(threading.Thread(target=body, daemon=True).start)
        asking.serve()
        if errors:
            raise errors[0]
        return result


def domain_from(descriptor: int, parent: Domain | None) -> Domain:
    """The domain that a ruleset (`descriptor`, consumed) makes beneath `parent`. Raises OSError."""
    try:
        return Domain(descriptor, parent)
    finally:
        os.close(descriptor)


class Caller(Protocol):
    """A task as far as it matters here: its process, and when it began (see View)."""

    @property
    def tgid(self) -> int: ...

    def began(self) -> int: ...


class Domains:
    """Whose acts are done in which domain, for a supervisor that sees no births.

    A domain passes to whoever is born of its tasks, and nothing in /proc tells who has one. So from
    the first restriction on, every process that restricted itself and every task that began later
    is held to all the domains made so far. Start times are asked for: a thread that executes gets
    its leader's (de_thread), but is of a process that restricted itself, or that began later.
    """

    def __init__(self) -> None:
        self._latest: Domain | None = None
        self._since = 0
        self._restricted: set[int] = set()

    def enter(self, view: Caller, ruleset: int) -> None:
        """The process of `view` restricts itself by a ruleset (consumed). Raises OSError."""
        domain = domain_from(ruleset, self._latest)
        if self._latest is None:
            seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
            self._since = int(seconds * os.sysconf("SC_CLK_TCK"))
        self._restricted.add(view.tgid)
        self._latest = domain

    def of(self, view: Caller) -> Domain | None:
        """The domain in which acts are done for a held task. Raises TargetGone."""
        if self._latest is None:
            return None
        is_in = view.tgid in self._restricted or view.began() >= self._since
        return self._latest if is_in else None
