"""What a task writes into its own name stays its name."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.kernel import namespaces, procfs
from enforcer.kernel.seccomp import status as seccomp_status
from enforcer.pin import View
from enforcer.pin.view import name_of
from harness.places.isolation import Isolation, available
from harness.process import fork, wait
from tests.pin.target import Target, libc

_PR_SET_NAME = 15

NAMES = (
    b"\rUid:0 0 0 0",
    b"\rUmask:z",
    b"\rTgid:z",
    b"\rGroups: 1",
    b"\rSeccomp:9",
    b"a\nUid:\t0\t0\t0\t0",
    b"\nUmask:z",
    b"\\n",
    b"\\nUid:\t0",
    b") S 1",
    b"\n) R 1 1 1 1",
    b"\x0bTgid:1",
    b"\x0cTgid:1",
    b"\x1cTgid:1",
    b"\xc2\x85Tgid:1",
    b"Uid:0 0 0 0",
    b":",
    b"",
)


def called(name: bytes) -> Callable[[], None]:
    """What gives a task this name."""
    text = ctypes.create_string_buffer(name)

    def prepare() -> None:
        assert libc.syscall(157, _PR_SET_NAME, ctypes.addressof(text), 0, 0, 0, 0) == 0

    return prepare


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_forges_no_field(name: bytes, tmp_path: Path) -> None:
    """Ids, umask, process, terminal, filters: each is the kernel's, whatever the task's name."""
    with Target(tmp_path, umask=0o027, prepare=called(name)) as target:
        raw = procfs.read(target.pid, "comm")
        assert raw == name[:15] + b"\n"
        view = View(target.pid, target.pid)
        fields = procfs.status_fields(view.status_text())
        assert b"Name" not in fields
        assert fields[b"Uid"].split() == [b"%d" % os.getuid()] * 4
        assert fields[b"Groups"].split() == [b"%d" % group for group in os.getgroups()]
        assert int(fields[b"Tgid"]) == target.pid
        assert (
            fields[b"Seccomp"]
            == procfs.status_fields(procfs.read(os.getpid(), "status"))[b"Seccomp"]
        )
        assert seccomp_status(target.pid) == seccomp_status(os.getpid())
        assert view.umask() == 0o027
        assert view.identity() is None
        session = int(procfs.stat_fields(procfs.read(target.pid, "stat"))[3])
        assert session == os.getsid(target.pid)
        assert view.terminal() == View(os.getpid(), os.getpid()).terminal()


@pytest.mark.skipif(available() is Isolation.PLAIN, reason="the kernel permits no user namespace")
def test_procfs_is_the_one_opened_first(tmp_path: Path) -> None:
    """What is mounted over /proc later is not asked."""

    def child() -> int:
        procfs.root()
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
        namespaces.mount("none", Path("/proc"), "tmpfs")
        assert not Path("/proc/self").exists()
        view = View(os.getpid(), os.getpid())
        assert int(view.status_field(b"Tgid")) == os.getpid()
        fd = view.directory(-100)
        return 0 if fd >= 0 and os.path.samestat(os.fstat(fd), Path.cwd().stat()) else 1

    assert os.waitstatus_to_exitcode(wait(fork(child))) == 0


def test_a_child_sees_its_own_descriptors(tmp_path: Path) -> None:
    """Not those that its parent has under the same numbers, as in a deputy."""
    own = os.open(tmp_path, os.O_PATH)
    try:
        assert name_of(own) == os.fsencode(tmp_path)

        def look() -> int:
            os.dup2(os.open("/", os.O_PATH), own)
            return int(name_of(own) != b"/")

        assert wait(fork(look)) == 0
    finally:
        os.close(own)
