"""A target that holds every means of reaching its supervisor still does not reach it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.syscalls import table
from tests.mechanisms.acting import Acts, run_acts

PERMISSIVE = "default: permit\nrules: []\n"

_PREPARED = """
events = list(map(json.loads, open("events.jsonl")))
enforcing = next(event for event in events if event["event"] == "enforcing")
number = enforcing.get("tracer") or enforcing["supervisor"]
giver = socket.socket(socket.AF_UNIX)
giver.connect("giver")
giver.send(str(number).encode())
_, (aimed,), _, _ = socket.recv_fds(giver, 9, 1)
own = os.pidfd_open(os.getpid())

def both(act):
    found = []
    for descriptor in (aimed, own):
        try:
            found.append(act(descriptor))
        except OSError as error:
            found.append(-error.errno)
    return found
"""

BY_NUMBER: Acts = {
    "kill": '[call("kill", value, 0) for value in (number, -number)]',
    "kill of everybody": 'call("kill", -1, signal.SIGURG)',  # which nobody minds
    "tgkill": '[call("tgkill", value, number, 0) for value in (number, 0)]',
    "tkill": 'call("tkill", number, 0)',
    "rt_sigqueueinfo": 'call("rt_sigqueueinfo", number, 0, bytes(128))',
    "rt_tgsigqueueinfo": 'call("rt_tgsigqueueinfo", number, number, 0, bytes(128))',
    "pidfd_open": 'call("pidfd_open", number, 0)',
    "process_vm_readv":
        'call("process_vm_readv", number, struct.pack("PN", 0, 0), 1, bytes(16), 1, 0)',
    "process_vm_writev":
        'call("process_vm_writev", number, struct.pack("PN", 0, 0), 1, bytes(16), 1, 0)',
    "ptrace": '[call("ptrace", request, number, 0, 0) for request in (16, 0x4206)]',
    "prlimit64": 'call("prlimit64", number, 7, 0, bytes(16))',
    "kcmp": '[call("kcmp", *pair, 0, 0, 0) for pair in ((number, 1), (os.getpid(), number))]',
    "setpriority": '[call("setpriority", *who, 0) for who in ((0, number), (2, os.getuid()))]',
    "ioprio_set": '[call("ioprio_set", *who, 0x4000) for who in ((1, number), (3, os.getuid()))]',
    "sched_setaffinity": 'call("sched_setaffinity", number, 8, b"\\xff" * 8)',
    "sched_setattr": 'call("sched_setattr", number, struct.pack("=II5Q", 48, 0, 0, 0, 0, 0, 0), 0)',
    "sched_setparam": 'call("sched_setparam", number, bytes(4))',
    "sched_setscheduler": 'call("sched_setscheduler", number, 0, bytes(4))',
    "migrate_pages": 'call("migrate_pages", number, 0, 0, 0)',
    "move_pages": 'call("move_pages", number, 0, 0, 0, 0, 0)',
    "get_robust_list": 'call("get_robust_list", number, bytes(8), bytes(8))',
    "perf_event_open": 'call("perf_event_open", bytes(128), number, -1, -1, 0)',
    "fcntl": """
        end, other = socket.socketpair()
        return [call("fcntl", end.fileno(), 8, value) for value in (number, -number)]""",
    "fcntl of a struct": """
        end, other = socket.socketpair()
        structs = [struct.pack("ii", kind, number) for kind in (0, 1, 2)]
        return [call("fcntl", end.fileno(), 15, owner) for owner in structs]""",
    "setpgid": 'call("setpgid", 0, number)',
    "ioctl": """
        end, other = socket.socketpair()
        return [call("ioctl", end.fileno(), command, struct.pack("i", value))
                for command in (0x8901, 0x8902) for value in (number, -number)]""",
}  # fmt: skip

BY_DESCRIPTOR: Acts = {
    "pidfd_send_signal": 'both(lambda fd: call("pidfd_send_signal", fd, 0, 0, 0))',
    "pidfd_send_signal of a group": 'call("pidfd_send_signal", aimed, 0, 0, 4)',
    "pidfd_getfd": 'both(lambda fd: min(0, call("pidfd_getfd", fd, 1, 0)))',
    "pidfd_send_signal by /proc":
        'call("pidfd_send_signal", os.open(f"/proc/{number}", os.O_RDONLY), 0, 0, 0)',
    "process_madvise": 'call("process_madvise", aimed, bytes(16), 0, 20, 0)',
    "process_mrelease": 'call("process_mrelease", aimed, 0)',
    "setns": 'call("setns", aimed, 0x40000000)',
    "pidfd_send_signal by a place":
        'call("pidfd_send_signal", os.open(f"/proc/{number}", os.O_PATH), 0, 0, 0) < 0',
}  # fmt: skip

OTHERS: Acts = {
    "own process": """
        return [call("kill", os.getpid(), 0), call("tgkill", os.getpid(), os.getpid(), 0),
                call("setpriority", 0, 0, 0), call("sched_setaffinity", 0, 8, b"\\xff" * 8),
                min(0, call("pidfd_open", os.getpid(), 0)), call("kill", os.getppid(), 0),
                call("setpgid", 0, 0), call("kill", 0x3FFFFF, 0),
                call("setns", os.pidfd_open(os.getpid()), 0), call("setns", 99, 0),
                call("process_mrelease", os.pidfd_open(os.getpid()), 0)]""",
    "own descriptors": """
        end, other = socket.socketpair()
        owner = ctypes.create_string_buffer(8)
        results = [call("fcntl", end.fileno(), 15, struct.pack("ii", 1, os.getpid())),
                   call("fcntl", end.fileno(), 16, ctypes.addressof(owner)),
                   struct.unpack("ii", owner) == (1, os.getpid()),
                   call("ioctl", end.fileno(), 0x8901, struct.pack("i", os.getpid())),
                   call("fcntl", end.fileno(), 8, os.getpid()),
                   call("fcntl", end.fileno(), 15, BAD),
                   call("fcntl", end.fileno(), 15, 0), call("ioctl", 99, 0x8901, bytes(4))]
        return results""",
    "own signal": """
        got = []
        signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
        info = struct.pack("=iii116x", signal.SIGUSR1, 0, -1)
        pidfd = os.pidfd_open(os.getpid())
        return call("pidfd_send_signal", pidfd, signal.SIGUSR1, 0, 0), call(
            "pidfd_send_signal", pidfd, signal.SIGUSR1, info, 0), call(
            "pidfd_send_signal", pidfd, 99, 0, 0), call("pidfd_send_signal", 99, 0, 0, 0), got""",
    "own signal's own information": """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        info = struct.pack("=iii116x", signal.SIGUSR1, 0, -1)
        sent = call("pidfd_send_signal", os.pidfd_open(os.getpid()), signal.SIGUSR1, info, 0)
        return sent, signal.sigwaitinfo([signal.SIGUSR1]).si_code""",
    "descriptor of a child": """
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            os._exit(0)
        pidfd = os.pidfd_open(child)
        taken = [call("pidfd_getfd", pidfd, place, 0) for place in (write, 99)]
        wrong = call("pidfd_getfd", pidfd, write, 1), call("pidfd_getfd", 99, write, 0)
        kept_back = fcntl.fcntl(taken[0], fcntl.F_GETFD)
        return os.write(taken[0], b"x"), kept_back, taken[1], wrong, waited(child)""",
}


def _give(listener: socket.socket) -> None:
    """To whoever asks: a descriptor of the process of that number."""
    while True:
        try:
            end, _ = listener.accept()
        except OSError:
            return
        with end:
            pidfd = os.pidfd_open(int(end.recv(99)))
            socket.send_fds(end, [b"x"], [pidfd])
            os.close(pidfd)


@contextmanager
def giver(place: Path) -> Iterator[None]:
    """An accomplice outside."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "giver"))
        listener.listen()
        thread = threading.Thread(target=_give, args=(listener,))
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with giver(tmp_path):
        yield tmp_path


