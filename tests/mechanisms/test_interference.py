"""What changes between a judgement and the act is noticed, and what fails in an enforcer denies."""

from __future__ import annotations

import errno
import sys
import textwrap
from pathlib import Path

import pytest

from enforcer.kernel.raw import NATIVE_ABI
from enforcer.mechanisms.ptrace.calls.directories import identity, is_at
from enforcer.syscalls import number
from tests.mechanisms.launching import launched
from tests.mechanisms.sandbox import Ran, program

POLICY = """
default: permit
rules:
  - deny[eacces]: [chdir, bind, execve]
    when: filename sub "walled"
  - deny[eacces]: execve
    when: argv sub "forbidden"
  - permit: [chdir, bind, execve, execveat]
    when: filename match "/*"
  - permit: mkdir
    when: filename match "/*"
"""

SWAPPING = """
class Swap(Act):
    def note(self, call, decision):
        noted = super().note(call, decision)
        if call.name == CALL and (place / "armed").exists():
            (place / "armed").unlink()
            swap(call.task)
        return noted

class Swapping(Tracer):
    make_act = Swap

class MECHANISM(Ptrace):
    make_tracer = Swapping
MECHANISM = MECHANISM()
"""

FIXED = 0x3000_0000

CASES = {
    "chdir": (
        """
        def swap(task):
            os.rename(place / "there", place / "aside")
            os.symlink("walled", place / "there")
        """,
        """
        os.chdir("there")
        print(os.path.basename(os.getcwd()))
        """,
        "walled",
    ),
    "bind": (
        """
        def swap(task):
            os.rename(place / "there", place / "aside")
            os.symlink("walled", place / "there")
        """,
        """
        socket.socket(socket.AF_UNIX).bind("there/socket")
        print(os.listdir("walled"))
        """,
        "['socket']",
    ),
    "bind beside": (
        """
        def swap(task):
            os.rename(place / "there", place / "aside")
            os.symlink("walled", place / "there")
            socket.socket(socket.AF_UNIX).bind(str(place / "aside/socket"))
        """,
        """
        socket.socket(socket.AF_UNIX).bind("there/socket")
        print(os.listdir("walled"))
        """,
        "['socket']",
    ),
    "execve": (
        """
        def swap(task):
            os.rename(place / "program", place / "aside")
            os.symlink("/bin/pwd", place / "program")
        """,
        """
        os.chdir("walled/..")
        os.execv("program", ["program", "word"])
        """,
        None,
    ),
    "execve of arguments": (
        f"""
        def swap(task):
            write_bytes(task.tid, {FIXED}, b"forbidden")
        """,
        f"""
        word = libc.mmap(ctypes.c_void_p({FIXED}), 4096, 3, 0x32, -1, 0)
        ctypes.memmove(word, b"permitted\\0", 10)
        name = ctypes.create_string_buffer(b"/bin/echo")
        words = (ctypes.c_void_p * 3)(ctypes.addressof(name), word, None)
        libc.execve(name, words, None)
        """,
        "forbidden",
    ),
    "execveat of a script's descriptor": (
        """
        def swap(task):
            other = os.stat(place / "other").st_ino
            tables = [f"/proc/{each}/fd/100" for each in os.listdir(f"/proc/{task.tid}/task")]
            while other not in [os.stat(table).st_ino for table in tables]:
                pass  # a thread of the target's puts it there
        """,
        f"""
        import threading
        for name in ("script", "other"):
            with open(name, "w") as script:
                print(f"#!/bin/sh\\necho {{name}}", file=script)
            os.chmod(name, 0o755)
        script, other = (os.open(name, os.O_PATH) for name in ("script", "other"))
        os.dup2(script, 100)
        def exchange():
            while os.path.exists("armed"):
                pass
            os.dup2(other, 100)
            threading.Event().wait()
        threading.Thread(target=exchange).start()
        words = (ctypes.c_char_p * 2)(b"script", None)
        libc.syscall({number(NATIVE_ABI, "execveat")}, 100, b"", words, None, 0x1000)
        """,
        "other",
    ),
}

