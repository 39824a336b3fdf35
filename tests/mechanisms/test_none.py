"""The control."""

from __future__ import annotations

import json
import os
from pathlib import Path

from enforcer.arch import native
from enforcer.call import Action
from enforcer.events import FileLog
from enforcer.mechanisms.contract import Extent, Options
from enforcer.mechanisms.none import MECHANISM
from enforcer.policy.ast import Dialect, Policy, Rule

POLICY = Policy(
    binary=None,
    dialect=Dialect.STRICT,
    rules=(Rule(calls=("execve",), when=None, action=Action.DENY, errno=1),),
)


def test_control_covers_nothing_and_says_so() -> None:
    """Every rule and the default err by permitting."""
    covers = MECHANISM.cover(POLICY, native().abis)
    assert [cover.rule for cover in covers] == [0, None]
    assert {cover.extent for cover in covers} == {Extent.NONE}
    assert {cover.errs for cover in covers} == {"permits too much"}
    assert MECHANISM.probe() == ()
    plan = MECHANISM.compile([POLICY], native().abis, Options())
    assert MECHANISM.describe(plan) == "nothing is enforced\n"


def test_control_executes_and_claims_no_enforcement(tmp_path: Path) -> None:
    """The command's own status; a start in the log and no `enforcing`."""
    log = tmp_path / "log"
    plan = MECHANISM.compile([POLICY], native().abis, Options())
    pid = os.fork()
    if pid == 0:
        try:
            MECHANISM.launch(plan, ["sh", "-c", "exit 5"], FileLog(os.open(log, os.O_CREAT | 1)))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["start"]
