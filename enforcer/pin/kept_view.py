"""What a supervisor that sees every change to its tasks keeps of one: asked once, until then."""

from __future__ import annotations

from enforcer.pin.identity import as_supervisor
from enforcer.pin.standing import Standing
from enforcer.pin.view import View


class KeptView(View):
    """A view that asks once who its task is, in which mount namespace, and for its umask.

    Its owner sees whatever may change that: the task's birth, its calls on credentials, namespaces
    and umask, and the executions of all threads of its process.

    Whoever shares a umask (CLONE_FS, as threads do) changes it for all, and between the stop at
    that call and its effect another one may create something: `shares_umask`, and it is asked for
    at each use.

        A: umask(0), held: forgotten
                                        B: mkdir, held: would be asked for, and kept as it was
        A: has umask 0
    """

    __slots__ = ("_has_own_mounts", "_standing", "_umask", "shares_umask")

    def __init__(self, tid: int, tgid: int) -> None:
        super().__init__(tid, tgid)
        self._standing: Standing | None = None
        self._has_own_mounts: bool | None = None
        self._umask: int | None = None
        self.shares_umask = False

    def is_elsewhere(self) -> bool:
        """Whether an absolute name may lead the task to something else than its supervisor."""
        places = self.places
        if self.fixed_root or places is None:
            return not self.fixed_root
        if self._has_own_mounts is None:
            self._has_own_mounts = not as_supervisor(lambda: places.are_those_of(self.tid))
        if self._has_own_mounts or not places.are_as_before():
            return True
        return not as_supervisor(lambda: places.has_same_root(self.tid))

    def standing(self) -> Standing:
        """Who the task is. Raises TargetGone."""
        if self._standing is None:
            self._standing = self.ask_standing()
        return self._standing

    def umask(self) -> int:
        """The task's file mode creation mask. Raises TargetGone."""
        known = self._umask
        if known is None or self.shares_umask:
            known = self._umask = super().umask()
        return known

    def forget_umask(self) -> None:
        """Ask for it again at the next use."""
        self._umask = None

    def forget(self) -> None:
        """Ask again at the next use: the task may have changed who it is, or be another thread."""
        self._standing = None
        self._has_own_mounts = None
        self._umask = None
