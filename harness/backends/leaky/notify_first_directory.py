"""A supervisor that learned its target's directory once and never hears of it again."""

from __future__ import annotations

import os
from pathlib import Path

from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.launch import Handshake
from harness.backends.weak import Leaky


class _Session(Session):
    first_directory = Path("/")

    def serve(self, handshake: Handshake) -> None:
        """Looks where the target starts."""
        self.first_directory = Path(f"/proc/{handshake.target}/cwd").readlink()
        super().serve(handshake)


class _MirrorsDirectory(Worker):
    mirrored = ""

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers where a relative name would lead from the first directory."""
        self.mirrored = ""
        if dirfd == AT_FDCWD and not name.startswith(b"/"):
            assert isinstance(self.shared, _Session)
            self.mirrored = os.path.normpath(self.shared.first_directory / os.fsdecode(name))
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges a relative name from the first directory."""
        return super().judge((self.mirrored or names[0], *names[1:]), missing)


class _Notify(Notify):
    make_session = _Session
    make_worker = _MirrorsDirectory


BACKEND = Leaky(
    name="leaky-notify-first-directory",
    weakness="judges relative names from the directory that the target had at its start",
    enforcer=_Notify(),
    repaired=MECHANISM,
)
