"""Every act by a caller with less authority than its supervisor ends as it does bare.

Rule 1 of what "held" takes: acts (opening, creating, changing, executing, reaching sockets) times
ways of having less authority, result by result: errno, and owner and mode of what was made.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import run

BOTH = ("ptrace", "notify")
PATH_RULES = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - permit: [connect, bind, sendto]
    when: sockaddr match "*"
"""

_PRELUDE = """
import ctypes, errno, fcntl, grp, json, os, resource, signal, socket, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
NEWNS, NEWNET, NEWUSER = 0x20000, 0x40000000, 0x10000000

def libcall(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)

def shape(name):
    found = os.lstat(name)
    return [oct(found.st_mode), found.st_uid, found.st_gid, found.st_size]

def drop_capabilities():
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    libcall("capset", header, nothing)

def put_capabilities_aside():
    header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libcall("capget", header, data)
    words = struct.unpack("=6I", data.raw)
    libcall("capset", header, struct.pack("=6I", 0, words[1], 0, 0, words[4], 0))

def drop_ids(groups=()):
    os.setgroups(groups)
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)

def own_landlock():
    handled = (1 << 13) - 1
    ruleset = libc.syscall(444, struct.pack("=Q", handled), 8, 0)
    fd = os.open("open", os.O_PATH)
    right = 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8
    assert libc.syscall(445, ruleset, 1, struct.pack("=Qi", right, fd), 0) == 0
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(446, ruleset, 0) == 0

def own_user(mapped=True, more=0):
    uid, gid = os.geteuid(), os.getegid()
    libcall("unshare", NEWUSER | more)
    if mapped:
        maps = {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}
        for name, text in maps.items():
            with open("/proc/self/" + name, "w") as file:
                file.write(text)

def own_mounts():
    own_user(more=NEWNS)
    libcall("mount", b"none", b"/", None, 1 << 14 | 1 << 18, None)
    libcall("mount", b"t", b"open/dir", b"tmpfs", 0, b"mode=755")
    open("open/dir/file", "w").close()
    os.mkdir("open/dir/dir")

def new_root():
    os.chroot(".")
    os.chdir("/")

def limit(which, value):
    resource.setrlimit(which, (value, value))

WAYS = {
    "as it is": lambda: None,
    "other ids": drop_ids,
    "other ids, one group": lambda: drop_ids([1234]),
    "other ids to the file system": lambda: (libc.setfsgid(65534), libc.setfsuid(65534)),
    "no capabilities": drop_capabilities,
    "own Landlock domain": own_landlock,
    "own user namespace": own_user,
    "own user namespace, nobody mapped": lambda: own_user(False),
    "own user namespace in another": lambda: (own_user(), own_user()),
    "own user namespace, no capabilities": lambda: (own_user(), drop_capabilities()),
    "own user namespace, capabilities put aside": lambda: (own_user(), put_capabilities_aside()),
    "other ids, own user namespace": lambda: (drop_ids(), libcall("unshare", NEWUSER)),
    "own mounts": own_mounts,
    "own mounts, Landlock": lambda: (own_mounts(), own_landlock()),
    "own network": lambda: own_user(more=NEWNET),
    "other root": new_root,
    "small files": lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                            limit(resource.RLIMIT_FSIZE, 1000)),
    "few descriptors": lambda: limit(resource.RLIMIT_NOFILE, 8),
    "not dumpable": lambda: libc.prctl(4, 0, 0, 0, 0),
    "umask": lambda: os.umask(0o077),
}

def opened(name, flags, mode=0o666):
    fd = os.open(name, flags, mode)
    os.close(fd)
    return shape(name) if flags & os.O_CREAT else "opened"

def made(act, *args):
    act(*args)
    return shape(args[-1] if act in (os.symlink, os.link, os.rename) else args[0])

def attribute(name):
    os.setxattr(name, "user.x", b"y")
    return os.getxattr(name, "user.x").decode()

def reach(name, act):
    with socket.socket(socket.AF_UNIX) as own:
        getattr(own, act)(name)
    return shape(name) if act == "bind" else "reached"

def send(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        return own.sendto(b"x", name)

def low_port():
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("127.0.0.1", 1023))
    return "bound"

def execute(name):
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(name, [name])
        except OSError as error:
            os._exit(100 + error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def many():
    fds = []
    try:
        for _ in range(9):
            fds.append(os.open("open/file", os.O_RDONLY))
    finally:
        for fd in fds:
            os.close(fd)

def by_descriptor(act):
    fd = os.open("open/file", os.O_RDONLY)
    try:
        return act(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)

ACTS = {}
for d in "open", "mine", "open/dir":
    ACTS |= {
        f"read {d}": lambda d=d: opened(d + "/file", os.O_RDONLY),
        f"write {d}": lambda d=d: opened(d + "/file", os.O_WRONLY),
        f"list {d}": lambda d=d: sorted(os.listdir(d)),
        f"look at {d}": lambda d=d: opened(d + "/file", os.O_PATH) if d else 0,
        f"stat {d}": lambda d=d: shape(d + "/file"),
        f"access {d}": lambda d=d: [os.access(d + "/file", m) for m in (4, 2, 1)],
        f"access, effective {d}": lambda d=d: [os.access(d + "/file", m, effective_ids=True)
                                               for m in (4, 2, 1)],
        f"create {d}": lambda d=d: opened(d + "/new", os.O_CREAT | os.O_WRONLY),
        f"exclusive {d}": lambda d=d: opened(d + "/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
        f"mkdir {d}": lambda d=d: made(os.mkdir, d + "/made"),
        f"mkfifo {d}": lambda d=d: made(os.mkfifo, d + "/fifo"),
        f"device {d}": lambda d=d: made(os.mknod, d + "/null", 0o600 | stat.S_IFCHR, 259),
        f"symlink {d}": lambda d=d: made(os.symlink, "file", d + "/link"),
        f"readlink {d}": lambda d=d: os.readlink(d + "/link"),
        f"link {d}": lambda d=d: made(os.link, d + "/file", d + "/hard"),
        f"rename {d}": lambda d=d: made(os.rename, d + "/hard", d + "/other"),
        f"chmod {d}": lambda d=d: made(os.chmod, d + "/file", 0o640),
        f"chown {d}": lambda d=d: made(os.chown, d + "/file", os.getuid(), os.getgid()),
        f"chown away {d}": lambda d=d: made(os.chown, d + "/file", 1, 1),
        f"times {d}": lambda d=d: made(os.utime, d + "/file", (1, 2)),
        f"times now {d}": lambda d=d: made(os.utime, d + "/file"),
        f"truncate {d}": lambda d=d: made(os.truncate, d + "/file", 900),
        f"truncate further {d}": lambda d=d: made(os.truncate, d + "/file", 1100),
        f"attribute {d}": lambda d=d: attribute(d + "/file"),
        f"bind {d}": lambda d=d: reach(d + "/socket", "bind"),
        f"rmdir {d}": lambda d=d: os.rmdir(d + "/made"),
        f"rmdir of a mount point {d}": lambda d=d: os.rmdir(d + "/dir"),
        f"unlink {d}": lambda d=d: os.unlink(d + "/other"),
        f"statfs {d}": lambda d=d: hex(os.statvfs(d + "/file").f_namemax),
    }
ACTS |= {
    "connect": lambda: reach("open/listening", "connect"),
    "send": lambda: send("open/datagrams"),
    "connect to mine": lambda: reach("mine/listening", "connect"),
    "low port": low_port,
    "execute": lambda: execute("/bin/true"),
    "execute what only I may": lambda: execute("mine/program"),
    "many": many,
    "read by capability": lambda: opened("open/closed", os.O_RDONLY),
    "access by capability": lambda: os.access("open/closed", 4, effective_ids=True),
    "own status": lambda: opened("/proc/self/status", os.O_RDONLY),
    "own memory": lambda: opened("/proc/self/mem", os.O_RDONLY),
    "limits": lambda: opened("/proc/self/limits", os.O_RDONLY),
    "own descriptor": lambda: opened("/proc/self/fd/1", os.O_RDONLY) and "opened",
    "own descriptors": lambda: {"0", "1"} <= set(os.listdir("/proc/self/fd")),
    "own file again": lambda: by_descriptor(lambda name: opened(name, os.O_RDONLY)),
    "own file's access": lambda: by_descriptor(lambda name: [os.access(name, m) for m in (4, 2)]),
    "own file's mode": lambda: by_descriptor(lambda name: oct(os.stat(name).st_mode)),
    "own link": lambda: stat.S_ISLNK(os.lstat("/proc/self/fd/1").st_mode),
    "own link's text": lambda: os.readlink("/proc/self/fd/1").partition(":")[0],
    "own program": lambda: os.path.basename(os.readlink("/proc/self/exe"))[:6],
    "own descriptor's place": lambda: open("/proc/thread-self/fdinfo/1").readline(),
    "host name": lambda: opened("/proc/sys/kernel/hostname", os.O_RDONLY),
    "working directory": lambda: os.chdir("open") or os.listdir("."),
}
"""

