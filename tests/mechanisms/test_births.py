"""However a task is born, it comes under its parent's policy with its parent's hold."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from tests.mechanisms.acting import Acts, run_acts

POLICY = """
default: permit
rules:
  - deny[exdev]: [fsread, fswrite]
    when: filename sub "walled"
  - deny[etime]: clone3
    when: flags sub "CLONE_PIDFD"
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

_PREPARED = """
UNTRACED, VM, FILES, FS, VFORK = 0x800000, 0x100, 0x400, 0x200, 0x4000

def tried():
    traced = next(line for line in open("/proc/self/status") if line.startswith("TracerPid"))
    return traced.split()[1] != "0", call("openat", HERE, "walled/file", 0)

def born(flags):
    read, write = os.pipe()
    pid = call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.write(write, repr(tried()).encode())
        os._exit(0)
    ended = waited(pid)
    os.close(write)  # else a child that said nothing would be waited for here
    return ended, os.read(read, 99).decode()

def born3(flags, size=88):
    read, write = os.pipe()
    arguments = ctypes.create_string_buffer(
        struct.pack("=8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0) + bytes(max(0, size - 64)))
    pid = call("clone3", ctypes.addressof(arguments), size)
    if pid == 0:
        os.write(write, repr(tried()).encode())
        os._exit(0)
    if pid < 0:
        return pid
    ended = waited(pid)
    os.close(write)
    return ended, os.read(read, 99).decode(), struct.unpack_from("=Q", arguments)[0] == flags
"""

ACTS: Acts = {
    "fork": "born(0)",
    "untraced": "born(UNTRACED)",
    "untraced, shared": "born(UNTRACED | FILES | FS)",
    "untraced twice": "[born(UNTRACED) for _ in 'ab']",
    "upper halves": "born(1 << 40 | UNTRACED)",
    "clone3": "born3(0)",
    "clone3, untraced": "born3(UNTRACED)",
    "clone3, short": "[born3(0, size) for size in (64, 80)]",
    "clone3, denied": "born3(0x1000)",
    "clone3, sizes": '[call("clone3", bytes(9000), size) for size in (0, 63, 8192)]',
    "clone3, more behind": 'call("clone3", bytes(88) + b"x" * 8, 96)',
    "clone3, unreadable": 'call("clone3", BAD, 88)',
    "thread": """
        import _thread
        lock, found = _thread.allocate_lock(), []
        lock.acquire()
        def run():
            found.append(call("openat", HERE, "walled/file", 0))
            found.append(min(0, call("openat", HERE, "file", 0)))
            lock.release()
        _thread.start_new_thread(run, ())
        lock.acquire()
        return found, call("openat", HERE, "walled/file", 0)""",
    "posix_spawn": """
        words = ["/bin/sh", "-c", "cat walled/file 2>/dev/null; test $? = 1 && cat file"]
        read, write = os.pipe()
        pid = os.posix_spawn("/bin/sh", words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)])
        return waited(pid), os.read(read, 99)""",
}


def _has_clone3() -> bool:
    """As the kernel says without any enforcer: under one, ENOSYS may be a lost child's."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    return call(435, None, 0) == -1 and ctypes.get_errno() != errno.ENOSYS


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "walled").mkdir()
    (tmp_path / "walled/file").write_text("secret")
    (tmp_path / "file").write_text("free")
    return tmp_path


@pytest.mark.skipif(not _has_clone3(), reason="this kernel lacks clone3")
def test_every_child_is_traced_and_judged(place: Path) -> None:
    """By clone and clone3, with CLONE_UNTRACED or without, in every process and thread."""
    ran, found = run_acts("ptrace", POLICY, ACTS, place, prelude=_PREPARED)
    judged = "(0, '(True, -18)')"
    judged3 = "(0, '(True, -18)', True)"
    assert found == {
        "fork": judged,
        "untraced": judged,
        "untraced, shared": judged,
        "untraced twice": f"[{judged}, {judged}]",
        "upper halves": judged,
        "clone3": judged3,
        "clone3, untraced": judged3,
        "clone3, short": f"[{judged3}, {judged3}]",
        "clone3, denied": "-62",
        "clone3, sizes": "[-22, -22, -7]",
        "clone3, more behind": "-7",
        "clone3, unreadable": "-14",
        "thread": "([-18, 0], -18)",
        "posix_spawn": "(0, b'free')",
    }
    assert not [event for event in ran.events if event["event"] == "detection"]


@pytest.mark.skipif(not _has_clone3(), reason="this kernel lacks clone3")
def test_clone3_is_seen_whatever_the_policy_says_of_it(place: Path) -> None:
    """Also where no rule is on it: each is held, and its child traced, CLONE_UNTRACED or not."""
    policy = POLICY.replace("clone3", "getsid").replace('flags sub "CLONE_PIDFD"', "arg[0] == 99")
    acts = {
        "clone3": ACTS["clone3"],
        "clone3, untraced": ACTS["clone3, untraced"],
        "clone3, own users": """
            arguments = struct.pack("=8Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
            pid = call("clone3", arguments, 64)
            if pid == 0:
                os._exit(0)
            return pid if pid < 0 else waited(pid)""",
    }
    ran, found = run_acts("ptrace", policy, acts, place, prelude=_PREPARED)
    assert {found["clone3"], found["clone3, untraced"]} == {"(0, '(True, -18)', True)"}
    (end,) = (event for event in ran.events if event["event"] == "end")
    judged = end["judged"]
    assert isinstance(judged, dict)
    assert judged["clone3"] == len(acts)


NOTIFIED = {title: text for title, text in ACTS.items() if not title.startswith("clone3")}


def test_every_child_is_supervised(place: Path) -> None:
    """The filter of notify is every child's, and clone3 is absent."""
    acts = {**NOTIFIED, "clone3": "born3(0)"}
    _, found = run_acts("notify", POLICY, acts, place, prelude=_PREPARED)
    judged = "(0, '(False, -18)')"
    assert {title: found[title] for title in ("fork", "untraced", "untraced, shared")} == {
        "fork": judged,
        "untraced": judged,
        "untraced, shared": judged,
    }
    assert found["thread"] == "([-18, 0], -18)"
    assert found["posix_spawn"] == "(0, b'free')"
    assert found["clone3"] == "-38"


WORLDS: Acts = {
    "own mounts": """
        results = [call("unshare", 0x20000), libc.mount(b"walled", b"dir", None, 0x1000, None)]
        tried = [call("openat", HERE, name, 0) for name in ("dir/file", "walled/file")]
        return results, tried""",
    "clone with own mounts": """
        pid = call("clone", 0x20000 | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(-call("openat", HERE, "walled/file", 0))
        return waited(pid), call("openat", HERE, "walled/file", 0)""",
    "a root": """
        os.mkdir("root"), os.symlink("/secret", "root/link")
        os.close(call("openat", HERE, "root/secret", os.O_CREAT | os.O_WRONLY, 0o600))
        os.chroot("root"), os.chdir("/")
        names = ("/link", "link", "../../link")
        return [min(0, call("openat", HERE, name, 0)) for name in names]""",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_names_after_a_change_of_the_world(mechanism: str, place: Path) -> None:
    """Denied objects stay denied in namespaces and roots that a target may make for itself."""
    (place / "dir").mkdir()
    _, found = run_acts(mechanism, POLICY, WORLDS, place, prelude=_PREPARED)
    assert found["clone with own mounts"] == "(18, -18)"
    assert found["a root"] == "[0, 0, 0]"
    assert found["own mounts"].endswith("-18])")
