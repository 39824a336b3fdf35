"""notify with live programs: what is permitted happens as bare, what is denied does not."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import stat
import sys
from pathlib import Path

import pytest

from enforcer.arch import ABIS
from enforcer.mechanisms.contract import Extent, Inexpressible, Options
from enforcer.mechanisms.notify import MECHANISM
from enforcer.policy import parse_yaml
from harness import process
from tests.mechanisms.sandbox import Ran, run

PERMIT = "default: permit\nrules: []\n"


def paths_but(denied: Path) -> str:
    """Every name is judged, all but `denied` are permitted."""
    return f"""
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename match "{denied}" or filename match "{denied}/*"
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - deny[enoent]: [fsread, fswrite]
"""


def python(text: str, policy: str, directory: Path, *words: str, defences: str = "all") -> Ran:
    """Run a Python program under notify."""
    command = [sys.executable, "-I", "-S", "-c", text, *words]
    return run("notify", policy, command, directory, defences=defences)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("hidden")
    return file


def test_shell_runs_as_bare(tmp_path: Path) -> None:
    """Pipes, redirections, globs, subshells and the exit status are those of the bare shell."""
    script = """
    mkdir d; cd d; umask 027; echo one > a; ln -s a b; cat b | tr a-z A-Z
    (exit 3); echo $?; for f in *; do echo "$f"; done; rm a b; cd ..; rmdir d; exit 7
    """
    done = run("notify", paths_but(tmp_path / "none"), ["sh", "-c", script], tmp_path)
    assert (done.status, done.stdout) == (7, "ONE\n3\na\nb\n")
    assert done.decided() > 50


@pytest.mark.parametrize("defences", ["all", "none"])
@pytest.mark.parametrize(
    "name", ["{s}", "secret", "./d/../secret", "link", "/proc/self/cwd/secret", "//{s}"]
)
def test_denied_object_is_denied_by_every_name(
    tmp_path: Path, secret: Path, name: str, defences: str
) -> None:
    """Absolute, relative, dotted, linked, through procfs: EACCES, and one logged denial."""
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to(secret)
    text = """
import os, sys
try:
    print(os.open(sys.argv[1], os.O_RDONLY))
except OSError as error:
    print(error.errno)
"""
    done = python(text, paths_but(secret), tmp_path, name.format(s=secret), defences=defences)
    assert done.stdout == "13\n", done.stderr
    assert done.decisions() == [("deny", "openat")]


def test_descriptor_is_the_targets_own(tmp_path: Path) -> None:
    """Flags, mode and umask are honoured, close-on-exec as asked, lowest number first."""
    text = """
import ctypes, fcntl, os
os.umask(0o027)
for flags in (os.O_CLOEXEC, 0):
    flags |= os.O_CREAT | os.O_RDWR | os.O_APPEND
    fd = ctypes.CDLL(None).open(b"new", flags, 0o777)
    print(fd, fcntl.fcntl(fd, fcntl.F_GETFD), bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND))
    os.close(fd)
"""
    done = python(text, paths_but(tmp_path / "none"), tmp_path)
    assert done.stdout == "3 1 True\n3 0 True\n", done.stderr
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750


def test_calls_without_descriptor_are_performed(tmp_path: Path, secret: Path) -> None:
    """unlink, rename, link, chmod, truncate, stat work on what is permitted, not on the secret."""
    text = """
import os, sys
secret = sys.argv[1]
open("a", "w").write("text")
os.rename("a", "b"); os.link("b", "c"); os.chmod("c", 0o600); os.truncate("c", 2)
print(os.stat("b").st_size, os.stat("b").st_nlink, sorted(os.listdir(".")))
os.unlink("b")
acts = [lambda: os.unlink(secret), lambda: os.rename(secret, "x"), lambda: os.rename("c", secret),
        lambda: os.link(secret, "y"), lambda: os.chmod(secret, 0), lambda: os.truncate(secret, 0),
        lambda: os.stat(secret), lambda: os.access(secret, os.R_OK) or 1 / 0]
