"""What a call takes from its caller beside its arguments, put on the thread that performs it."""

from __future__ import annotations

import os
import threading

from enforcer.kernel.paths import umask, unshare
from enforcer.pin.view import View

_CLONE_FS = 0x200


_thread = threading.local()


def take_umask(view: View) -> None:
    """Give the current thread the task's umask, for a call that creates something."""
    set_umask(view.umask())


def set_umask(wanted: int) -> None:
    """Give the current thread this umask.

    The first time in a thread its umask and working directory stop being shared with others.
    """
    current: int | None = getattr(_thread, "umask", None)
    if current is None:
        result = unshare(_CLONE_FS)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
    if current != wanted:
        umask(wanted)
        _thread.umask = wanted
