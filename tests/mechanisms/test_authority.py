"""What the supervisor does for a task is done with the rights that the task has now."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.kernel import landlock
from harness import process
from harness.places.isolation import Isolation, available
from tests.mechanisms.sandbox import program, run

BOTH = ("ptrace", "notify")
PATH_RULES = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can walk to, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_task_is_who_it_is_now(backend: str, place: Path) -> None:
    """Dropped ids count at once: of a process, a thread, a child, a thread that executes."""
    ids = Path(shutil.copy(program("ids"), place))
    secret = place / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    said = []
    for backend_or_none in (None, backend):
        made = place / "made"
        made.mkdir()
        made.chmod(0o777)
        command = [str(ids), str(secret), str(made)]
        if backend_or_none is None:
            said.append(process.run(command, cwd=place).stdout)
        else:
            said.append(run(backend, PATH_RULES, command, place).stdout)
        shutil.rmtree(made)
    assert "dropped: open 13 access 13 chmod 1 mkdir 0 owner 65534" in said[0]
    assert said[1].splitlines() == said[0].splitlines()


_PEERS = """
import ctypes, os, socket, struct

def drop():
    os.setgroups([])
    os.setresgid(4711, 4711, 4711)
    os.setresuid(4711, 4711, 4711)

def as_somebody(act):
    child = os.fork()
    if child == 0:
        drop()
        try:
            act()
        except OSError as error:
            print("error", error.errno, flush=True)
        os._exit(0)
    return child

def bound(kind, name):
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(name)
    os.chmod(name, 0o777)
    return made

def connects():
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("stream")
    stream.recv(1)
    open("/proc/sys/kernel/hostname", "wb")

def sends():
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "datagram")

def maps():
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    with open("/proc/self/uid_map", "wb") as file:
        file.write(b"0 4711 1")
    print("maps", os.getuid(), flush=True)

listener = bound(socket.SOCK_STREAM, "stream")
listener.listen()
child = as_somebody(connects)
accepted, _ = listener.accept()
asked = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
print("connects", struct.unpack("=iII", asked)[1:], flush=True)
accepted.send(b"x")
os.waitpid(child, 0)

receiver = bound(socket.SOCK_DGRAM, "datagram")
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
os.waitpid(as_somebody(sends), 0)
_, ((_, _, told),), _, _ = receiver.recvmsg(1, 64)
print("sends", struct.unpack("=iII", told)[1:], flush=True)
os.waitpid(as_somebody(maps), 0)
"""

_PEER_RULES = """
default: permit
rules:
  - deny: [connect, sendto, sendmsg]
    when: sockaddr eq "/nowhere"
  - deny: [fsread, fswrite]
    when: filename eq "/nowhere"
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_peers_and_the_kernel_see_the_ids_of_the_task(backend: str, place: Path) -> None:
    """SO_PEERCRED and SCM_CREDENTIALS never name root for who is not: nor is a file of /proc/sys
    opened as root, nor a uid_map by other ids than the caller's."""
    place.chmod(0o777)
    command = [sys.executable, "-c", _PEERS]
    bare = process.run(command, cwd=place).stdout
    for name in ("stream", "datagram"):
        (place / name).unlink()
    assert "connects (4711, 4711)\nerror 13\nsends (4711, 4711)\n" in bare
    assert run(backend, _PEER_RULES, command, place).stdout == bare


_LEASES = """
import fcntl, os, sys
refused = 0
for _ in range(50):
    fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
    os.close(os.open(sys.argv[1], os.O_RDONLY))
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        refused += 1
    os.close(fd)
print(refused)
"""


@pytest.mark.parametrize("backend", BOTH)
def test_what_the_task_closed_is_closed(backend: str, place: Path) -> None:
    """A file that nobody else has open can be leased: the supervisor keeps no duplicate."""
    command = [sys.executable, "-c", _LEASES, str(place / "file")]
    assert process.run(command, cwd=place).stdout == "0\n"
    assert run(backend, PATH_RULES, command, place).stdout == "0\n"


def said(backend: str | None, policy: str, script: str, place: Path, *words: Path) -> str:
    """What a Python script prints, alone or under a mechanism."""
    command = [sys.executable, "-c", script, *map(str, words)]
    if backend is None:
        return process.run(command, cwd=place).stdout
    return run(backend, policy, command, place).stdout


_DROPPED = """
import os, sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
"""