@MECHANISMS
def test_no_call_by_number_reaches_the_supervisor(mechanism: str, place: Path) -> None:
    """EPERM for each, which is the refusal of the protection, and the supervisor lives."""
    calls = table(native().abis[0].name)
    here = {title: text for title, text in BY_NUMBER.items() if title.split()[0] in calls}
    ran, outcomes = run_acts(mechanism, PERMISSIVE, here, place, prelude=_PREPARED)
    reached = {title: found for title, found in outcomes.items() if set(found) - set("[-1, ]")}
    assert reached == {}
    assert ran.events[-1]["event"] == "end"


@MECHANISMS
def test_no_descriptor_reaches_the_supervisor(mechanism: str, place: Path) -> None:
    """What an accomplice gave, and what /proc gives, is refused; one's own process is not."""
    ran, outcomes = run_acts(mechanism, PERMISSIVE, BY_DESCRIPTOR, place, prelude=_PREPARED)
    assert outcomes == {
        "pidfd_send_signal": "[-1, 0]",
        "pidfd_send_signal of a group": "-1",
        "pidfd_getfd": "[-1, 0]",
        "pidfd_send_signal by /proc": "-1",
        "process_madvise": "-1",
        "process_mrelease": "-1",
        "setns": "-1",
        "pidfd_send_signal by a place": "True",
    }
    aimed = [event for event in ran.events if event["event"] in ("detection", "decision")]
    assert [event["call"] for event in aimed[:3]] == [
        "pidfd_send_signal",
        "pidfd_send_signal",
        "pidfd_getfd",
    ]
    assert ran.events[-1]["event"] == "end"


