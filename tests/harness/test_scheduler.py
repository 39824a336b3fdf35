"""Many machines: workers of Dask's scheduler, as its users start them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import tree
from harness.attack import load_attacks
from harness.campaign import jobs_of
from harness.cases import Selection
from harness.cli.load import laboratory
from harness.model import VerdictKind
from harness.places.local import this_machine
from harness.provenance import modules_digest
from harness.runner import Job, broken_result
from harness.scheduler import Jobs, Results, SchedulerError, pool, there
from tests.attacks.laboratory import free_ports
from tests.harness.test_resuming import LIVE, interrupt
from tests.harness.toys import ACT, call, harness_run, scenario, small_tree

pytest.importorskip("distributed", reason="Dask's distributed is not installed (extra `scale`)")

DASK = str(Path(sys.executable).with_name("dask"))
WAIT_S = 120
WAIT = f"""
from distributed import Client
import sys
with Client(sys.argv[1], timeout={WAIT_S}) as client:
    client.wait_for_workers(3, timeout={WAIT_S})
"""
HERE = modules_digest(), this_machine()


def environment(root: Path) -> dict[str, str]:
    state = {"XDG_STATE_HOME": str(root / "state"), "NO_COLOR": "1"}
    return {**os.environ, **state, "PYTHONPATH": str(tree.OWN)}


@contextlib.contextmanager
def started(root: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    log = (root / f"{words[0]}.log").open("ab")
    with (
        log,
        subprocess.Popen(
            [DASK, *words], cwd=root, env=environment(root), stdout=log, stderr=log
        ) as running,
    ):
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.scale
@LIVE
def test_three_workers_judge_as_one_process_does(tmp_path: Path) -> None:
    """The same verdicts, although one of them is killed while it works; and a campaign that was
    interrupted goes on with the others.
    """
    root = small_tree(
        tmp_path,
        {f"replication/toy-{number}": scenario(ACT) for number in range(6)}
        | {"replication/typo": scenario(ACT, variant="typo")},
    )
    alone = harness_run(root, "--results", str(root / "alone.sqlite"))
    assert set(alone.verdicts.values()) == {"held", "bypassed", "inapplicable"}, alone.stderr
    address = f"tcp://127.0.0.1:{free_ports()[0]}"
    where = ("--host", "127.0.0.1", "--no-dashboard")
    with contextlib.ExitStack() as stack:
        port = ("--port", address.rpartition(":")[2])
        stack.enter_context(started(root, "scheduler", *where, *port))
        each = ("worker", address, *where, "--nthreads", "1", "--no-nanny")
        workers = [stack.enter_context(started(root, *each)) for _ in range(3)]
        subprocess.run(
            [sys.executable, "-c", WAIT, address], check=True, timeout=WAIT_S, capture_output=True
        )
        words = ("harness", "run", "--json", "-", "--scheduler", address)
        with (
            (root / "run.log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=root,
                env=environment(root),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as running,
        ):
            assert running.stdout is not None
            lines = [running.stdout.readline()]
            workers[0].send_signal(signal.SIGKILL)
            lines += running.stdout
        rows = [json.loads(line) for line in lines if line.strip()]
        assert {(row["scenario"], row["backend"]): row["verdict"] for row in rows} == alone.verdicts
        assert len(rows) == len(alone.rows)
        interrupt(root, "DELETE FROM result WHERE scenario LIKE '%toy-3' OR scenario LIKE '%typo'")
        resumed = harness_run(root, "--resume", "--scheduler", address)
        assert resumed.verdicts == alone.verdicts


def judged(jobs: Jobs) -> Results:
    """What a worker would do with jobs: here it tells where the attacks' programs are."""
    return tuple(broken_result(job, str(job.attack and job.attack.program)) for job in jobs)


@pytest.fixture(scope="module")
def job() -> Job:
    lab = laboratory()
    selected = Selection(ours=("ptrace",), keywords=("abi/upper-bits[",))
    return jobs_of(lab.scenarios, lab.attacks, selected, attempts=None, quick=True)[0]


def test_the_attacks_of_a_worker_are_its_own(job: Job) -> None:
    """Where the sender's laboratory is installed makes no difference; a user's tree is shared."""
    program = load_attacks(tree.OWN / "attacks")["abi/upper-bits"].program
    assert job.attack is not None
    sent = Path("/elsewhere/attacks/abi/upper-bits.c")
    jobs = [replace(job, attack=replace(job.attack, program=sent))] * 2
    for own, found in ((Path("/elsewhere"), program), (Path("/other"), sent)):
        results = there(judged, jobs, own, HERE)
        assert [result.verdict.reason for result in results] == [str(found)] * 2


@pytest.mark.parametrize(
    ("judged_by", "said"),
    [
        (("old", HERE[1]), "modules of its own"),
        ((HERE[0], "other"), "a kind of machine of its own"),
    ],
)
def test_a_worker_of_another_kind_judges_nothing(
    job: Job, judged_by: tuple[str, str], said: str
) -> None:
    """Its results would have no reference of their own: the case is broken, and says why."""
    for result in there(judged, [job, job], tree.OWN, judged_by):
        assert result.verdict.kind is VerdictKind.BROKEN
        assert said in result.verdict.reason


def test_nobody_to_send_cases_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error that says so, before anything is stored."""
    monkeypatch.setattr("harness.scheduler.CONNECT_S", 0.2)
    with pytest.raises(
        SchedulerError, match=re.escape("no scheduler answers at tcp://127.0.0.1:1: ")
    ):
        pool("tcp://127.0.0.1:1")
    root = small_tree(tmp_path, {"replication/toy": scenario(ACT)})
    ran = call(root, "harness", "run", "--scheduler", "nowhere://x")
    assert ran.returncode == 2
    assert "no scheduler answers at nowhere://x" in ran.stderr
    ran = call(root, "harness", "run", "--scheduler", "tcp://127.0.0.1:1", "--vm", "snapshot")
    assert "none of guests" in ran.stderr
