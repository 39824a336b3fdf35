"""A supervisor that, where openat2 is missing, resolves a name and then opens it by that name.

Another filter's ENOSYS is enough for openat2 to be missing (bubblewrap issue 774, systemd 43314).
"""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin.resolution import resolve_as_caller
from harness.backends.weak import Leaky


class _FallsBack(Worker):
    has_walked = False

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Two walks: one to judge, one to open."""
        with resolve_as_caller(self.view, dirfd, name) as pinned:
            refused = 0 if pinned.errno else self.judge((pinned.name, *pinned.others), 0)
        if refused:
            return -refused
        self.has_walked = not pinned.errno
        try:
            return super().open(dirfd, name, flags, mode, resolve)
        finally:
            self.has_walked = False

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """The second walk is taken for the first one."""
        return 0 if self.has_walked else super().judge(names, missing)


class _Notify(Notify):
    make_worker = _FallsBack


BACKEND = Leaky(
    name="leaky-notify-fallback",
    weakness="walks twice where openat2 is missing: once to judge, once to open",
    enforcer=_Notify(),
    repaired=MECHANISM,
)