_BODY = """
way = sys.argv[2]
for d, mode in ("open", 0o777), ("mine", 0o700), ("open/dir", 0o777):
    os.mkdir(d)
    os.chmod(d, mode)
    with open(d + "/file", "w") as file:
        file.write("text")
    os.chmod(d + "/file", 0o644)
with open("mine/program", "w") as file:
    file.write("#!/bin/true\\n")
os.chmod("mine/program", 0o700)
open("open/closed", "w").close()
os.chmod("open/closed", 0)
kept = []
for d in "open", "mine":
    for kind, name in (socket.SOCK_STREAM, "listening"), (socket.SOCK_DGRAM, "datagrams"):
        kept.append(socket.socket(socket.AF_UNIX, kind))
        kept[-1].bind(f"{d}/{name}")
        os.chmod(f"{d}/{name}", 0o666)
    kept[-2].listen()
kept = [each.detach() for each in kept]
WAYS[way]()
said = {}
for title, act in ACTS.items():
    try:
        said[title] = act()
    except OSError as error:
        said[title] = errno.errorcode[error.errno]
os.write(1, json.dumps(said).encode())
"""

WAYS = (
    "as it is",
    "other ids",
    "other ids, one group",
    "other ids to the file system",
    "no capabilities",
    "own Landlock domain",
    "own user namespace",
    "own user namespace, nobody mapped",
    "own user namespace in another",
    "own user namespace, no capabilities",
    "own user namespace, capabilities put aside",
    "other ids, own user namespace",
    "own mounts",
    "own mounts, Landlock",
    "own network",
    "other root",
    "small files",
    "few descriptors",
    "not dumpable",
    "umask",
)

