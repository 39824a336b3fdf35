"""The agent: what it sees from outside, what it bounds, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from enforcer.arch import native
from enforcer.call import Action
from enforcer.kernel.prctl import is_dumpable
from enforcer.policy.ast import Dialect, Policy
from harness.backends import backend
from harness.model import Limits, Observation, Outcome, RunKind
from harness.places import local
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace
from harness.process import Server, fork, wait
from tests.harness.plain import wall_in
from tests.harness.shell_attacks import READ_BOTH, ask, place, request_of

__all__ = ["place"]

PROCESSORS = """#!/bin/sh
nproc
echo "$@"
"""


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


def test_a_race_is_told_its_widener_and_where_to_begin(place: LocalPlace, tmp_path: Path) -> None:
    """One processor is the agent's to give: whatever the run is made of shares it."""
    request = request_of(place, tmp_path, PROCESSORS, RunKind.ATTACK, "file", "read", Limits())
    (run,) = cast("list[dict[str, object]]", request["runs"])
    run["enough"] = 8
    seen = {
        how: place.run({**request, "variant": how, "rung": 3}, 60).observations[0].stdout.split()
        for how in ("default", "default+one-cpu")
    }
    here = len(os.sched_getaffinity(0))
    assert int(seen["default"][0]) == here
    assert int(seen["default+one-cpu"][0]) == 1
    assert {"variant=default", "widener=one-cpu", "rung=3", "enough=8"} <= {
        *seen["default+one-cpu"]
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


def test_warming_up_is_answered(place: LocalPlace) -> None:
    """Also of a mechanism that cannot be imported."""
    server = Server(local.AGENT)
    assert json.loads(server.ask('{"warm": ["ptrace", "no such"]}', 60)) == {"warm": True}
    server.close()


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
