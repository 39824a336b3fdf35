"""The verdict on a command: what it does confined, beside what it does bare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evidence import Attributed
from harness.model import Observation, Outcome, RunKind, VerdictKind
from harness.oracle import Evidence, judge
from tests.harness.judging import (
    DENIED,
    DIRECT,
    DIRECT_CONTROL,
    ENFORCING,
    PERMITTED,
)

BARE = Observation(
    kind=RunKind.CONTROL, outcome=Outcome.SILENT, exit_status=0, stdout="out", tree="t"
)


BARE_AGAIN = replace(BARE, kind=RunKind.CONTROL_AGAIN)


CONFINED = replace(BARE, kind=RunKind.BENIGN, events=(ENFORCING,))


REFUSED = replace(DIRECT, exit_status=1)


COMMANDS = [
    ("same outcome", [BARE, CONFINED], VerdictKind.HELD),
    (
        "same outcome, direct act denied",
        [BARE, DIRECT_CONTROL, CONFINED, REFUSED],
        VerdictKind.HELD,
    ),
    ("no bare direct act", [BARE, CONFINED, REFUSED], VerdictKind.BROKEN),
    (
        "direct act that does nothing bare",
        [BARE, replace(DIRECT_CONTROL, effect=False), CONFINED, REFUSED],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "direct act that does nothing bare, behind which nothing is run",
        [BARE, replace(DIRECT_CONTROL, effect=False)],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "direct act killed by somebody",
        [
            BARE,
            DIRECT_CONTROL,
            CONFINED,
            replace(REFUSED, finished=False, outcome=Outcome.CRASHED, signal=9),
        ],
        VerdictKind.BROKEN,
    ),
    (
        "direct act that hangs",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, outcome=Outcome.HUNG)],
        VerdictKind.BROKEN,
    ),
    ("bare run fails", [replace(BARE, exit_status=1), CONFINED], VerdictKind.INAPPLICABLE),
    (
        "bare run dies",
        [replace(BARE, exit_status=None, signal=11), CONFINED],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "other output, as a second bare run has",
        [BARE, replace(CONFINED, stdout="1"), replace(BARE_AGAIN, stdout="2")],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "other output, the bare one is steady",
        [BARE, replace(CONFINED, stdout="1"), BARE_AGAIN],
        VerdictKind.OVERBLOCKED,
    ),
    ("no bare run", [CONFINED], VerdictKind.BROKEN),
    ("no confined run", [BARE], VerdictKind.BROKEN),
    ("other output", [BARE, replace(CONFINED, stdout="")], VerdictKind.OVERBLOCKED),
    ("other errors", [BARE, replace(CONFINED, stderr="x")], VerdictKind.OVERBLOCKED),
    ("other status", [BARE, replace(CONFINED, exit_status=1)], VerdictKind.OVERBLOCKED),
    (
        "killed",
        [BARE, replace(CONFINED, exit_status=None, signal=9)],
        VerdictKind.OVERBLOCKED,
    ),
    ("other files", [BARE, replace(CONFINED, tree="u")], VerdictKind.OVERBLOCKED),
    ("no witness", [BARE, replace(CONFINED, events=())], VerdictKind.NOT_ENFORCING),
    (
        "direct act not denied",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, effect=True)],
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "no witness in the direct act's run",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, events=(DENIED,))],
        VerdictKind.NOT_ENFORCING,
    ),
    ("bare run hung", [replace(BARE, outcome=Outcome.HUNG), CONFINED], VerdictKind.BROKEN),
    ("confined run hung", [BARE, replace(CONFINED, outcome=Outcome.HUNG)], VerdictKind.BROKEN),
    ("not installed", [replace(BARE, exit_status=127)], VerdictKind.INAPPLICABLE),
    (
        "launch failed",
        [BARE, replace(CONFINED, outcome=Outcome.BROKEN, detail="no seccomp")],
        VerdictKind.BROKEN,
    ),
]


@pytest.mark.parametrize(
    ("runs", "expected"), [pytest.param(runs, kind, id=name) for name, runs, kind in COMMANDS]
)
def test_commands(runs: list[Observation], expected: VerdictKind) -> None:
    """A command under a backend is held only when it does exactly what it does bare."""
    found = {run.kind: run for run in runs}
    assert judge(Evidence(observations=found, command=True)).kind is expected


def test_a_command_that_is_not_installed_says_so() -> None:
    """127 is what shells report of one that is not found, any other status is the command's."""
    for status, is_told in ((127, True), (126, False), (1, False)):
        run = replace(BARE, exit_status=status)
        reason = judge(Evidence(observations={run.kind: run}, command=True)).reason
        assert ("not installed" in reason) is is_told


def test_a_command_that_fails_confined_is_told_with_its_last_words() -> None:
    """The end of its standard error stands beside the status: mostly it names the cause."""
    failed = replace(CONFINED, exit_status=1, stderr="first\nstat: Invalid argument\n")
    found = {run.kind: run for run in (BARE, failed)}
    reason = judge(Evidence(observations=found, command=True)).reason
    assert reason.endswith("exit status 1 instead of 0: stat: Invalid argument")


def test_the_direct_act_of_a_command_is_in_the_log() -> None:
    """Where its log is asked for: by whichever call, on the denied object."""
    act = Attributed(denied="/srv/shut/object")
    for events, kind in (
        ((ENFORCING, DENIED), VerdictKind.HELD),
        ((ENFORCING, PERMITTED), VerdictKind.UNLOGGED),
    ):
        runs = (BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, events=events))
        found = {run.kind: run for run in runs}
        given_evidence = Evidence(observations=found, command=True, log_required=True, direct=act)
        assert judge(given_evidence).kind is kind
