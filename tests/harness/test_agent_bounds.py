"""What a run cannot exceed, and what it leaves behind: nothing, also when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.model import Limits, Outcome, RunKind
from harness.places import isolation, local
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace, numbered
from harness.places.usage import Meter
from harness.process import Server, kill
from tests.harness.plain import wall_in
from tests.harness.shell_attacks import READ_BOTH, ask, place, request_of

__all__ = ["place"]

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="looks at an uid of the run's own")


def living(uid: int) -> list[int]:
    """Pids of all processes with this uid."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            words = status.read_text().split("\nUid:\t", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(words[0]) == uid:
            found.append(int(status.parent.name))
    return found


def test_output_is_bounded(place: LocalPlace, tmp_path: Path) -> None:
    """Of much output the beginning and the end (with the token) are kept."""
    script = READ_BOTH.replace('echo "DATA', 'head -c 300000 /dev/zero | tr "\\0" x; echo "DATA')
    seen = ask(place, tmp_path, script, limits=Limits(output_bytes=65536))
    assert seen.finished
    assert len(seen.stdout) < 100_000


@ROOT_ONLY
def test_forks_without_end_are_bounded(place: LocalPlace, tmp_path: Path) -> None:
    """A fork bomb ends with its run: nothing of it lives on, and the next run works."""
    bomb = "#!/bin/sh\nbomb() { bomb | bomb & }\nbomb\nwhile :; do sleep 1; done\n"
    seen = ask(place, tmp_path, bomb, limits=Limits(timeout_s=1.0, processes=40))
    assert not seen.effect
    assert place._agent is not None
    assert living(isolation.FIRST_UID + place._agent.pid) == []
    assert ask(place, tmp_path, READ_BOTH).effect


def test_a_full_disk_is_bounded(place: LocalPlace, tmp_path: Path) -> None:
    """A target that fills its disk gets ENOSPC or EFBIG; the laboratory's own disk is untouched."""
    script = """#!/bin/sh
for n in 1 2 3 4 5 6 7 8 9; do head -c 2M /dev/zero > file-$n || echo full; done
"""
    limits = Limits(scratch_bytes=4 << 20)
    seen = ask(place, tmp_path, script, limits=limits)
    assert "full" in seen.stdout
    assert not place.layout().directory.exists()


def test_memory_is_bounded_over_all_processes(place: LocalPlace, tmp_path: Path) -> None:
    """Processes that each stay below the limit, but not together, are ended long before time."""
    script = """#!/bin/sh
for n in 1 2 3 4 5 6; do head -c 20M /dev/zero | tail -c 20M | { sleep 50; cat; } & done
wait
"""
    limits = Limits(memory_bytes=64 << 20, timeout_s=60)
    seen = ask(place, tmp_path, script, limits=limits)
    assert seen.outcome is Outcome.CRASHED
    assert "more memory than its limit" in seen.detail


def test_without_walls_the_disk_is_bounded(tmp_path: Path) -> None:
    """Where no private file system has a size, a run that writes too much is ended."""
    meter = Meter(limits=Limits(scratch_bytes=1 << 20), scratch=tmp_path)
    (tmp_path / "some").write_bytes(bytes(1 << 19))
    assert meter.excess() == ""
    (tmp_path / "more").write_bytes(bytes(1 << 20))
    assert "disk" in meter.excess()


@ROOT_ONLY
def test_nothing_outside_can_be_written(place: LocalPlace, tmp_path: Path) -> None:
    """Outside its own file systems the target finds a read-only tree, and no process but its own:
    not one whose command line is known, though it sees itself by its own.
    """
    outside = Path("/var/tmp/interposition-lab-test")
    script = f"""#!/bin/sh
touch {outside} || echo refused
grep -l -a 4322.5 /proc/[0-9]*/cmdline > /dev/null && echo stranger
grep -l -a program /proc/[0-9]*/cmdline > /dev/null && echo itself
"""
    with subprocess.Popen(["sleep", "4322.5"]) as stranger:
        try:
            seen = ask(place, tmp_path, script)
        finally:
            stranger.kill()
    assert seen.stdout.split() == ["refused", "itself"]
    assert not outside.exists()


