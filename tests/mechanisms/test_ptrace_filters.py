"""Filters of the target's own, under a supervisor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.syscalls import number
from harness import process
from tests.mechanisms.sandbox import program, run

POLICY = """\
default: permit
rules:
  - deny[eacces]: fsread
    when: filename sub "secret"
  - permit: fsread
    when: filename match "/*"
  - deny[eacces]: fsread
"""


@pytest.mark.parametrize("way", ["prctl", "seccomp"])
def test_own_filter_keeps_its_meaning(way: str, tmp_path: Path) -> None:
    """A filter that kills for openat2 binds its owner, not what the tracer makes of calls."""
    file, secret = tmp_path / "file", tmp_path / "secret"
    file.write_text("content")
    secret.write_text("content")
    ran = run("ptrace", POLICY, [program("filter"), way, file, secret], tmp_path)
    assert ran.stdout.split() == ["loaded", "getppid:77", "open:0", "open:0", "open:13"]
    assert ran.status in (-31, 159)


TRACED = """
import ctypes, errno, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
name, *numbers = sys.argv[1:]
nr, data, GETPPID, PERSONALITY, OPENAT, SECCOMP = map(int, numbers)

code = [(0x20, 0, 0, 0), (0x15, 0, 1, nr), (6, 0, 0, 0x7FF00000 | data), (6, 0, 0, 0x7FFF0000)]
body = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code), ctypes.addressof(body)))
libc.prctl(38, 1, 0, 0, 0)
print("loaded", libc.syscall(SECCOMP, 1, 0, program))
sys.stdout.flush()

def attempt(*call):
    result = libc.syscall(*call)
    print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])

attempt(GETPPID)
attempt(PERSONALITY, ctypes.c_ulong(0xffffffff))
attempt(OPENAT, -100, name.encode(), 0)
"""


def _numbers() -> dict[str, int]:
    calls = ("getppid", "personality", "openat", "seccomp")
    return {call: number(native().abis[0].name, call) or 0 for call in calls}


@pytest.mark.parametrize("data", [0, 1, 7, 0xFFFF])
@pytest.mark.parametrize("traced", ["getppid", "openat"])
def test_own_filter_that_asks_a_tracer(traced: str, data: int, tmp_path: Path) -> None:
    """RET_TRACE without a tracer of one's own means ENOSYS, and the policy still holds."""
    secret = tmp_path / "secret"
    secret.write_text("content")
    numbers = _numbers()
    words = [str(word) for word in (secret, numbers[traced], data, *numbers.values())]
    command = [sys.executable, "-c", TRACED, *words]
    bare = process.run(command, timeout_s=30.0, cwd=tmp_path)
    ran = run("ptrace", POLICY, command, tmp_path)
    getppid, openat = ("ENOSYS", "done") if traced == "getppid" else ("done", "ENOSYS")
    assert bare.stdout.split() == ["loaded", "0", getppid, "done", openat]
    denied = "EACCES" if openat == "done" else openat
    assert ran.stdout.split() == ["loaded", "0", getppid, "done", denied]


def test_notify_answers_what_asks_a_tracer(tmp_path: Path) -> None:
    """The kernel ranks USER_NOTIF above TRACE: a call that the supervisor decides is decided."""
    secret, numbers = tmp_path / "secret", _numbers()
    secret.write_text("content")
    words = [str(word) for word in (secret, numbers["openat"], 1, *numbers.values())]
    ran = run("notify", POLICY, [sys.executable, "-c", TRACED, *words], tmp_path)
    assert ran.stdout.split() == ["loaded", "0", "done", "done", "EACCES"]


STRICT = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, SECCOMP_MODE_STRICT = 22, 1
print(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), ctypes.get_errno() == errno.EINVAL)
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_strict_mode_is_too_late(mechanism: str, tmp_path: Path) -> None:
    """Whoever has a filter, as every target has, cannot enter seccomp's strict mode."""
    policy = "default: permit\nrules: []\n"
    ran = run(mechanism, policy, [sys.executable, "-c", STRICT], tmp_path)
    assert ran.stdout.split() == ["-1", "True"]


LISTENING = """
import ctypes, errno, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
body = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
def program(length, address):
    return ctypes.create_string_buffer(struct.pack("=H6xQ", length, address))
libc.prctl(38, 1, 0, 0, 0)
kept = program(1, ctypes.addressof(body)), program(0, ctypes.addressof(body)), program(1, 8)
for flags in (-1, 1 << 31, 8 | 64, 8 | 1, 32, 8, 8 | 32, 8 | 1 | 16):
    for each in (None, *kept)[: 4 if flags != 32 and len(sys.argv) > 2 else 1]:
        result = libc.syscall(int(sys.argv[1]), 1, ctypes.c_uint(flags), each)
        print(flags, errno.errorcode[ctypes.get_errno()] if result < 0 else "done")
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_listener_is_refused_after_all_other_errors(mechanism: str, tmp_path: Path) -> None:
    """Wrong flags and addresses are the kernel's errors, and only then is the place taken."""
    words = [sys.executable, "-c", LISTENING, str(_numbers()["seccomp"])]
    rules = "default: permit\nrules: []\n"
    bare = process.run(words).stdout
    told = dict(line.split() for line in bare.splitlines())
    assert set(told.values()) == {"EINVAL", "EFAULT"}
    assert run(mechanism, rules, words, tmp_path).stdout == bare
    held = run(mechanism, rules, [*words, "all"], tmp_path).stdout.splitlines()
    right = ["EFAULT", "EBUSY", "EINVAL", "EFAULT"]
    for flags, error in told.items():
        found = [each.split()[1] for each in held if each.split()[0] == flags]
        assert found == (right if error == "EFAULT" else ["EINVAL"] * len(found))


AIMED = """
import errno, os
(tracer,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("TracerPid:"))
try:
    os.kill(int(tracer), 0)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_every_filter_of_the_tracers_asks_as_itself(tmp_path: Path) -> None:
    """What stops for the supervisor's protection is not taken for a filter of the target's."""
    ran = run("ptrace", "default: permit\nrules: []\n", [sys.executable, "-c", AIMED], tmp_path)
    assert (ran.status, ran.stderr, ran.stdout) == (0, "", "EPERM\n")
    assert ("deny", "kill") in ran.decisions()
