"""A broker behind SIGSYS: what opens, by which road, and what stops with it."""

from __future__ import annotations

import errno
import shutil
import signal
import sys
from pathlib import Path

import pytest

from enforcer.arch import ABIS, native
from enforcer.events import NullLog
from enforcer.kernel.seccomp import actions_available
from enforcer.mechanisms.broker import COMPILER, MECHANISM, STUB
from enforcer.mechanisms.contract import Extent, Inexpressible, Options, Unavailable
from enforcer.policy.parser import parse_yaml
from harness import process
from harness.build import build_source
from harness.evidence import witnessed
from harness.tree import OWN
from tests.mechanisms.launching import launched
from tests.mechanisms.sandbox import Ran

ATTACKS = OWN / "attacks"
STATIC = ATTACKS / "machinery" / "preload-escape.c"
X86_64 = (ABIS["x86_64"],)
POLICY = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename match "{place}/shut/*"
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""
PREPARED = """
import subprocess
from dataclasses import replace
from enforcer.mechanisms import broker

class Prepared(broker.SigsysBroker):
    def compile(self, policies, abis, options):
        plan = super().compile(policies, abis, options)
        words = [broker.COMPILER, *broker.FLAGS, "-o", place / "stub", place / "stub.c"]
        subprocess.run(words, check=True)
        return replace(plan, data={**plan.data, "stub": str(place / "stub")})

MECHANISM = Prepared()
"""

needs_broker = pytest.mark.skipif(
    native().abis[0].name != "x86_64" or not shutil.which(COMPILER) or not actions_available(),
    reason="no x86_64, no C compiler or no seccomp here",
)


def under(place: Path, *command: str | Path, stub: str = "") -> Ran:
    """The command under the mechanism, with a file that may be opened and one that may not."""
    (place / "shut").mkdir()
    (place / "shut" / "denied").write_text("secret\n")
    (place / "allowed").write_text("public\n")
    (place / "stub.c").write_text(stub or STUB.read_text())
    return launched(PREPARED, POLICY.format(place=place), command, place, "")


def python(place: Path, *lines: str) -> Ran:
    """A program of these lines, in which `denied` and `allowed` are names."""
    names = f"denied, allowed = {str(place / 'shut' / 'denied')!r}, {str(place / 'allowed')!r}"
    return under(place, Path(sys.executable).resolve(), "-c", "\n".join((names, *lines)))


@needs_broker
def test_what_is_permitted_is_opened(tmp_path: Path) -> None:
    """By the broker; and the kernel says that the filter was on before."""
    done = under(tmp_path, "cat", tmp_path / "allowed")
    assert (done.status, done.stdout) == (0, "public\n"), done.stderr
    assert witnessed(done.events)


ROADS = {
    "the name": ("{place}/shut/denied",),
    "a link": ("{place}/link",),
    "dots": ("{place}/shut/../shut/./denied",),
    "the root of a task": ("/proc/self/root{place}/shut/denied",),
}


@needs_broker
@pytest.mark.parametrize("road", ROADS.values(), ids=list(ROADS))
def test_what_is_denied_is_not(tmp_path: Path, road: tuple[str, ...]) -> None:
    """It is resolved before it is judged, and the log says what it was."""
    (tmp_path / "link").symlink_to("shut/denied")
    done = under(tmp_path, "cat", *(each.format(place=tmp_path) for each in road))
    assert done.stdout == ""
    assert "Permission denied" in done.stderr
    assert [e["values"] for e in done.events if e["event"] == "decision"] == [
        {"filename": [str(tmp_path / "shut" / "denied")]}
    ]


@needs_broker
def test_a_static_program_is_confined_as_well(tmp_path: Path) -> None:
    """The stub brings the handler, not the program's loader; a raw call traps as any other."""
    program = build_source(STATIC, "x86_64", include=ATTACKS / "include")
    names = (f"denied={tmp_path}/shut/denied", f"allowed={tmp_path}/allowed")
    done = under(tmp_path, program, "attack", "variant=raw", f"dir={tmp_path}", "nonce=n", *names)
    assert "DATA" not in done.stdout
    assert f"errno={errno.EACCES}\n" in done.stdout, done.stderr
    assert witnessed(done.events)


@needs_broker
def test_without_the_filter_nothing_is_enforced(tmp_path: Path) -> None:
    """A stub that does not confine lets the program open by itself, and no witness says else."""
    free = STUB.read_text().replace("\tconfine();\n", "")
    done = under(tmp_path, "cat", tmp_path / "shut" / "denied", stub=free)
    assert done.stdout == "secret\n"
    assert not witnessed(done.events)


@needs_broker
def test_no_program_is_executed(tmp_path: Path) -> None:
    """It would have the filter and no handler."""
    done = under(tmp_path, "sh", "-c", "/bin/true")
    assert done.status == 126
    assert "Permission denied" in done.stderr


@needs_broker
def test_a_target_that_blocks_the_signal_is_killed(tmp_path: Path) -> None:
    """By the kernel, which cannot deliver it: nothing is opened without the handler."""
    done = python(
        tmp_path,
        "import signal",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSYS])",
        "print(open(denied).read(), flush=True)",
    )
    assert (done.status, done.stdout) == (-signal.SIGSYS, "")