UNPINNED = frozenset({"execveat of a script's descriptor"})
"""What changes only where `pin` is off."""

_TARGET = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
os.chdir(".")  # the slots are mapped before the act that is meant
open("armed", "w").close()
"""


def _swapped(case: str, place: Path, defences: str) -> Ran:
    swap, acts, _ = CASES[case]
    call = f"CALL = {case.split()[0]!r}\n"
    source = call + textwrap.dedent(swap) + SWAPPING
    target = _TARGET + textwrap.dedent(acts)
    return launched(source, POLICY, [sys.executable, "-I", "-S", "-c", target], place, defences)


UNSHARING = """
from enforcer.mechanisms.ptrace.calls import execs
execs._CLONE_FILES |= 1  # no flag of the call's
MECHANISM = Ptrace()
"""

SHARED = f"""
import ctypes, os, threading
with open("script", "w") as script:
    print("#!/bin/sh\\necho script", file=script)
os.chmod("script", 0o755)
fd = os.open("script", os.O_PATH)
os.set_inheritable(fd, True)
words = (ctypes.c_char_p * 2)(b"script", None)
libc = ctypes.CDLL(None, use_errno=True)
execute = lambda: libc.syscall({number(NATIVE_ABI, "execveat")}, fd, b"", words, None, 0x1000)
end = threading.Event()
threading.Thread(target=end.wait).start()
print(execute(), ctypes.get_errno(), flush=True)
end.set()
if not os.fork():
    execute()
os.wait()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("there", "walled"):
        (tmp_path / name).mkdir()
    (tmp_path / "program").write_bytes(Path("/bin/echo").read_bytes())
    (tmp_path / "program").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_another_object_than_judged_ends_the_sandbox(case: str, place: Path) -> None:
    """With `verify` nothing of the program runs after the act, and the log says why."""
    ran = _swapped(case, place, "copy,verify" if case in UNPINNED else "copy,pin,verify")
    assert not (place / "armed").exists(), ran.stderr
    assert (ran.status, ran.stdout) == (-9, "")
    told = [event["call"] for event in ran.events if event["event"] == "detection"]
    assert told == [case.split()[0]]


@pytest.mark.parametrize("case", [name for name, each in CASES.items() if each[2] is not None])
def test_without_verify_the_exchange_takes_place(case: str, place: Path) -> None:
    """So it is `verify` that stops it."""
    ran = _swapped(case, place, "copy" if case in UNPINNED else "copy,pin")
    assert (ran.status, ran.stdout.strip()) == (0, CASES[case][2]), ran.stderr


@pytest.mark.parametrize("defences", ["copy,pin,verify", "pin"])
def test_a_script_is_executed_however_its_descriptor_changes(defences: str, place: Path) -> None:
    """The one that was judged: what a thread puts in its place is in the thread's table only."""
    ran = _swapped("execveat of a script's descriptor", place, defences)
    assert not (place / "armed").exists(), ran.stderr
    assert (ran.status, ran.stdout) == (0, "script\n"), ran.stderr


def test_what_cannot_have_descriptors_of_its_own_executes_none(tmp_path: Path) -> None:
    """A task that shares its table, and may not leave it, fails as that did; alone it executes."""
    ran = launched(UNSHARING, POLICY, [sys.executable, "-I", "-S", "-c", SHARED], tmp_path, "pin")
    assert (ran.status, ran.stdout) == (0, f"-1 {errno.EINVAL}\nscript\n"), ran.stderr