for act in acts:
    try:
        print("done", act())
    except OSError as error:
        print(error.errno, end=" ")
    except ZeroDivisionError:
        print("no access", end=" ")
"""
    done = python(text, paths_but(secret), tmp_path, str(secret))
    kept = "'b', 'c', 'events.jsonl', 'policy.yaml', 'secret'"
    assert done.stdout == f"2 2 [{kept}]\n13 13 13 13 13 13 13 no access ", done.stderr
    assert secret.read_text() == "hidden"


def test_fifo_blocks_only_its_opener_and_can_be_interrupted(tmp_path: Path) -> None:
    """A reader waits for its writer, others go on, and a signal handler runs meanwhile."""
    os.mkfifo(tmp_path / "fifo")
    text = """
import os, signal, threading
def alarm(number, frame): raise TimeoutError
signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    os.open("fifo", os.O_RDONLY)
except TimeoutError:
    print("interrupted")
opened = []
reader = threading.Thread(target=lambda: opened.append(os.read(os.open("fifo", os.O_RDONLY), 9)))
reader.start()
for _ in range(20):
    os.close(os.open("/dev/null", os.O_RDONLY))
fd = os.open("fifo", os.O_WRONLY)
os.write(fd, b"word")
reader.join()
print(opened)
"""
    done = python(text, paths_but(tmp_path / "none"), tmp_path)
    assert done.stdout == "interrupted\n[b'word']\n", done.stderr


def test_second_listener_is_refused_and_own_filters_work(tmp_path: Path) -> None:
    """A target cannot take its own calls from the supervisor, but may confine itself further."""
    text = """
import ctypes, errno, struct
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(1, ctypes.addressof(code))
for flags in (8, 0):
    result = libc.syscall(317, 1, flags, ctypes.byref(program))
    print(result, errno.errorcode.get(ctypes.get_errno() if result < 0 else 0))
"""
    done = python(text, PERMIT, tmp_path)
    assert done.stdout == "-1 EBUSY\n0 None\n", done.stderr


def test_supervisor_cannot_be_reached(tmp_path: Path) -> None:
    """Signals by number, by pidfd of /proc and by ownership of a descriptor are refused."""
    text = """
import fcntl, json, os, signal, socket, struct
events = map(json.loads, open("events.jsonl"))
number = next(event["supervisor"] for event in events if event["event"] == "enforcing")
a, b = socket.socketpair()
owner = struct.pack("ii", 1, number)
acts = [lambda: os.kill(number, 9), lambda: os.kill(-number, 19),
        lambda: os.kill(-1, signal.SIGURG), lambda: os.pidfd_open(number),
        lambda: os.setpriority(os.PRIO_PROCESS, number, 19),
        lambda: fcntl.fcntl(a, fcntl.F_SETOWN, number), lambda: fcntl.fcntl(a, 15, owner),
        lambda: fcntl.ioctl(a, 0x8901, struct.pack("i", number)),
        lambda: signal.pidfd_send_signal(os.open(f"/proc/{number}", os.O_RDONLY), 9)]
for act in acts:
    try:
        print("done", act(), end=" ")
    except OSError as error:
        print(error.errno, end=" ")
fcntl.fcntl(a, 15, struct.pack("ii", 1, os.getpid()))
print(os.kill(-1, 0), signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0))
"""
    done = python(text, PERMIT, tmp_path)
    assert done.stdout == "1 1 1 1 1 1 1 1 1 None None\n", done.stderr
    assert done.events[-1]["event"] == "end"


def test_dead_supervisor_leaves_the_target_confined(tmp_path: Path, secret: Path) -> None:
    """Killed from outside: what it would have decided is ENOSYS from then on."""
    text = """
import os, sys
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[1:]:
    try:
        print(os.open(name, os.O_RDONLY))
    except OSError as error:
        print(error.errno)
