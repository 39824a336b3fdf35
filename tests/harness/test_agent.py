"""The agent: what it sees from outside, what it bounds, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest

from enforcer.arch import native
from enforcer.call import Action
from enforcer.kernel.prctl import is_dumpable
from enforcer.policy.ast import Dialect, Policy
from harness.backends import backend
from harness.model import Limits, Observation, Outcome, RunKind
from harness.places import agent, isolation, local, wire
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace, PlaceError, numbered
from harness.places.usage import Meter
from harness.process import Server, fork, kill, wait
from tests.harness.plain import wall_in

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="looks at an uid of the run's own")
READ_BOTH = """#!/bin/sh
mode=$1
for word; do case $word in
    denied=*) denied=${word#denied=};; allowed=*) allowed=${word#allowed=};;
    nonce=*) nonce=${word#nonce=};;
esac; done
test "$mode" = benign && denied=$allowed
echo "DATA $(cat "$denied")"
echo "TOKEN $nonce attempts=1 wins=1 errno=0"
"""


@pytest.fixture(scope="module")
def place() -> Iterator[LocalPlace]:
    local = LocalPlace()
    yield local
    local.close()


def ask(
    place: LocalPlace,
    tmp_path: Path,
    script: str,
    *,
    kind: RunKind = RunKind.CONTROL,
    sentinel: str = "file",
    effect: str = "read",
    limits: Limits | None = None,
) -> Observation:
    """One run of a shell script as the attack program, unconfined."""
    request = request_of(place, tmp_path, script, kind, sentinel, effect, limits or Limits())
    return place.run(request, 60).observations[0]


def request_of(
    place: LocalPlace,
    tmp_path: Path,
    script: str,
    kind: RunKind,
    sentinel: str,
    effect: str,
    limits: Limits,
) -> dict[str, object]:
    program = tmp_path / "program"
    program.write_text(script)
    plan = {"mechanism": "none", "machine": "x86_64", "data": {}}
    mode = "benign" if kind is RunKind.BENIGN else "attack"
    return {
        "layout": place.layout().to_json(),
        "limits": asdict(limits),
        "program": str(program),
        "variant": "default",
        "sentinel": sentinel,
        "effect": effect,
        "files": {},
        "runs": [
            {
                "kind": kind.value,
                "backend": "none",
                "plan": plan,
                "mode": mode,
                "attempts": 1,
                "stop": True,
                "command": [],
            }
        ],
    }


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


def test_reading_the_sentinel_is_seen(place: LocalPlace, tmp_path: Path) -> None:
    """A program that prints the denied file's nonce has the effect; its token is understood."""
    seen = ask(place, tmp_path, READ_BOTH)
    assert seen.outcome is Outcome.EFFECT
    assert seen.effect
    assert (seen.finished, seen.attempts, seen.wins) == (True, 1, 1)


@pytest.mark.parametrize(
    "around",
    [
        'cat "$denied" >&2',
        'head -c 300000 /dev/zero; cat "$denied"; head -c 300000 /dev/zero',
    ],
    ids=("standard error", "a flood around it"),
)
def test_where_a_secret_comes_out_does_not_matter(
    place: LocalPlace, tmp_path: Path, around: str
) -> None:
    """On standard error, or in the part of a flood that nobody keeps, it is the effect too."""
    script = READ_BOTH.replace('echo "DATA $(cat "$denied")"', f"{around}; echo")
    assert ask(place, tmp_path, script).effect


def test_the_twin_is_another_object(place: LocalPlace, tmp_path: Path) -> None:
    """In the benign run reading the permitted file is the effect, reading it elsewhere is none."""
    assert ask(place, tmp_path, READ_BOTH, kind=RunKind.BENIGN).effect
    attack_on_twin = READ_BOTH.replace('test "$mode" = benign &&', "")
    assert not ask(place, tmp_path, attack_on_twin).effect


def test_a_claimed_win_is_no_effect(place: LocalPlace, tmp_path: Path) -> None:
    """What the program says of itself proves nothing."""
    script = READ_BOTH.replace('$(cat "$denied")', "0123456789abcdef0123456789abcdef")
    seen = ask(place, tmp_path, script)
    assert seen.wins == 1
    assert not seen.effect
    assert seen.outcome is Outcome.SILENT


def test_a_forged_token_does_not_finish(place: LocalPlace, tmp_path: Path) -> None:
    """Only the token with this run's nonce counts."""
    seen = ask(place, tmp_path, "#!/bin/sh\necho TOKEN 00 attempts=9 wins=0 errno=13\n")
    assert not seen.finished
    assert seen.outcome is Outcome.CRASHED


def test_writing_is_seen(place: LocalPlace, tmp_path: Path) -> None:
    """A change of the denied file's content, mode or inode is an effect; reading it is none."""
    for act in ('echo x >> "$denied"', 'chmod 600 "$denied"', 'touch n; mv n "$denied"'):
        script = READ_BOTH.replace('echo "DATA', f'{act}; echo "DATA')
        assert ask(place, tmp_path, script, effect="write").effect, act
    assert not ask(place, tmp_path, READ_BOTH, effect="write").effect


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        ("#!/bin/sh\nkill -SEGV $$\n", Outcome.CRASHED, "SIGSEGV"),
        ("#!/bin/sh\nexit 3\n", Outcome.CRASHED, "exit status 3"),
        ("#!/bin/sh\necho SKIP no rings; exit 77\n", Outcome.UNSUPPORTED, "no rings"),
        ("#!/bin/sh\necho BROKEN bad luck; exit 99\n", Outcome.BROKEN, "bad luck"),
        ("#!/no/such/interpreter\n", Outcome.BROKEN, "launching"),
        ("#!/bin/sh\ncat\nkill -STOP $$\n", Outcome.HUNG, "time is up"),
        ("#!/bin/sh\nexec 2>&1; yes\n", Outcome.CRASHED, "output"),
    ],
)
def test_bad_endings(
    place: LocalPlace, tmp_path: Path, script: str, outcome: Outcome, detail: str
) -> None:
    """Each bad ending has its own outcome, and none of them is an effect or finished."""
    limits = Limits(timeout_s=2.0, output_bytes=65536)
    seen = ask(place, tmp_path, script, limits=limits)
    assert (seen.outcome, seen.effect, seen.finished) == (outcome, False, False)
    assert detail in seen.detail


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