_LOOK = """
try:
    fd = os.open(sys.argv[1], flags)
    print("opened")
    print(os.read(fd, 100))
except OSError as error:
    print(error.strerror)
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_file_that_may_not_be_read_is_not_read_by_o_path(backend: str, place: Path) -> None:
    """O_PATH asks for no right to read, so what it gives does not read what the task may not."""
    secret = place / "secret"
    secret.write_text("planted")
    secret.chmod(0o600)
    output = said(backend, PATH_RULES, f"{_DROPPED}flags = os.O_PATH{_LOOK}", place, secret)
    assert output
    assert "planted" not in output


WRITING_ONLY = """
default: permit
rules:
  - permit: openat
    when: filename match "/*" and oflags sub "wo"
  - permit: openat
    when: not filename eq "SECRET"
  - deny: openat
"""


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("flags", ["os.O_RDONLY", "os.O_PATH", "os.O_PATH | os.O_WRONLY"])
def test_what_may_only_be_written_is_not_read(backend: str, flags: str, place: Path) -> None:
    """The access mode beside O_PATH, which the kernel ignores, opens nothing for reading."""
    secret = place / "secret"
    secret.write_text("planted")
    script = f"import os, sys\nflags = {flags}{_LOOK}"
    output = said(backend, WRITING_ONLY.replace("SECRET", str(secret)), script, place, secret)
    assert output
    assert "planted" not in output


_OTHERS = """
import ctypes, os, signal, sys
held = os.open(sys.argv[1], os.O_RDONLY)
end, begin = os.pipe()
child = os.fork()
if child == 0:
    os.close(begin)
    os.read(end, 1)
    os._exit(0)
os.close(held)
pidfd = os.pidfd_open(child)
if sys.argv[2:]:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(438, pidfd, held, 0)
print("descriptor", fd >= 0, 0 if fd >= 0 else ctypes.get_errno())
try:
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    print("signalled")
except OSError as error:
    print(error.strerror)
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("drops", [False, True], ids=["root", "dropped"])
def test_processes_are_reached_by_the_callers_ids(backend: str, drops: bool, place: Path) -> None:
    """A descriptor of another process, and a signal to it, take the rights of who asks."""
    file = place / "file"
    file.touch()
    words = [file, Path("dropped")] if drops else [file]
    bare = said(None, PATH_RULES, _OTHERS, place, *words)
    assert bare == (
        "descriptor False 1\nOperation not permitted\n"
        if drops
        else "descriptor True 0\nsignalled\n"
    )
    assert said(backend, PATH_RULES, _OTHERS, place, *words) == bare


_LIMITED = """
import os, resource, signal, sys
seen = []
signal.signal(signal.SIGXFSZ, lambda *_: seen.append("SIGXFSZ"))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for size in (900, 1001, 1000, 500):
    try:
        os.truncate(sys.argv[1], size)
        print(size, "done", seen)
    except OSError as error:
        print(size, error.strerror, seen)
"""


@pytest.mark.parametrize("backend", BOTH)
def test_a_file_grows_as_far_as_the_task_may_let_it(backend: str, place: Path) -> None:
    """truncate(2) is held to the caller's RLIMIT_FSIZE, whose signal it gets."""
    file = place / "file"
    results = []
    for under in (None, backend):
        file.write_text("x")
        results.append(said(under, PATH_RULES, _LIMITED, place, file))
    assert "1001 File too large ['SIGXFSZ']" in results[0]
    assert results[1] == results[0]


def has_landlock() -> bool:
    """Whether the kernel has Landlock."""
    try:
        return landlock.version() > 0
    except OSError:
        return False