"""
    policy, log = tmp_path / "policy.yaml", tmp_path / "log"
    policy.write_text(paths_but(secret))
    reading, writing = os.pipe()
    back, answer = os.pipe()
    words = [sys.executable, "-m", "enforcer", "run", "--backend", "notify"]
    words += ["--policy", str(policy), "--log", str(log), "--"]
    words += [sys.executable, "-I", "-S", "-c", text, str(secret), "/dev/null"]
    target = os.posix_spawn(
        sys.executable,
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
    )
    os.close(answer)
    os.close(reading)
    with os.fdopen(back) as output:
        assert output.readline() == "ready\n"
        events = [json.loads(line) for line in log.read_text().splitlines()]
        supervisor = next(e["supervisor"] for e in events if e["event"] == "enforcing")
        pidfd = os.pidfd_open(supervisor)
        os.kill(supervisor, 9)
        _wait_readable(pidfd)
        os.close(pidfd)
        os.write(writing, b"go\n")
        os.close(writing)
        assert output.read() == "38\n38\n"
    assert os.waitpid(target, 0)[1] == 0


def _wait_readable(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    assert poller.poll(10_000)


def test_kill_rule_ends_the_caller(tmp_path: Path, secret: Path) -> None:
    """A rule that kills does so before the call has any result."""
    policy = f"""
default: permit
rules:
  - kill: [fsread, fswrite]
    when: filename eq "{secret}"
"""
    text = "import sys; print('before', flush=True); open(sys.argv[1]); print('after')"
    done = python(text, policy, tmp_path, str(secret))
    assert (done.status, done.stdout) == (-9, "before\n")
    assert done.decisions() == [("kill", "openat")]


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_names_are_judged_in_a_new_root(tmp_path: Path, secret: Path) -> None:
    """After a permitted chroot the target's names are walked from its root and judged as it sees
    them."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "secret").write_text("other")
    text = """
import os, sys
os.chroot("root")
os.chdir("/")
print(os.read(os.open("/secret", os.O_RDONLY), 9))
try:
    os.open("/denied", os.O_RDONLY)
except OSError as error:
    print(error.errno)
"""
    done = python(text, paths_but(Path("/denied")), tmp_path)
    assert done.stdout == "b'other'\n13\n", done.stderr


def test_clone3_is_absent_and_threads_work(tmp_path: Path) -> None:
    """The call whose flags no supervisor can hold fast is ENOSYS; the C library does without."""
    text = """
import ctypes, threading
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(435, 0, 0), ctypes.get_errno())
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(3)]
[each.start() for each in threads]; [each.join() for each in threads]
"""
    done = python(text, PERMIT, tmp_path)
    assert done.stdout == "-1 38\n" + "thread\n" * 3, done.stderr


@pytest.mark.parametrize(
    ("rule", "extent"),
    [
        ('permit: openat\n    when: filename match "/usr/*"', Extent.FULL),
        ('permit: connect\n    when: sockaddr eq "x"', Extent.FULL),
        ("permit: chdir", Extent.FULL),
        ('permit: chdir\n    when: filename eq "/usr"', Extent.NONE),
        ('permit: execve\n    when: filename eq "/bin/sh"', Extent.NONE),
        ('permit: execve\n    when: argv match "*"', Extent.NONE),
        ("permit: bind\n    as: root", Extent.FULL),
        ("permit: kill\n    as: root", Extent.NONE),
    ],
)
def test_cover_tells_what_cannot_be_done_for_a_caller(rule: str, extent: Extent) -> None:
    """Rules on what becomes of the caller are not enforced, and refused without --partial."""
    policy = parse_yaml(f"default: permit\nrules:\n  - {rule}\n", "test")
    abis = [ABIS["x86_64"], ABIS["i386"]]
    first, default = MECHANISM.cover(policy, abis)
    assert (first.extent, default.extent) == (extent, Extent.FULL)
    if extent is Extent.FULL:
        assert MECHANISM.compile([policy], abis, Options()).data["policies"]
    else:
        with pytest.raises(Inexpressible):
            MECHANISM.compile([policy], abis, Options())


_FULL = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for name in ("/etc/passwd", "/absent"):
    try:
        os.open(name, os.O_RDONLY)
    except OSError as error:
        print(error.errno)