LIMITS = {
    ("notify", "own Landlock domain"): {"look at mine"},
    ("notify", "own mounts, Landlock"): {"look at mine"},
    ("notify", "own user namespace, capabilities put aside"): {"own memory"},
}
"""What cannot end as it does bare: notify gives a descriptor for reading where O_PATH is asked for,
and reading is what the domain forbids; and a task needs no right for its own memory, but who opens
it for the task does (__ptrace_may_access)."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can walk to, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def said_by(backend: str | None, way: str, place: Path) -> dict[str, object]:
    """What each act came to, alone or under a mechanism."""
    place.mkdir()
    place.chmod(0o755)
    command = [sys.executable, "-c", _PRELUDE + _BODY, str(place), way]
    if backend is None:
        output = process.run(command, cwd=place).stdout
    else:
        output = run(backend, PATH_RULES, command, place.parent).stdout
    found: dict[str, object] = json.loads(output)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="most ways of having less begin with more: root")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", BOTH)
def test_acts_end_as_they_do_bare(backend: str, way: str, place: Path) -> None:
    """The same result, owner and mode, with neither more nor less authority than the caller's."""
    bare = said_by(None, way, place / "bare")
    held = said_by(backend, way, place / "held")
    assert "read open" in bare
    both = {title: (bare[title], held[title]) for title in bare}
    differing = {title: pair for title, pair in both.items() if pair[0] != pair[1]}
    assert set(differing) == LIMITS.get((backend, way), set()), differing
