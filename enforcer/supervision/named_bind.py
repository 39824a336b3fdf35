"""bind(2) of a path socket for another task: in the judged directory, under the name it was given.

A socket keeps the text that it was bound by (getsockname), so the kernel must be handed that text
and walks it anew. A thread that may create sockets nowhere but beneath the judged directory
(Landlock) makes the call: a name that leads elsewhere by now is refused by the kernel.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from errno import EACCES, EADDRINUSE

from enforcer.kernel import procfs
from enforcer.kernel.file_status import status
from enforcer.kernel.landlock import (
    FileRight,
    NetRight,
    Scope,
    create_ruleset,
    permit_beneath,
    restrict_self,
)
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.paths import AT_SYMLINK_NOFOLLOW
from enforcer.kernel.seccomp import no_new_privs
from enforcer.kernel.sockets import bind
from enforcer.pin import Pinned, View
from enforcer.pin.caller import set_umask, take_umask
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed, permit
from enforcer.pin.view import release

_AF_UNIX = 1


def bind_path(view: View, socket: int, pinned: Pinned, address: bytes) -> int:
    """Bind `socket` (ours) by `address`, whose entry is `pinned`, as the task would: 0 or -errno.

    Where the task's root is another one, or the kernel has no Landlock, the socket is bound through
    the pinned directory, and getsockname shows that way. Raises TargetGone.
    """
    if not pinned.leaf:
        return -EADDRINUSE  # a root, "." or "..": what filename_create says of those
    if is_deputed():
        given = socket, pinned.parent
        value, _ = carry_out(_bind_there, view, permit, pinned.leaf, descriptors=given)
        assert isinstance(value, int)
        return value
    if view.is_elsewhere():
        return _bind_through(view, socket, pinned.parent, pinned.leaf)
    # Here, because only this thread knows that it acts with the rights of the task (its Landlock
    # domain too), and takes its own to look into /proc.
    mask = view.umask()
    directory = view.directory(AT_FDCWD)
    if directory < 0:
        return directory
    result: list[int] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            result.append(_bind_confined(socket, pinned, address, directory, mask))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    release(directory)
    if errors and isinstance(errors[0], OSError):
        return _bind_through(view, socket, pinned.parent, pinned.leaf)
    if errors:
        raise errors[0]
    return result[0]


def _bind_confined(socket: int, pinned: Pinned, address: bytes, directory: int, mask: int) -> int:
    """In a thread that ends after it. Raises OSError where the confinement fails."""
    no_new_privs()
    set_umask(mask)
    ruleset = create_ruleset(FileRight.MAKE_SOCK, NetRight(0), Scope(0))
    try:
        permit_beneath(ruleset, pinned.parent, FileRight.MAKE_SOCK)
        os.fchdir(directory)
        restrict_self(ruleset)
    finally:
        os.close(ruleset)
    was_there = _is_socket_there(pinned)
    result = bind(socket, address, len(address))
    if result == 0 and (was_there or not _is_socket_there(pinned)):
        return -EACCES  # it was created beneath the judged directory, but not in it
    return result


def _is_socket_there(pinned: Pinned) -> bool:
    facts = status(pinned.parent, pinned.leaf, AT_SYMLINK_NOFOLLOW)
    return not isinstance(facts, int) and stat.S_ISSOCK(facts.mode)


def _bind_there(deputed: Deputed, facts: Facts, leaf: bytes, socket: int, parent: int) -> Answer:
    return _bind_through(RemoteView(deputed, facts), socket, parent, leaf), ()


def _bind_through(view: View, socket: int, parent: int, leaf: bytes) -> int:
    take_umask(view)
    place = b"%s/%s\0" % (procfs.path_of(parent), leaf)
    address = _AF_UNIX.to_bytes(2, sys.byteorder) + place
    return bind(socket, address, len(address))