@needs_broker
def test_who_closes_the_channel_opens_nothing(tmp_path: Path) -> None:
    """Nor who puts something of its own in its place."""
    done = python(
        tmp_path,
        "import os, socket",
        "def tried():",
        "    try: print(open(allowed).read())",
        "    except OSError as error: print(error.errno)",
        "os.closerange(3, 4096)",
        "tried()",
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
        "os.dup2(theirs.fileno(), 900)",
        "ours.close(); theirs.close()",
        "tried()",
    )
    assert done.stdout.split() == [str(errno.EIO)] * 2, done.stderr


@needs_broker
def test_a_name_that_waits_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """A FIFO without a writer, opened by one thread, and a file by another behind it."""
    done = python(
        tmp_path,
        "import os, threading",
        "fifo = allowed + '.fifo'",
        "os.mkfifo(fifo)",
        "reader = threading.Thread(target=lambda: print(open(fifo).read()))",
        "reader.start()",
        "print(open(allowed).read(), end='', flush=True)",
        "print('through', file=open(fifo, 'w'))",
        "reader.join()",
    )
    assert done.stdout.split() == ["public", "through"], done.stderr


@needs_broker
def test_who_stops_the_broker_opens_nothing(tmp_path: Path) -> None:
    """Nor does it wait for ever: one question is not taken in its time, and no other is asked."""
    done = python(
        tmp_path,
        "import json, os, signal",
        f"log = [json.loads(line) for line in open({str(tmp_path / 'log')!r})]",
        "broker = next(e['supervisor'] for e in log if e['event'] == 'enforcing')",
        "os.kill(broker, signal.SIGSTOP)",
        "try:",
        "    for _ in range(500):",
        "        try: print(open(denied).read())",
        "        except OSError as error: said = error.errno",
        "finally:",
        "    os.kill(broker, signal.SIGCONT)",
        "print(said)",
    )
    assert done.stdout.split() == [str(errno.EIO)], done.stderr


@needs_broker
def test_the_broker_does_not_open_its_own_memory(tmp_path: Path) -> None:
    """Whoever could write there would have a process without a filter."""
    done = python(
        tmp_path,
        "import json",
        f"log = [json.loads(line) for line in open({str(tmp_path / 'log')!r})]",
        "broker = next(e['supervisor'] for e in log if e['event'] == 'enforcing')",
        "for name in ('mem', 'maps', 'environ'):",
        "    try: open(f'/proc/{broker}/{name}'); print(name)",
        "    except OSError as error: print(error.errno)",
    )
    assert done.stdout.split() == [str(errno.EACCES)] * 3, done.stderr


@needs_broker
def test_descriptors_are_numbered_as_without_it(tmp_path: Path) -> None:
    """An open gives the lowest free number, and close-on-exec where it was asked for."""
    done = python(
        tmp_path,
        "import fcntl, os",
        "lowest = os.dup(0)",
        "os.close(lowest)",
        "first, second = os.open(allowed, os.O_RDONLY), os.open(allowed, os.O_RDONLY)",
        "os.close(first)",
        "again = os.open(allowed, os.O_RDONLY)",
        "print(first - lowest, again - first, second - first, fcntl.fcntl(again, fcntl.F_GETFD))",
    )
    assert done.stdout.split() == ["0", "0", "1", "1"], done.stderr


def test_what_is_no_program_of_its_own_is_not_run(tmp_path: Path) -> None:
    """A script would run an interpreter that nobody confines."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    policy = parse_yaml(POLICY.format(place=tmp_path), "x")
    plan = MECHANISM.compile([policy], X86_64, Options(partial=True))

    def target() -> int:
        try:
            MECHANISM.launch(plan, [str(script)], NullLog())
        except Unavailable:
            return 3

    assert process.wait(process.fork(target)) == 3 << 8


COVERS = [
    ("permit", 'deny[eacces]: openat\n    when: filename match "/x/*"', Extent.FULL),
    ("permit", 'deny[eacces]: fsread\n    when: filename match "/x/*"', Extent.PARTIAL),
    ("permit", 'deny[eacces]: execve\n    when: filename match "/x/*"', Extent.NONE),
    ("permit", "deny[eperm]: mkdir", Extent.NONE),
]


@pytest.mark.parametrize(("default", "rule", "extent"), COVERS)
def test_names_of_what_is_opened_are_kept(default: str, rule: str, extent: Extent) -> None:
    """Other calls not at all, and a default that denies neither."""
    policy = parse_yaml(f"default: {default}\nrules:\n  - {rule}\n", "x")
    covers = MECHANISM.cover(policy, X86_64)
    assert covers[0].extent is extent
    assert covers[-1].extent is Extent.PARTIAL


def test_other_machines_have_no_handler() -> None:
    """It is written in one machine's registers; elsewhere that is said."""
    policy = parse_yaml(POLICY.format(place="/x"), "x")
    with pytest.raises(Inexpressible) as caught:
        MECHANISM.compile([policy], (ABIS["arm64"],), Options())
    assert caught.value.elsewhere