_RESTRICTED = """
import ctypes, errno, os, struct, sys, threading
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def attempt(what, act, *args):
    try:
        act(*args)
        print(what, "done")
    except OSError as error:
        print(what, errno.errorcode[error.errno])

def all_of_them(who):
    attempt(f"{who} read", lambda: os.close(os.open("inside/file", os.O_RDONLY)))
    attempt(f"{who} read outside", lambda: os.close(os.open("file", os.O_RDONLY)))
    attempt(f"{who} by descriptor", lambda: os.close(os.open("/proc/self/fd/9", os.O_RDONLY)))
    attempt(f"{who} write", lambda: os.close(os.open("file", os.O_WRONLY)))
    attempt(f"{who} create", lambda: os.close(os.open(who, os.O_CREAT | os.O_WRONLY, 0o600)))
    attempt(f"{who} stat", os.stat, "file")
    attempt(f"{who} mkdir", os.mkdir, f"{who}.d")
    attempt(f"{who} mknod", os.mknod, f"{who}.n")
    attempt(f"{who} symlink", os.symlink, "x", f"{who}.s")
    attempt(f"{who} link", os.link, "file", f"{who}.l")
    attempt(f"{who} rename", os.rename, "a", "b")
    attempt(f"{who} unlink", os.unlink, "a")
    attempt(f"{who} rmdir", os.rmdir, "d")
    attempt(f"{who} mkdir inside", os.mkdir, f"inside/{who}")
    sys.stdout.flush()

def restrict(*rights):
    handled = (1 << 13) - 1
    ruleset = libc.syscall(444, struct.pack("=Q", handled), 8, 0)
    for place, right in rights:
        fd = place if isinstance(place, int) else os.open(place, os.O_PATH)
        assert libc.syscall(445, ruleset, 1, struct.pack("=Qi", right, fd), 0) == 0
        os.close(fd)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(446, ruleset, 0) == 0
    os.close(ruleset)

def child(who):
    if os.fork() == 0:
        all_of_them(who)
        os._exit(0)
    os.wait()

os.dup2(os.open("file", os.O_PATH), 9)
before = threading.Event()
thread = threading.Thread(target=lambda: (before.wait(), all_of_them("elder")))
thread.start()
inside = 1 << 2 | 1 << 3 | 1 << 7
here = os.open(".", os.O_PATH)
restrict(("inside", inside))
all_of_them("own")
child("child")
restrict(("inside", 1 << 2))
all_of_them("twice")
child("grandchild")
restrict((here, (1 << 13) - 1))
all_of_them("thrice")
if "elder" in sys.argv:
    before.set()
else:
    os._exit(0)
thread.join()
"""


@pytest.mark.skipif(not has_landlock(), reason="the kernel has no Landlock")
@pytest.mark.parametrize("backend", BOTH)
def test_a_task_is_bound_by_its_own_landlock_domain(backend: str, place: Path) -> None:
    """What its domain forbids fails as it does bare, for its children and for domains within too,
    also for one that permits everything.

    A thread that was there before is free, but for a supervisor that sees no births: there all of
    its process are bound.
    """
    words = ["elder"] if backend == "ptrace" else []
    printed = []
    for under in (None, backend):
        tree = place / f"tree-{under}"
        (tree / "inside").mkdir(parents=True)
        (tree / "d").mkdir()
        for name in ("file", "a", "inside/file"):
            (tree / name).touch()
        printed.append(said(under, PATH_RULES, _RESTRICTED, place, tree, *map(Path, words)))
    assert "own mkdir EACCES" in printed[0]
    assert "own read done" in printed[0]
    assert "thrice mkdir EACCES" in printed[0]
    assert "grandchild mkdir inside EACCES" in printed[0]
    assert printed[1].splitlines() == printed[0].splitlines()


_LOOKS_AT = """
import errno, os, sys
from pathlib import Path

def attempt(what, act):
    try:
        act()
        print(what, "done")
    except OSError as error:
        print(what, errno.errorcode[error.errno])

for entry in Path("/proc").iterdir():
    if not entry.name.isdigit():
        continue
    try:
        words = (entry / "cmdline").read_bytes().split(bytes(1))
    except OSError:
        continue
    own = {os.getpid(), os.getppid()}
    if b"enforcer" in words and sys.argv[1].encode() in words and int(entry.name) not in own:
        for task in (entry, entry / "task" / entry.name):
            for name in ("maps", "environ", "mem", "fd", "auxv"):
                attempt(name, lambda: os.close(os.open(task / name, os.O_RDONLY)))
            for name in ("exe", "cwd", "fd/0"):
                attempt(name, lambda: os.readlink(task / name))
            attempt("through", lambda: os.close(os.open(task / "root/etc/passwd", os.O_RDONLY)))
            attempt("rename", lambda: os.close(os.open(task / "comm", os.O_WRONLY)))
            attempt("stat", lambda: (task / "stat").read_bytes())
"""


@pytest.mark.parametrize("backend", BOTH)
def test_the_supervisor_is_not_shown_by_itself(backend: str, place: Path) -> None:
    """What procfs shows of a process only to itself, a supervisor opens for nobody."""
    ids = _DROPPED if os.geteuid() == 0 else ""
    script = f"import pathlib\n{ids}{_LOOKS_AT}"  # others may not read this Python's library
    lines = said(backend, PATH_RULES, script, place, place).splitlines()
    assert "stat done" in lines
    assert {line for line in lines if line.endswith("done")} == {"stat done"}


