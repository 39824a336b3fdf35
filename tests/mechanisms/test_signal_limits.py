"""What signals do to held calls that they would not do bare: stated in docs/limits.md."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mechanisms.sandbox import run

POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

_IGNORED = """
import ctypes, os, select, signal
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
libc = ctypes.CDLL(None, use_errno=True)
waiting = select.epoll()
parent = os.getpid()
if os.fork() == 0:
    while True:
        with open(f"/proc/{parent}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "S":
                os.kill(parent, signal.SIGUSR1)
        if os.getppid() != parent:
            os._exit(0)
found = libc.epoll_wait(waiting.fileno(), ctypes.create_string_buffer(12), 1, 60_000)
print(found, ctypes.get_errno(), flush=True)
"""


def test_an_ignored_signal_interrupts_a_traced_task(tmp_path: Path) -> None:
    """ptrace(2): a traced task wakes for every signal, and what is never made again is EINTR."""
    ran = run("ptrace", POLICY, [sys.executable, "-I", "-S", "-c", _IGNORED], tmp_path)
    assert ran.stdout == "-1 4\n", ran.stderr


_HANDLED = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for count in range(200_000):
    if libc.access(b"/etc/passwd", 0) < 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(ctypes.get_errno())
        break
"""


def test_a_signal_before_reception_interrupts_a_held_call(tmp_path: Path) -> None:
    """seccomp_unotify(2): until the supervisor has received it a call can be interrupted, also one
    that never is bare, where the handler has no SA_RESTART."""
    ran = run("notify", POLICY, [sys.executable, "-I", "-S", "-c", _HANDLED], tmp_path)
    assert ran.stdout == "4\n", ran.stderr