"""


def test_a_missing_name_is_told_before_a_full_table(tmp_path: Path) -> None:
    """The supervisor finds no descriptor to hand over, and so asks for no number to place it at.

    The kernel takes the number first (get_unused_fd_flags in do_sys_openat2): EMFILE both times.
    """
    ran = python(_FULL, paths_but(tmp_path / "none"), tmp_path)
    assert ran.stdout == f"{errno.EMFILE}\n{errno.ENOENT}\n"


_MARK = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
group = libc.fanotify_init(0x200, 0)
made = libc.fanotify_mark(group, 1, ctypes.c_uint64(0x20), -100, b"/etc/passwd")
print("absent" if group < 0 else ctypes.get_errno() if made < 0 else 0)
"""


@pytest.mark.parametrize(
    ("calls", "answer"),
    [("fsread", errno.EPERM), ("fanotify_mark", 0), ("[fsread, fanotify_mark]", 0)],
)
def test_a_part_of_a_policy_has_all_that_its_cover_says(
    calls: str, answer: int, tmp_path: Path
) -> None:
    """A call that nobody can do for its caller goes on unheld where a rule names it itself.

    A family that it belongs to is covered in full, so that it is refused there, with an event. The
    watch of a directory would else bring descriptors of what is in it (fanotify(7)).
    """
    rule = f'deny[eacces]: {calls}\n    when: filename sub "secret"'
    policy = f"default: permit\nrules:\n  - {rule}\n"
    (cover, _) = MECHANISM.cover(parse_yaml(policy, "test"), [ABIS["x86_64"]])
    assert cover.extent is (Extent.FULL if answer else Extent.NONE)
    bare = process.run([sys.executable, "-I", "-S", "-c", _MARK])
    if bare.stdout == "absent\n":
        pytest.skip("no fanotify_init(FAN_REPORT_FID) for everybody")
    assert bare.stdout == "0\n"
    ran = python(_MARK, policy, tmp_path)
    assert ran.stdout == f"{answer}\n"
    assert ("deny", "fanotify_mark") in ran.decisions() or not answer


def test_the_command_itself_executes_nothing_denied(tmp_path: Path) -> None:
    """Only the launcher's execution is not the target's: its process's next one is judged."""
    text = """
import os
for act in (lambda: os.execv("/bin/true", ["true"]), lambda: os.mkdir("made")):
    try:
        print(act())
    except OSError as error:
        print(error.errno)
"""
    for rule in ("execve", f"execve\n    if: user = {os.geteuid()}"):
        policy = f"default: permit\nrules:\n  - deny[exdev]: {rule}\n"
        done = python(text, policy, tmp_path)
        (tmp_path / "made").rmdir()
        assert done.stdout == "18\nNone\n", done.stderr


def test_words_of_an_execution_are_judged(tmp_path: Path) -> None:
    """All of them, as far as a user accepts that the kernel reads them again."""
    policy = """
default: permit
rules:
  - deny[exdev]: execve
    when: argv sub "forbidden"
  - permit: execve
    when: argv re "."
"""
    text = """
import os
for words in (["echo", "fine"], ["forbidden"], ["echo", "forbidden", "x"], ["echo", "forbidden"],
              ["x"] * 5000, ["x"] * 5000 + ["forbidden"]):
    pid = os.fork()
    if pid == 0:
        try:
            os.execv("/bin/true", words)
        except OSError as error:
            os._exit(error.errno)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), end=" ")
"""
    done = python(text, policy, tmp_path)
    assert done.stdout.split() == ["0", "18", "18", "18", "0", "18"], done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, which skips a call")
def test_a_call_that_a_tracer_skips_is_none(tmp_path: Path) -> None:
    """A target's tracer may have a call not made: its result stands, and nothing is refused."""
    text = "import os; print(os.getppid())"
    inject = ["strace", "-qq", "-e", "trace=getppid", "-e", "inject=getppid:retval=4711"]
    command = [*inject, "-o", "/dev/null", sys.executable, "-I", "-S", "-c", text]
    done = run("notify", paths_but(tmp_path / "none"), command, tmp_path)
    assert done.stdout == "4711\n", done.stderr
    assert "-1" not in [call for _, call in done.decisions()]