_OTHER_NAME = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x0400_0000) == 0
assert libc.sethostname(b"inner", 5) == 0
try:
    print(open("/proc/sys/kernel/hostname").read(), end="")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_settings_are_those_of_the_tasks_namespaces(backend: str, place: Path) -> None:
    """/proc/sys is the task's own, also where the supervisor has another one."""
    assert said(None, PATH_RULES, _OTHER_NAME, place) == "inner\n"
    assert said(backend, PATH_RULES, _OTHER_NAME, place) == "inner\n"


_TERMINAL = """
import fcntl, os
master, slave = os.openpty()
name = os.ttyname(slave)
if os.fork() == 0:
    os.setsid()
    held = os.open(name, os.O_RDWR)
    for step in (lambda: 0, lambda: fcntl.ioctl(held, 0x540E, 0)):
        step()
        try:
            os.close(os.open("/dev/tty", os.O_RDWR))
            print("has one", flush=True)
        except OSError as error:
            print("has none", flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(
    ("backend", "first"), [("ptrace", "has one\n"), ("notify", "has none\n")], ids=BOTH
)
def test_a_terminal_is_taken_by_asking_for_it(backend: str, first: str, place: Path) -> None:
    """TIOCSCTTY gives a session its terminal; opening one does so only where the task opens it."""
    assert said(None, PATH_RULES, _TERMINAL, place) == "has one\nhas one\n"
    assert said(backend, PATH_RULES, _TERMINAL, place) == first + "has one\n"


_OWN_NUMBERS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000 | 0x20000000 | 0x20000 if os.geteuid() else 0x20020000) == 0
pid = os.fork()
if pid == 0:
    assert libc.mount(b"none", b"/", None, 1 << 14 | 1 << 18, None) == 0
    shown = [os.readlink("/proc/self") == str(os.getpid())]
    assert libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0
    shown += [os.readlink("/proc/self"), os.readlink("/proc/thread-self")]
    shown += [open("/proc/self/stat").read().split()[0], os.path.exists("/proc/self/fd/1")]
    try:
        shown.append(open("/proc/sys/kernel/ns_last_pid").read().strip())
    except OSError as error:
        shown.append(error.strerror)
    print(shown, flush=True)
    os._exit(0)
os.wait()
"""


needs_namespaces = pytest.mark.skipif(
    available() is Isolation.PLAIN, reason="the kernel permits no namespaces"
)


@needs_namespaces
@pytest.mark.parametrize("backend", BOTH)
def test_self_is_numbered_as_its_procfs_numbers(backend: str, place: Path) -> None:
    """A procfs of a task's own pid namespace leads to the task; its settings are nobody else's."""
    bare = said(None, PATH_RULES, _OWN_NUMBERS, place)
    assert bare.startswith("[False, '1', '1/task/1', '1', True, ")
    held = said(backend, PATH_RULES, _OWN_NUMBERS, place)
    assert held == bare.rpartition(", ")[0] + ", 'Permission denied']\n"


_FAULTY_INIT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x30000000 if os.geteuid() else 0x20000000) == 0
pid = os.fork()
if pid == 0:
    if os.fork() == 0:
        libc.pause()
    ctypes.string_at(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@needs_namespaces
@pytest.mark.parametrize("backend", BOTH)
def test_a_fault_ends_the_init_of_a_namespace(backend: str, place: Path) -> None:
    """The kernel spares a traced one, which would fault for ever: it dies of its fault as bare."""
    assert said(None, PATH_RULES, _FAULTY_INIT, place) == "-11\n"
    assert said(backend, PATH_RULES, _FAULTY_INIT, place) == "-11\n"


_DEVICE = """
import errno, os
try:
    os.close(os.open("/dev/null", os.O_PATH))
    print("opened")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize(("backend", "shown"), [("ptrace", "opened\n"), ("notify", "EPERM\n")])
def test_a_place_without_content_is_refused_aloud(backend: str, shown: str, place: Path) -> None:
    """O_PATH of a device: the task itself opens it, or notify says that it cannot."""
    ran = run(backend, PATH_RULES, [sys.executable, "-c", _DEVICE], place)
    assert ran.stdout == shown
    reasons = [event.get("reason") for event in ran.events if event["event"] == "decision"]
    told = "an O_PATH descriptor of this cannot be handed over" in reasons
    assert told is (backend == "notify")