def test_a_lost_agent_is_replaced(tmp_path: Path) -> None:
    """The case during which the agent died is an error of the place; the next one works."""
    place = LocalPlace()
    assert ask(place, tmp_path, READ_BOTH).effect
    assert place._agent is not None
    os.kill(place._agent.pid, signal.SIGKILL)
    with pytest.raises(PlaceError):
        ask(place, tmp_path, READ_BOTH)
    assert ask(place, tmp_path, READ_BOTH).effect
    place.close()


def test_nonces_are_fresh(place: LocalPlace, tmp_path: Path) -> None:
    """No two runs have the same secret."""
    outputs = {ask(place, tmp_path, READ_BOTH).stdout.split()[1] for _ in range(3)}
    assert len(outputs) == 3


def test_the_agent_imports_the_standard_library_only() -> None:
    """What runs in guests needs neither yaml nor click nor rich."""
    program = (
        "import sys, harness.places.agent\n"
        "print([m for m in ('yaml', 'click', 'rich', 'jinja2', 'pyseccomp') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_users_umask_does_not_close_the_scratch_directory(tmp_path: Path) -> None:
    """Under umask 077 the target still reaches its program and its objects."""
    before = os.umask(0o077)
    local = LocalPlace()
    try:
        (tmp_path / "bin").mkdir(mode=0o755)
        seen = ask(local, tmp_path, READ_BOTH)
    finally:
        os.umask(before)
        local.close()
    assert seen.outcome is Outcome.EFFECT


TWO_RUNS = """#!/bin/sh
echo "$@"
"""


def several(
    place: LocalPlace,
    tmp_path: Path,
    script: str,
    kinds: tuple[RunKind, ...],
    command: bool = False,
) -> list[Observation]:
    """The same script in several runs, as an attack program or as a command."""
    request = request_of(place, tmp_path, script, kinds[0], "file", "read", Limits())
    (run,) = cast("list[dict[str, object]]", request["runs"])
    if command:
        request |= {"program": None, "effect": None, "files": {"look": script}}
        run |= {"command": [str(place.layout().directory / "look"), "one", "two"]}
    request["runs"] = [{**run, "kind": kind.value, "attempts": 5, "stop": False} for kind in kinds]
    return list(place.run(request, 60).observations)


def test_a_control_without_effect_ends_its_case(place: LocalPlace, tmp_path: Path) -> None:
    """Nothing can be learned from an attack that shows nothing where nothing is enforced."""
    every = tuple(kind for kind in RunKind if kind is not RunKind.CONTROL_AGAIN)
    again = RunKind.CONTROL_AGAIN
    silent = several(place, tmp_path, "#!/bin/sh\n", every)
    assert [seen.kind for seen in silent] == [RunKind.CONTROL, again]
    assert [seen.kind for seen in several(place, tmp_path, READ_BOTH, every)] == list(every)
    later = (RunKind.BENIGN, RunKind.CONTROL, RunKind.ATTACK)
    seen = several(place, tmp_path, "#!/bin/sh\n", later)
    assert [each.kind for each in seen] == [*later[:2], again]


def test_a_program_is_told_what_it_needs(place: LocalPlace, tmp_path: Path) -> None:
    """Its mode first, then KEY=VALUE words."""
    (seen,) = several(place, tmp_path, TWO_RUNS, (RunKind.ATTACK,))
    mode, *words = seen.stdout.split()
    told = dict(word.split("=", 1) for word in words)
    layout = place.layout()
    assert mode == "attack"
    assert len(told.pop("nonce")) == 32
    assert told == {
        "dir": str(layout.directory),
        "variant": "default",
        "attempts": "5",
        "stop": "0",
        "denied": str(layout.denied),
        "allowed": str(layout.allowed),
    }


def test_a_command_is_run_as_it_stands(place: LocalPlace, tmp_path: Path) -> None:
    """Every run of it, whatever the first one shows, with the scenario's files and no token."""
    kinds = (RunKind.CONTROL, RunKind.BENIGN)
    script = TWO_RUNS + 'stat -c "%u %a" look; id -u; touch new\n'
    seen = several(place, tmp_path, script, kinds, command=True)
    assert [each.kind for each in seen] == list(kinds)
    assert all(each.finished for each in seen)
    said, owner, uid = seen[0].stdout.splitlines()
    assert (said, owner) == ("one two", f"{uid} 755")
    assert seen[0].tree == seen[1].tree != ""
    changed = several(place, tmp_path, script.replace("new", "nem"), kinds[:1], command=True)
    assert changed[0].tree != seen[0].tree


def test_files_are_programs_if_they_say_so(place: LocalPlace, tmp_path: Path) -> None:
    """Others are not executable; both can be written by the target, and so can what holds them."""
    request = request_of(place, tmp_path, "", RunKind.CONTROL, "file", "read", Limits())
    (run,) = cast("list[dict[str, object]]", request["runs"])
    words = "touch deep/new; echo x >> deep/er/data; stat -c %a deep/er/data deep/er"
    run["command"] = ["sh", "-c", words]
    files = {"deep/er/data": "plain"}
    request |= {"program": None, "effect": None, "files": files}
    (seen,) = place.run(request, 60).observations
    assert (seen.stdout.split(), seen.stderr) == (["644", "755"], "")


def test_a_command_that_is_not_there(place: LocalPlace, tmp_path: Path) -> None:
    """As a shell says it, and not as an error of the laboratory's."""
    request = request_of(place, tmp_path, "", RunKind.CONTROL, "file", "read", Limits())
    (run,) = cast("list[dict[str, object]]", request["runs"])
    run["command"] = ["no-such-command"]
    request |= {"program": None, "effect": None}
    (seen,) = place.run(request, 60).observations
    assert (seen.exit_status, seen.outcome) == (127, Outcome.CRASHED)


ENDLESS = {
    "what is left running": ("sleep 7654 & ", ""),
    "time that is up": ("", "sleep 7654"),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_supervisor_has_its_last_word(
    mechanism: str, name: str, place: LocalPlace, tmp_path: Path
) -> None:
    """Its end is in the log although the target does not end by itself, or not all of it."""
    confining = backend(mechanism)
    if confining.probe():
        pytest.skip(f"{mechanism}: {confining.probe()[0].feature}")
    first, last = ENDLESS[name]
    script = READ_BOTH.replace("mode=$1", f"{first}mode=$1") + last
    limits = Limits(timeout_s=2.0 if last else 20.0)
    request = request_of(place, tmp_path, script, RunKind.CONTROL, "file", "read", limits)
    (run,) = cast("list[dict[str, object]]", request["runs"])
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)
    plan = confining.compile([policy], native().abis)
    run |= {"backend": mechanism, "plan": plan.to_json()}
    (seen,) = place.run(request, 60).observations
    assert seen.effect, seen
    assert [event["event"] for event in seen.events][-1] == "end"


@pytest.mark.parametrize(
    "line", ["garbage", "[]", "5", "{}", '{"number": 1}', '{"number": 1, "runs": 5}', "[" * 100_000]
)
def test_what_is_no_request_is_refused(line: str) -> None:
    """The agent says so, and serves on."""
    server = Server(local.AGENT)
    for _ in range(2):
        assert "error" in json.loads(server.ask(line, 60))
    server.close()


def test_warming_up_is_answered(place: LocalPlace) -> None:
    """Also of a mechanism that cannot be imported."""
    server = Server(local.AGENT)
    assert json.loads(server.ask('{"warm": ["ptrace", "no such"]}', 60)) == {"warm": True}
    server.close()


def test_walls_that_cannot_be_made_break_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the kernel's reason, and without a traceback."""
    wall_in(Isolation.USER, monkeypatch, "isolation.namespaces.CLONE_NEWUSER = 1 << 1")
    local_place = LocalPlace()
    seen = ask(local_place, tmp_path, READ_BOTH)
    local_place.close()
    assert seen.outcome is Outcome.BROKEN
    assert seen.detail.startswith("making the run's walls: ")
    assert "Traceback" not in capfd.readouterr().err


def test_an_init_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the error is: broken, with its text and without a traceback."""
    wall_in(Isolation.PLAIN, monkeypatch, "agent._command = lambda *_: {}['x']")
    local_place = LocalPlace()
    seen = ask(local_place, tmp_path, READ_BOTH)
    local_place.close()
    assert (seen.outcome, seen.detail) == (Outcome.BROKEN, "the run's init failed: KeyError: 'x'")
    assert "Traceback" not in capfd.readouterr().err


def test_a_place_without_walls_has_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of a campaign do not listen on each other's."""
    wall_in(Isolation.PLAIN, monkeypatch)
    pairs = set()
    for pid in (1000, 1001, 6999):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        local_place = LocalPlace()
        pairs |= {local_place.layout().port, local_place.layout().allowed_port}
        local_place.close()
    assert len(pairs) == 6


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda number, seen: wire.encode_observation("0" * 32, seen), "number"),
        (lambda number, seen: wire.encode_observation(number, seen)[:-9], "cut short"),
        (lambda number, seen: b"garbage\n", "no JSON"),
        (lambda number, seen: b"[]\n", "no object"),
    ],
)
def test_an_observation_of_another_run_is_not_believed(
    change: Callable[[str, Observation], bytes],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor what is none: the run is broken, the agent goes on."""
    wall_in(Isolation.PLAIN, monkeypatch)
    monkeypatch.setattr(agent, "encode_observation", change)
    local_place = LocalPlace()
    request = request_of(
        local_place, tmp_path, READ_BOTH, RunKind.CONTROL, "file", "read", Limits()
    )
    parsed = agent.parse_request(request)
    seen = agent.run_isolated(parsed, parsed.runs[0], Isolation.PLAIN)
    local_place.close()
    assert seen.outcome is Outcome.BROKEN
    assert "not believed" in seen.detail
    assert reason in seen.detail


def test_an_agent_that_is_not_believed_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next answers would be those to earlier questions."""
    said = tmp_path / "said"
    first = (
        f"import os\nif not os.path.exists({str(said)!r}):\n    open({str(said)!r}, 'w').close()"
    )
    wall_in(Isolation.PLAIN, monkeypatch, first + "; print('garbage', flush=True)")
    local_place = LocalPlace()
    request = request_of(
        local_place, tmp_path, READ_BOTH, RunKind.CONTROL, "file", "read", Limits()
    )
    monkeypatch.setattr(local, "available", lambda: Isolation.USER)
    with pytest.raises(PlaceError, match="not believed"):
        local_place.run(request, 60)
    (seen,) = local_place.run(request, 60).observations
    local_place.close()
    assert seen.effect


def test_the_asking_process_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that uses the laboratory stays open to its debugger, and adopts nobody."""
    wall_in(Isolation.PLAIN, monkeypatch)

    def body() -> int:
        local_place = LocalPlace()
        assert ask(local_place, tmp_path, READ_BOTH).effect
        local_place.close()
        read_end, write_end = os.pipe()

        def parent() -> int:
            born_to = os.getpid()

            def orphan() -> int:
                while os.getppid() == born_to:
                    continue
                os.write(write_end, b"%d" % os.getppid())
                return 0

            fork(orphan)
            return 0

        wait(fork(parent))
        return int(not is_dumpable() or int(os.read(read_end, 20)) == os.getpid())

    assert wait(fork(body)) == 0


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