def test_a_daemon_does_not_outlive_its_run(place: LocalPlace, tmp_path: Path) -> None:
    """A grandchild in a session of its own is gone when the observation is there."""
    script = "#!/bin/sh\nsetsid sleep 4321.75 > /dev/null 2>&1 &\n" + READ_BOTH
    assert ask(place, tmp_path, script).finished
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert b"4321.75" not in command.read_bytes().split(b"\0")


def test_an_agent_keeps_none_of_its_runs(place: LocalPlace, tmp_path: Path) -> None:
    """A run's init whose guard ended first is reaped: a campaign would use up process numbers."""
    request = request_of(
        place, tmp_path, READ_BOTH, RunKind.CONTROL, "file", "read", Limits(timeout_s=60)
    )
    server = Server(local.AGENT)
    for _ in range(5):
        server.ask(json.dumps(numbered(request)), 60)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    server.close()
    assert children == ""


@ROOT_ONLY
def test_kill_9_leaves_nothing(place: LocalPlace, tmp_path: Path) -> None:
    """When the agent is killed in mid-run, its targets die with it and no mount is left."""
    script = "#!/bin/sh\nsleep 1234 & sleep 1234 & wait\n"
    request = request_of(
        place, tmp_path, script, RunKind.CONTROL, "file", "read", Limits(timeout_s=60)
    )
    started = subprocess.Popen(
        [sys.executable, "-m", "harness.places.agent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(json.dumps(numbered(request)).encode() + b"\n")
    started.stdin.flush()
    uid = isolation.FIRST_UID + started.pid
    deadline = time.monotonic() + 20
    while len(targets := living(uid)) < 3:
        assert time.monotonic() < deadline
    watched = [os.pidfd_open(pid) for pid in targets]
    started.kill()
    started.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 5)[0]
        os.close(descriptor)
    started.stdin.close()
    started.stdout.close()
    assert str(place.layout().root) not in Path("/proc/mounts").read_text()


LINGER = """#!/bin/sh
setsid sleep @seconds@ > /dev/null 2>&1 &
while ! grep -qs @seconds@ /proc/$!/cmdline; do :; done
kill -9 $PPID
"""


def test_what_a_killed_init_leaves_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without walls the agent itself looks for it, before it answers."""
    wall_in(Isolation.PLAIN, monkeypatch)
    local_place = LocalPlace()
    seconds = f"99.{time.monotonic_ns()}"
    script = LINGER.replace("@seconds@", seconds)
    limits = Limits(timeout_s=20)
    request = request_of(local_place, tmp_path, script, RunKind.CONTROL, "file", "read", limits)
    server = Server(local.AGENT)
    answer = json.loads(server.ask(json.dumps(numbered(request)), 60))
    left = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if seconds.encode() in content_of(each)
    ]
    server.close()
    local_place.close()
    for pid in left:
        kill(pid)
    assert answer["observations"][0]["outcome"] == "broken"
    assert left == []


def content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_without_walls_a_killed_campaign_leaves_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kills the agent ends its target."""
    wall_in(Isolation.PLAIN, monkeypatch)
    local_place = LocalPlace()
    script = f"#!/bin/sh\necho $$ > {tmp_path}/fifo\nexec sleep 1234\n"
    os.mkfifo(tmp_path / "fifo")
    limits = Limits(timeout_s=60)
    request = request_of(local_place, tmp_path, script, RunKind.CONTROL, "file", "read", limits)
    started = subprocess.Popen(local.AGENT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert started.stdin is not None
    started.stdin.write(json.dumps(numbered(request)).encode() + b"\n")
    started.stdin.flush()
    target = int((tmp_path / "fifo").read_text())
    watched = os.pidfd_open(target)
    started.kill()
    started.wait()
    started.stdin.close()
    local_place.close()
    ended = select.select([watched], [], [], 20)[0]
    os.close(watched)
    kill(target)
    assert ended
