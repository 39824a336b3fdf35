"""Kernels that cannot change argument 0 of a held call: the call is made anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from harness import process

LAUNCHER = """\
import os, sys
from enforcer.arch import native
from enforcer.events import FileLog
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace.mechanism import Ptrace
from enforcer.mechanisms.ptrace.registers import CallRegisters, FrozenArgument
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy import load_policies
from enforcer.syscalls import number
from pathlib import Path

class Frozen(CallRegisters):
    def rewrite(self, tid, info, abi, nr, arguments):
        if arguments and arguments[0] != info[5] and nr != number(abi.name, "openat2"):
            with told.open("a") as file:
                print(nr, file=file)
            raise FrozenArgument
        super().rewrite(tid, info, abi, nr, arguments)

class Older(Tracer):
    def __init__(self, config, log):
        super().__init__(config, log)
        self.sandbox.registers = self.act.registers = Frozen()

class OlderPtrace(Ptrace):
    make_tracer = Older

log, *command = sys.argv[1:]
told = Path("frozen").absolute()
plan = OlderPtrace().compile(load_policies(Path("policy.yaml")), native().abis, Options())
descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
OlderPtrace().launch(plan, command, FileLog(descriptor))
"""

POLICY = """\
default: permit
rules:
  - deny[eacces]: chdir
    when: filename eq "${denied}"
  - permit: [fsread, fswrite, chdir]
    when: filename match "/*"
  - permit: execve
    when: filename match "/*"
"""

TARGET = """\
import os, signal, subprocess, threading
beats = 0
def beat(number, frame):
    global beats
    beats += 1
signal.signal(signal.SIGALRM, beat)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
for turn in range(40):
    os.chdir("link")
    assert os.path.basename(os.getcwd()) == "there", os.getcwd()
    os.chdir("..")
    started = threading.Thread(target=os.getpid)
    started.start()
    started.join()
try:
    os.chdir("denied")
except PermissionError:
    print("denied")
done = subprocess.run(["sh", "-c", "trap 'echo $?' EXIT; exit 3"], stdout=subprocess.PIPE)
signal.setitimer(signal.ITIMER_REAL, 0)
assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
print(done.stdout, done.returncode, beats > 0)
"""


@pytest.mark.skipif(native().name != "x86_64", reason="the kernel stands in for an older one")
def test_calls_are_made_anew(tmp_path: Path) -> None:
    """chdir, clone3 and execve are judged and do what they do, also while signals come."""
    for name in ("there", "denied"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "policy.yaml").write_text(POLICY.replace("${denied}", str(tmp_path / "denied")))
    log = tmp_path / "events.jsonl"
    words: list[str | Path] = [sys.executable, "-c", LAUNCHER, log, sys.executable, "-c", TARGET]
    done = process.run(words, cwd=tmp_path)
    assert (done.status, done.stdout) == (0, "denied\nb'3\\n' 3 True\n"), done.stderr
    assert len((tmp_path / "frozen").read_text().split()) > 100
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["call"] for event in events if event["event"] == "decision"] == ["chdir"]
    assert not [event for event in events if event["event"] == "detection"]
