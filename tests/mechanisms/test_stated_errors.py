"""Where a mechanism's answer differs from the kernel's, it does as docs/limits.md says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EACCES, EEXIST, EFAULT, EINVAL, ELOOP, EMFILE, ENOENT, EPERM, ESRCH
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mechanisms.acting import bare_acts, run_acts
from tests.mechanisms.test_as_bare import POLICY, planted

MECHANISMS = ("ptrace", "notify")


class Stated(NamedTuple):
    """An act, what comes of it bare, and what under a mechanism."""

    act: str
    bare: object
    held: object


EVERYBODYS: Mapping[str, Stated] = {
    "self and up again, in a scope": Stated(
        """
        top = os.open("/proc", os.O_PATH)
        hows = [struct.pack("=QQQ", 0, 0, scope) for scope in (0, 1, 8, 16)]
        return [min(0, call("openat2", top, "self/../self/comm", how, 24)) for how in hows]""",
        [0, 0, 0, 0],
        [0, -ELOOP, -ELOOP, -ELOOP],
    ),
    "more than 40 links in a name": Stated(
        """
        os.symlink("dir", "d0"), os.symlink("file", "f0")
        for number in range(1, 21):
            os.symlink(f"d{number - 1}", f"d{number}"), os.symlink(f"f{number - 1}", f"f{number}")
        return [min(0, call("openat", HERE, name, 0)) for name in ("d20/../f18", "d20/../f20")]""",
        [0, -ELOOP],
        [0, 0],
    ),
    "a name that is mapped for writing alone": Stated(
        """
        place = libc.mmap(None, PAGE, 3, 0x22, -1, 0)
        ctypes.memmove(place, b"file", 5)
        libc.mprotect(ctypes.c_void_p(place), PAGE, 2)
        return min(0, call("openat", HERE, place, 0)), call("faccessat", HERE, place, 0)""",
        (0, 0),
        (-EFAULT, -EFAULT),
    ),
    "a copy of a tree that is not there": Stated(
        'call("open_tree", HERE, "absent", 1)', -ENOENT, -EPERM
    ),
    "a handle that cannot be read": Stated(
        'call("open_by_handle_at", HERE, BAD, 0)', -EFAULT, -EPERM
    ),
    "unknown flags, and a task that is not there": Stated(
        'call("pidfd_open", 0x7FFF_FFFF, 1 << 20)', -EINVAL, -ESRCH
    ),
    "one of several messages with a wrong address": Stated(
        """
        receiver = socket.socket(type=socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        address = inet(receiver.getsockname()[1])
        good, wrong = (message(address, b"x", length=size) + bytes(8) for size in (16, 3))
        return call("sendmmsg", datagram(), good + wrong, 2, 0)""",
        1,
        -EINVAL,
    ),
    "a new file without a descriptor for it": Stated(
        """
        import resource
        os.path.exists("new") and os.unlink("new")
        fds = [os.open("file", 0) for _ in "ab"]
        resource.setrlimit(resource.RLIMIT_NOFILE, (fds[-1] + 1, fds[-1] + 1))
        made = call("openat", HERE, "new", os.O_CREAT | os.O_WRONLY, 0o600)
        return made, os.path.exists("new")""",
        (-EMFILE, False),
        (-EMFILE, True),
    ),
    "wrong in two ways": Stated(
        """
        return (call("linkat", HERE, "absent", HERE, BAD, 0),
                call("sendmsg", datagram(), 0, 0x8000_0000))""",
        (-ENOENT, -EINVAL),
        (-EFAULT, -EFAULT),
    ),
    "the program of a process whose first thread has ended": Stated(
        """
        import threading
        (reads, writes), place = os.pipe(), at(bytes(8))
        def last(first):
            while open(f"/proc/self/task/{first}/stat").read().rpartition(")")[2].split()[0] != "Z":
                pass
            os.write(writes, str(call("readlinkat", HERE, "/proc/self/exe", place, 8)).encode())
            os._exit(0)
        if (child := os.fork()) == 0:
            threading.Thread(target=last, args=(os.getpid(),)).start()
            call("exit", 0)
        os.waitpid(child, 0)
        return int(os.read(reads, 9))""",
        -ENOENT,
        -EINVAL,
    ),
}

WITH_OTHER_IDS: Mapping[str, Stated] = {
    "a descriptor's name is taken": Stated(
        """
        fd = os.open("file", os.O_RDWR)
        os.setresuid(65534, 65534, 65534)
        flags = os.O_CREAT | os.O_EXCL
        return [call("openat", HERE, f"/proc/self/fd/{fd}", flags | more) for more in (0, 1, 2)]""",
        [-EEXIST, -EEXIST, -EEXIST],
        [-EEXIST, -EEXIST, -EEXIST],
    ),
    "about the table of descriptors": Stated(
        """
        fd, table = os.open("file", 0), os.open("/proc/self/fd", os.O_PATH)
        os.setresuid(65534, 65534, 65534)
        how = struct.pack("=QQQ", 0, 0, 8)
        return [min(0, call("openat", HERE, "/proc/self/fd", 0)),
                min(0, call("openat", HERE, f"/proc/self/fd/{fd}", 0)),
                min(0, call("openat", HERE, "/proc/self/fd/.", 0)),
                min(0, call("openat", table, str(fd), 0)),
                call("mkdirat", HERE, f"/proc/self/fd/{fd}", 0o700),
                call("faccessat", HERE, "/proc/self/fd", 4)]""",
        [0, 0, 0, 0, -EEXIST, 0],
        [0, 0, -EACCES, -EACCES, -EACCES, -EACCES],
    ),
}
"""After a change of ids, for which it takes root."""


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("stated", [EVERYBODYS, WITH_OTHER_IDS], ids=["everybody", "other-ids"])
def test_answers_are_those_stated(
    mechanism: str, stated: Mapping[str, Stated], tmp_path: Path
) -> None:
    """Both what the kernel says, and what the mechanism says instead."""
    if stated is WITH_OTHER_IDS and os.geteuid() != 0:
        pytest.skip("needs root")
    bare, held = planted(tmp_path / "bare"), planted(tmp_path / "held")
    tmp_path.chmod(0o755)
    acts = {title: each.act for title, each in stated.items()}
    _, found = run_acts(mechanism, POLICY, acts, held)
    assert bare_acts(acts, bare) == {title: repr(each.bare) for title, each in stated.items()}
    assert found == {title: repr(each.held) for title, each in stated.items()}
