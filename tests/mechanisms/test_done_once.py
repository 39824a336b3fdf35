"""A held act is done once, however often a signal takes its task out of the call (D12)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.mechanisms.sandbox import run

POLICY = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
  - deny[eacces]: [connect, sendto, sendmsg]
    when: sockaddr sub "secret"
"""

PROGRAM = """
import os, signal, socket
COUNT = 60
received = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
received.bind("ear")
received.setblocking(False)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
heard = []
signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
signal.siginterrupt(signal.SIGALRM, False)

def outcome(act, *args):
    try:
        act(*args)
        return 0
    except OSError as error:
        return error.errno

def others(number):
    os.mkdir(f"made{number}")
    os.link(f"made{number - 1}x" if number else "first", f"made{number}x")
    os.rename(f"made{number}", f"moved{number}")
    sender.sendto(b"%d" % number, "ear")

open("first", "x").close()
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
found = []
for number in range(COUNT):
    found.append(outcome(others, number))
    if number % 8 == 7 or number == COUNT - 1:
        while True:
            try:
                found.append(received.recv(16))
            except BlockingIOError:
                break
signal.setitimer(signal.ITIMER_REAL, 0)
texts = [each for each in found if isinstance(each, bytes)]
print(bool(heard), {each for each in found if isinstance(each, int)},
      texts == [b"%d" % number for number in range(COUNT)], os.stat("first").st_nlink)
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_an_act_is_done_once(mechanism: str, tmp_path: Path) -> None:
    """Directories made, links, renames and messages under a storm of SA_RESTART signals."""
    ran = run(mechanism, POLICY, [sys.executable, "-I", "-S", "-c", PROGRAM], tmp_path)
    assert (ran.status, ran.stdout) == (0, "True {0} True 61\n"), ran.stderr
