"""A supervisor that judges every relative name from the current directory."""

from __future__ import annotations

import os

from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import open_judged, resolve
from harness.backends.weak import Leaky


class _IgnoresDirfd(Worker):
    def open(
        self, dirfd: int, name: bytes, flags: int, mode: int, resolve_flags: int | None
    ) -> int:
        """Opens from the directory that the call names, judges from another."""

        def judge(names: tuple[str, ...], missing: int) -> int:
            if dirfd == AT_FDCWD or name.startswith(b"/"):
                return self.judge(names, missing)
            with resolve(self.view, AT_FDCWD, name, follow=not flags & os.O_NOFOLLOW) as pinned:
                return self.judge((pinned.name,), pinned.missing)

        return open_judged(self.view, dirfd, name, flags, mode, judge, resolve=resolve_flags)


class _Notify(Notify):
    make_worker = _IgnoresDirfd


BACKEND = Leaky(
    name="leaky-notify-dirfd",
    weakness="judges relative names as if the directory descriptor were not there",
    enforcer=_Notify(),
    repaired=MECHANISM,
)