@MECHANISMS
def test_other_processes_are_reached_as_bare(mechanism: str, place: Path) -> None:
    """What is not aimed at the supervisor has its effect, and its own errors."""
    _, outcomes = run_acts(mechanism, PERMISSIVE, OTHERS, place, prelude=_PREPARED)
    assert outcomes == {
        "own process": "[0, 0, 0, 0, 0, 0, 0, -3, -22, -9, -22]",
        "own descriptors": "[0, 0, True, 0, 0, -14, -14, -9]",
        "own signal": "(0, 0, -22, -9, [1, 1])",
        "own signal's own information": "(0, -1)",
        "descriptor of a child": "(1, 1, -9, (-22, -9), 0)",
    }


OF_PROCESSES = frozenset({"setpgid", "tgkill", "rt_tgsigqueueinfo"})
"""Calls that take a group, or the process as well."""

OF_BOTH: Acts = {
    "tgkill": '[call("tgkill", leader, number, 0)]',
    "rt_tgsigqueueinfo": '[call("rt_tgsigqueueinfo", leader, number, 0, bytes(128))]',
}

_THREADS = """
    global number
    leader = number
    found = {}
    for number in [int(name) for name in os.listdir(f"/proc/{number}/task")]:
        found[number] = ACT
    return len(found) > 1, set(map(str, found.values()))"""


@MECHANISMS
def test_no_thread_of_the_supervisor_is_reached(mechanism: str, place: Path) -> None:
    """A supervisor of many threads is as far away by the number of each, also of later ones."""
    calls = table(native().abis[0].name)
    one = {
        title: _THREADS.replace("ACT", text.replace("-number", "number"))
        for title, text in BY_NUMBER.items()
        if title.split()[0] in calls and "return" not in text and title not in OF_PROCESSES
    }
    one |= {title: _THREADS.replace("ACT", text) for title, text in OF_BOTH.items()}
    assert len(one) > 15
    ran, outcomes = run_acts(mechanism, PERMISSIVE, one, place, prelude=_PREPARED)
    only = set("(True, {'[-1]'})")
    reached = {title: found for title, found in outcomes.items() if set(found) - only}
    assert reached == {}
    assert ran.events[-1]["event"] == "end"


@MECHANISMS
@pytest.mark.parametrize(
    "condition", ["", f"\n    if: user = {os.geteuid()}"], ids=["calls", "user"]
)
def test_a_policys_refusal_comes_first(mechanism: str, condition: str, tmp_path: Path) -> None:
    """What a policy denies is denied with its errno, in the kernel or by the supervisor."""
    rule = f"  - deny[exdev]: [pidfd_send_signal, pidfd_getfd]{condition}\n"
    acts = {
        "signal": 'call("pidfd_send_signal", os.pidfd_open(os.getpid()), 0, 0, 0)',
        "take": 'call("pidfd_getfd", os.pidfd_open(os.getpid()), 1, 0)',
    }
    _, outcomes = run_acts(mechanism, f"default: permit\nrules:\n{rule}", acts, tmp_path)
    assert set(outcomes.values()) == {"-18"}