@pytest.mark.parametrize("defences", ["copy,pin,verify", "copy,pin", "copy"])
def test_a_pinned_directory_is_entered_however_its_name_changes(defences: str, place: Path) -> None:
    """A link that leads elsewhere after the judgement leads nobody, unless `pin` is off."""
    (place / "way").symlink_to("there")
    swap = """
        CALL = "chdir"
        def swap(task):
            os.unlink(place / "way")
            os.symlink("walled", place / "way")
        """
    target = _TARGET + 'os.chdir("way")\nprint(os.path.basename(os.getcwd()))\n'
    command = [sys.executable, "-I", "-S", "-c", target]
    ran = launched(textwrap.dedent(swap) + SWAPPING, POLICY, command, place, defences)
    assert not (place / "armed").exists(), ran.stderr
    assert ran.stdout == ("there\n" if "pin" in defences else "walled\n"), ran.stderr


def test_an_object_is_its_device_and_inode(tmp_path: Path) -> None:
    """One that differs in either is another one; what cannot be looked at is no such object."""
    status = tmp_path.stat()
    device, inode = status.st_dev, status.st_ino
    assert is_at(tmp_path, (device, inode))
    assert not is_at(tmp_path, (device + 1, inode))
    assert not is_at(tmp_path, (device, inode + 1))
    assert not is_at(tmp_path / "absent", (device, inode))
    assert identity(-1) is None


UNSEALED = """
from enforcer.mechanisms.ptrace import injected
known = injected.number
injected.number = lambda abi, name: None if name == "mseal" else known(abi, name)
MECHANISM = Ptrace()
"""


def test_slots_are_kept_where_the_kernel_seals_nothing(tmp_path: Path) -> None:
    """Every attempt on them is refused by the tracer itself."""
    (tmp_path / "file").write_text("content")
    policy = POLICY.replace("permit: mkdir", "permit: [mkdir, fsread]")
    command: list[str | Path] = [program("slots"), tmp_path / "file", "1"]
    ran = launched(UNSEALED, policy, command, tmp_path, "copy,pin,verify")
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.count("attempts 6") == 2


FAILING = {
    "ptrace": """
        class Failing(Tracer):
            def __init__(self, config, log):
                super().__init__(config, log)
                for policy in config.policies:
                    policy.decide = self.failing(policy.decide)

            def failing(self, decide):
                def decided(name, *rest):
                    if name == "mkdir":
                        raise RuntimeError("as planned")
                    return decide(name, *rest)
                return decided

        class MECHANISM(Ptrace):
            make_tracer = Failing
        MECHANISM = MECHANISM()
        """,
    "notify": """
        class Failing(Worker):
            def decide(self, *rest):
                if self.name == "mkdir":
                    raise RuntimeError("as planned")
                return super().decide(*rest)

        class MECHANISM(Notify):
            make_worker = Failing
        MECHANISM = MECHANISM()
        """,
}

_MAKING = """
import os
for name in ("new", "newer"):
    try:
        print(os.mkdir(name))
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.parametrize(
    ("mechanism", "status", "output"), [("ptrace", -9, ""), ("notify", 0, "38\n38\n")]
)
def test_an_enforcer_that_fails_permits_nothing(
    mechanism: str, status: int, output: str, tmp_path: Path
) -> None:
    """A failure in a judgement ends the sandbox, or leaves it without its answers; it is logged,
    and no end is claimed."""
    command = [sys.executable, "-I", "-S", "-c", _MAKING]
    policy = POLICY.replace("permit: mkdir", "permit: [mkdir, mkdirat]")
    ran = launched(FAILING[mechanism], policy, command, tmp_path, "copy,pin,verify")
    assert (ran.status, ran.stdout) == (status, output), ran.stderr
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "newer").exists()
    last = ran.events[-1]
    assert (last["event"], "as planned" in str(last)) == ("detection", True)


UNREADABLE = {
    "ptrace": """
        from enforcer.supervision.memory import UnreadableMemory
        from enforcer.mechanisms.ptrace import quick, reading
        from enforcer.pin.view import View
        def failing(known):
            def read_string(of, address, *rest):
                text = known(of, address, *rest)
                if text.startswith(b"new"):
                    raise UnreadableMemory(address)
                return text
            return read_string
        reading.read_string = quick.read_string = failing(reading.read_string)
        View.read_string = failing(View.read_string)
        MECHANISM = Ptrace()
        """,
    "notify": """
        from enforcer.supervision.memory import UnreadableMemory
        class Failing(Worker):
            def read_string(self, address, *rest):
                text = super().read_string(address, *rest)
                if text.startswith(b"new"):
                    raise UnreadableMemory(address)
                return text

        class MECHANISM(Notify):
            make_worker = Failing
        MECHANISM = MECHANISM()
        """,
}


_NAMING = """
import os
for act in (lambda: os.mkdir("new"), lambda: os.open("newer", os.O_CREAT | os.O_WRONLY),
            lambda: os.open("newest", os.O_RDONLY)):
    try:
        print(act(), end=" ")
    except OSError as error:
        print(error.errno, end=" ")
