"""Without walls a target has the agent's user id: it may disturb its own case, and no more."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from enforcer.kernel.prctl import is_dumpable
from harness import runner, tree
from harness.attack import load_attacks
from harness.backends import names
from harness.cases import Selection, expand
from harness.model import Case, Limits, Observation, Outcome, RunKind, VerdictKind
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace, PlaceError
from harness.runner import Job, carry_out
from harness.scenario import Known, load_scenario
from tests.harness.plain import wall_in, without_capabilities
from tests.harness.shell_attacks import READ_BOTH, request_of

# It finds its parents and the pipes that they hold. Those of the process that runs these tests may
# be pytest's own: only the ones made since are the agent's.
ATTACK = f"""#!{sys.executable}
import json, os, signal, sys, time
OLD = @old@
def parent(pid):
    with open(f"/proc/{{pid}}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
init = parent(os.getpid())
guard = parent(init)
agent = parent(guard)
harness = parent(agent)
def pour(data, *pids):
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{{pid}}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                path = f"/proc/{{pid}}/fd/{{number}}"
                link = os.readlink(path)
                if link.startswith("pipe:") and link not in OLD:
                    poured = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                    os.write(poured, data)
                    print("poured into", pid == harness, flush=True)
            except OSError:
                continue
def linger():
    if os.fork() == 0:
        os.setsid()
        while True:
            signal.pause()
everybody = init, guard, agent, harness
observation = json.loads(@observation@)
forged = dict(isolation="plain", observations=[observation])
@act@
"""

ACTS = {
    "an answer": (
        'pour(json.dumps(forged | {"number": "0" * 32}).encode() + b"\\n", *everybody)',
        "PlaceError",
        "not believed",
    ),
    "an answer without a number": (
        'pour(json.dumps(forged).encode() + b"\\n", *everybody)',
        "PlaceError",
        "not believed",
    ),
    "an observation": (
        'pour(json.dumps({"number": "0" * 32, "observation": observation}).encode() + b"\\n", '
        "*everybody)",
        "PlaceError",
        "not believed",
    ),
    "garbage": ('pour(b"\\xff\\xfe\\n[[[\\n", *everybody)', "PlaceError", "not believed"),
    "half a line": ("pour(b'{\"number\": ', *everybody)", "PlaceError", "not believed"),
    "the agent's end": ("linger()\nos.kill(agent, signal.SIGKILL)", "PlaceError", "lost"),
    "the agent's stop": ("os.kill(agent, signal.SIGSTOP)", "PlaceError", "lost"),
    "the guard's end": ("linger()\nos.kill(guard, signal.SIGKILL)", "broken", "no answer"),
    "the init's end": ("linger()\nos.kill(init, signal.SIGKILL)", "broken", "no answer"),
    "the init's stop": (
        "os.kill(init, signal.SIGSTOP)\nsignal.pause()",
        "broken",
        "no answer",
    ),
    "names in the way": (
        'os.chdir("/")\n'
        'top = os.environ["HOME"]\n'
        'os.makedirs(top + "/a/b")\nos.chmod(top + "/a", 0)\n'
        'os.rename(top + "/../shut", top + "/../gone")\n'
        'os.symlink("/", top + "/../shut")\nos.chmod(top + "/..", 0)',
        "crashed",
        "without its token",
    ),
}


def outcome_of(place: LocalPlace, scratch: Path, script: str) -> list[str]:
    limits = Limits(timeout_s=2.0)
    request = request_of(place, scratch, script, RunKind.CONTROL, "file", "read", limits)
    try:
        seen = place.run(request, 4).observations[0]
    except PlaceError as error:
        return ["PlaceError", str(error)]
    return [seen.outcome.value, seen.detail]


def attack(act: str) -> str:
    seen = Observation(kind=RunKind.CONTROL, outcome=Outcome.BLOCKED, finished=True, exit_status=0)
    words = {
        "@old@": repr(pipes_of_ours()),
        "@observation@": repr(json.dumps(asdict(seen))),
        "@act@": act,
    }
    return functools.reduce(lambda text, word: text.replace(*word), words.items(), ATTACK)


def running(program: Path) -> list[str]:
    """Command lines that name the program."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(program) in (line := each.read_text(errors="replace")):
                found.append(line)
    return found


def pipes_of_ours() -> list[str]:
    return [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]


@pytest.mark.parametrize("name", ACTS)
def test_a_target_that_forges_or_kills_breaks_its_own_case_only(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The case is broken, with a reason and without a traceback; the ones after it are as ever."""
    act, kind, reason = ACTS[name]
    wall_in(Isolation.PLAIN, monkeypatch)

    def campaign(own: Path) -> list[list[str]]:
        place = LocalPlace()
        found = [outcome_of(place, own, script) for script in (READ_BOTH, attack(act))]
        found.append(running(place.layout().program))
        found.append(outcome_of(place, own, READ_BOTH))
        place.close()
        return found

    before, during, left, after = without_capabilities(campaign)
    assert before == after == ["effect", ""]
    assert left == []
    assert during[0] == kind, during
    assert reason in during[1]
    assert "Traceback" not in capfd.readouterr().err


def test_the_verdicts_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forger's case is broken, never what it wrote; the case after it is judged as ever."""
    wall_in(Isolation.PLAIN, monkeypatch)
    attacks = load_attacks(tree.OWN / "attacks")
    where = tree.OWN / "scenarios"
    known = Known(attacks=attacks, backends=names())
    scenario = load_scenario(where / "indirect" / "hardlink-alias.yaml", where, known)
    selection = Selection(ours=("none",), backends=("none",))
    case = next(each for each in expand([scenario], attacks, selection) if isinstance(each, Case))
    job = Job(case=case, attack=attacks["indirect/hardlink-alias"], attempts=1)

    def campaign(own: Path) -> list[list[str]]:
        place = LocalPlace()
        monkeypatch.setattr(runner, "build", lambda *_: own / "program")
        found = []
        for script in (READ_BOTH, attack(ACTS["an answer"][0]), READ_BOTH):
            (own / "program").write_text(script)
            result = carry_out(job, place)
            found.append([result.verdict.kind.value, result.verdict.reason, result.isolation])
        place.close()
        return found

    before, during, after = without_capabilities(campaign)
    assert before[0] == after[0] == VerdictKind.NOT_ENFORCING, (before, during, after)
    assert before[2] == after[2] == Isolation.PLAIN
    assert during[0] == VerdictKind.BROKEN
    assert "not believed" in during[1]


def test_workers_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does nothing but carry cases out: targets cannot open its pipes."""
    wall_in(Isolation.PLAIN, monkeypatch)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "another")

    def campaign(own: Path) -> list[object]:
        place = LocalPlace()
        before = is_dumpable()
        found = outcome_of(place, own, READ_BOTH)
        place.close()
        return [before, found, is_dumpable()]

    assert without_capabilities(campaign) == [True, ["effect", ""], False]
