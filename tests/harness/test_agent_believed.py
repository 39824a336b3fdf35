"""What the agent and those who ask it do not believe, and how a failure of our own is told."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.model import Limits, Observation, Outcome, RunKind
from harness.places import agent, local, wire
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace, PlaceError
from harness.process import Server
from tests.harness.plain import wall_in
from tests.harness.shell_attacks import READ_BOTH, ask, request_of


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


@pytest.mark.parametrize(
    "line", ["garbage", "[]", "5", "{}", '{"number": 1}', '{"number": 1, "runs": 5}', "[" * 100_000]
)
def test_what_is_no_request_is_refused(line: str) -> None:
    """The agent says so, and serves on."""
    server = Server(local.AGENT)
    for _ in range(2):
        assert "error" in json.loads(server.ask(line, 60))
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