"""


@pytest.mark.parametrize("mechanism", UNREADABLE)
@pytest.mark.parametrize("defences", ["copy,pin,verify", "copy", "pin", ""])
def test_a_name_that_cannot_be_read_is_no_name(
    mechanism: str, defences: str, tmp_path: Path
) -> None:
    """EFAULT whatever the defences, though the kernel could read it, and nothing is made."""
    command = [sys.executable, "-I", "-S", "-c", _NAMING]
    policy = POLICY.replace("permit: mkdir", "permit: [fsread, fswrite]")
    ran = launched(UNREADABLE[mechanism], policy, command, tmp_path, defences)
    assert (ran.status, ran.stdout) == (0, "14 14 14 "), ran.stderr
    assert not list(tmp_path.glob("new*"))


WRITING = {
    "ptrace": f"""
        class Write(Act):
            def decide(self, call, *rest, **more):
                decision = super().decide(call, *rest, **more)
                if call.name in NAMES and (place / "armed").exists():
                    write_bytes(call.tid, {FIXED}, b"other")
                return decision

        class Writing(Tracer):
            make_act = Write

            def __init__(self, *given):
                super().__init__(*given)
                self.sandbox.is_quick = False  # whose decisions are not asked of the act

        class MECHANISM(Ptrace):
            make_tracer = Writing
        MECHANISM = MECHANISM()
        """,
    "notify": f"""
        class Writing(Worker):
            def decide(self, *rest):
                number = super().decide(*rest)
                if self.name in NAMES and (place / "armed").exists():
                    write_bytes(self.tid, {FIXED}, b"other")
                return number

        class MECHANISM(Notify):
            make_worker = Writing
        MECHANISM = MECHANISM()
        """,
}

_USING = (
    _TARGET
    + f"""
numbers = dict(mkdir={number(NATIVE_ABI, "mkdirat")}, open={number(NATIVE_ABI, "openat")})
place = libc.mmap(ctypes.c_void_p({FIXED}), 4096, 3, 0x32, -1, 0)
def named(*arguments):
    ctypes.memmove(place, b"first\\0", 6)
    result = libc.syscall(*arguments)
    text = ctypes.string_at(place)
    found = [name for name in ("first", "other") if os.path.exists(name)]
    print(text.decode(), *found, end="; ")
    return result
named(numbers["mkdir"], -100, place, 0o700), os.rename("first", "made")
os.close(named(numbers["open"], -100, place, 0o101, 0o600))
"""
)


@pytest.mark.parametrize("mechanism", WRITING)
@pytest.mark.parametrize("defences", ["copy,pin,verify", "copy"])
def test_the_bytes_that_were_judged_are_used(mechanism: str, defences: str, tmp_path: Path) -> None:
    """Memory written to between judgement and act changes nothing of the act."""
    classes = 'NAMES = ("mkdirat", "openat")\n' + textwrap.dedent(WRITING[mechanism])
    policy = POLICY.replace("permit: mkdir", "permit: [mkdirat, openat]")
    command = [sys.executable, "-I", "-S", "-c", _USING]
    ran = launched(classes, policy, command, tmp_path, defences)
    assert ran.stdout == "other first; other first; ", ran.stderr
