"""The detached supervisor: what the launcher keeps, what the supervisor lets go of."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.kernel import procfs
from enforcer.kernel.prctl import is_dumpable
from enforcer.mechanisms.contract import LaunchError
from enforcer.supervision.launch import Handshake, execute, start_supervisor
from harness import process


def _in_child(body: Callable[[], object]) -> object:
    """What `body` returns (as JSON) in a forked child; an exception comes back as its text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = body()
        except (LaunchError, OSError) as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, json.dumps(answer).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text)


def _describe(handshake: Handshake) -> None:
    facts = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "target": handshake.target,
        "dumpable": is_dumpable(),
        "open": [str(entry.readlink()) for entry in _open_descriptors()],
        "ignored": signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN,
        "cwd": str(Path.cwd()),
    }
    handshake.ready(json.dumps(facts))
    handshake.wait_go()


def _open_descriptors() -> list[Path]:
    """Without the one that reads the directory, which is closed again."""
    return [entry for entry in Path("/proc/self/fd").iterdir() if entry.exists()]


def test_a_supervisor_reads_procfs_whatever_its_launcher_read() -> None:
    """The launcher's descriptor of it is closed with all others; the supervisor has its own."""

    def read(handshake: Handshake) -> None:
        handshake.ready(procfs.read(os.getpid(), "comm").decode())
        handshake.wait_go()

    def body() -> object:
        procfs.read(os.getpid(), "comm")
        launcher = start_supervisor(read, name="reader")
        told = launcher.wait_ready()
        launcher.go()
        return told

    assert _in_child(body) == "reader\n"


def test_supervisor_is_detached() -> None:
    """The supervisor is in a session and group of its own, not the launcher's child, not dumpable,
    and holds nothing but /dev/null and the handshake."""

    def body() -> object:
        os.dup2(os.open("/", os.O_RDONLY), 200)
        launcher = start_supervisor(_describe)
        facts = json.loads(launcher.wait_ready())
        launcher.go()
        own = {"launcher": os.getpid(), "launchers_session": os.getsid(0)}
        return {**facts, **own, "seen": launcher.supervisor}

    facts = _in_child(body)
    assert isinstance(facts, dict)
    assert facts["target"] == facts["launcher"]
    assert facts["seen"] == facts["pid"] == facts["group"]
    assert facts["session"] not in (facts["pid"], facts["launchers_session"])
    assert facts["parent"] != facts["launcher"]
    assert not facts["dumpable"]
    assert facts["ignored"]
    assert facts["cwd"] == "/"
    others = [target for target in facts["open"] if target != "/dev/null"]
    assert [target.partition(":")[0] for target in others] == ["socket"]


def test_a_supervisor_does_not_look_for_garbage_in_what_its_launcher_had() -> None:
    """That takes 10 ms, and again whenever a quarter as much is remembered of a target's names."""

    def tell(handshake: Handshake) -> None:
        handshake.ready(json.dumps([gc.get_freeze_count(), len(gc.get_objects())]))
        handshake.wait_go()

    def body() -> object:
        launcher = start_supervisor(tell)
        told = json.loads(launcher.wait_ready())
        launcher.go()
        return told

    told = _in_child(body)
    assert isinstance(told, list)
    frozen, watched = told
    assert frozen > 20 * watched


def test_kept_descriptor_stays_open_and_is_not_inherited_by_the_command(tmp_path: Path) -> None:
    """A descriptor in `keep` works in the supervisor and is close-on-exec in the launcher."""
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(log, True)

    def serve(handshake: Handshake) -> None:
        os.write(log, b"kept")
        handshake.ready()

    def body() -> object:
        start_supervisor(serve, keep=[log]).wait_ready()
        return os.get_inheritable(log)

    assert _in_child(body) is False
    os.close(log)
    assert (tmp_path / "log").read_bytes() == b"kept"


def test_error_of_the_supervisor_is_the_launch_error() -> None:
    """What `serve` raises before 'ready' reaches the launcher as LaunchError with its text."""

    def serve(handshake: Handshake) -> None:
        raise OSError(38, "no listener here")

    answer = _in_child(lambda: start_supervisor(serve).wait_ready())
    assert answer == "LaunchError: OSError: [Errno 38] no listener here"


@pytest.mark.parametrize("moment", ["before ready", "before go"])
def test_dead_supervisor_stops_the_launch(moment: str) -> None:
    """A supervisor that dies before 'go' makes the launch fail; the command is not executed."""

    def serve(handshake: Handshake) -> None:
        if moment == "before go":
            handshake.ready()
        os.kill(os.getpid(), signal.SIGKILL)

    def body() -> object:
        launcher = start_supervisor(serve)
        launcher.wait_ready()
        while True:  # the death needs a moment to reach the socket
            launcher.go()

    answer = _in_child(body)
    assert isinstance(answer, str)
    assert answer.startswith("LaunchError: the supervisor ended before")


def test_the_launcher_becomes_the_command() -> None:
    """Pid, parent, group, session and exit status of the command are those of the launcher."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1)
            launcher = start_supervisor(lambda handshake: handshake.ready())
            launcher.wait_ready()
            execute(["sh", "-c", "cut -d' ' -f1,4-6 /proc/$$/stat; kill -PIPE $$"])
        finally:
            os._exit(99)
    os.close(writing)
    expected = f"{child} {os.getpid()} {os.getpgid(child)} {os.getsid(child)}\n"
    with os.fdopen(reading) as stream:
        assert stream.read() == expected
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGPIPE


_CROWD = """
import os, threading
from enforcer.kernel import procfs
from enforcer.supervision.launch import start_supervisor

def size():
    return int(procfs.status_fields(procfs.read(os.getpid(), "status"))[b"VmSize"].split()[0])

def serve(handshake):
    threading.stack_size(512 << 10)
    together = threading.Barrier(13)
    def work():
        kept = bytearray(10_000)
        together.wait(), together.wait()
    before = size()
    threads = [threading.Thread(target=work) for _ in range(12)]
    [thread.start() for thread in threads]
    together.wait()
    handshake.ready(str(size() - before))
    together.wait()
    handshake.wait_go()

launcher = start_supervisor(serve, name="crowd")
print(launcher.wait_ready())
launcher.go()
"""


def test_a_supervisor_s_threads_take_few_addresses() -> None:
    """Its target's limit of them is its own (RLIMIT_AS), and every held call may need a thread."""
    ran = process.run([sys.executable, "-c", _CROWD], cwd=Path(__file__).parents[2])
    assert int(ran.stdout) < 100 << 10, ran.stderr
