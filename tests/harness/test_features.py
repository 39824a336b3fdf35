"""Features of the kernel: found by trying, and a case without them is inapplicable."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.kernel import landlock, namespaces, ptrace
from enforcer.kernel.prctl import forbid_dumping
from harness import tree
from harness.attack import load_attacks
from harness.backends import names
from harness.cases import Selection, expand
from harness.model import Case, VerdictKind
from harness.oracle import Evidence, judge
from harness.places import agent, features
from harness.places.isolation import Isolation
from harness.places.local import LocalPlace
from harness.runner import Job, prepare
from harness.scenario import Known, load_scenario
from tests.harness.plain import without_capabilities

ATTACKS = load_attacks(tree.OWN / "attacks")


def test_every_feature_is_tried_and_nothing_is_left() -> None:
    """Each probe ends with a reason or without, and no process of it remains."""
    before = _children()
    features._why_not.cache_clear()
    found = features.lacking(features.FEATURES)
    assert all(found.values())
    assert _children() == before


def test_a_closed_agent_finds_the_same() -> None:
    """That nobody may trace the agent is no property of the kernel."""

    def body(_: Path) -> list[dict[str, str]]:
        found = []
        for prepare_agent in (namespaces.set_dumpable, forbid_dumping):
            prepare_agent()
            features._why_not.cache_clear()
            found.append(features.lacking(features.FEATURES))
        return found

    before, after = without_capabilities(body)
    assert before == after


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (errno.ENOSYS, "openat2 answers ENOSYS"),
        (errno.EPERM, "openat2 answers EPERM"),
        (errno.EINVAL, ""),
        (errno.EFAULT, ""),
        (0, ""),
    ],
)
def test_a_call_is_known_by_its_errno(
    answer: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSYS, and EPERM whatever the arguments are: it is not there; all others: it is."""
    monkeypatch.setattr(features, "errno_of_call", lambda *_: answer)
    assert features.call_probe("openat2")() == reason


def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_probes_are_no_root() -> None:
    """What root alone may do, no target can."""
    assert features._as_nobody(lambda: int(os.geteuid() == 0 or 0 in os.getgroups())) == 0
    assert features._as_nobody(lambda: 7) == 7
    assert features._as_nobody(killed) == 255


def test_probes_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the feature switched off in the kernel's place."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "switched off")

    def refuse_users(_: int) -> None:
        raise OSError(errno.ENOSPC, "none left")

    monkeypatch.setattr(landlock, "version", refuse)
    assert features._landlock() == "Landlock: switched off"
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert features._landlock() == "Landlock is switched off"
    monkeypatch.setattr(landlock, "version", lambda: 1)
    assert features._landlock() == ""
    monkeypatch.setattr(namespaces, "unshare", refuse_users)
    assert features._userns() == "unshare(CLONE_NEWUSER) answers ENOSPC"
    monkeypatch.setattr(ptrace, "syscall_info", refuse)
    assert features._ptrace_syscall_info() == "PTRACE_GET_SYSCALL_INFO: switched off"
    for has_action, has_flag in ((True, False), (False, True), (True, True)):
        monkeypatch.setattr(features, "is_action_available", lambda _, has=has_action: has)
        monkeypatch.setattr(features, "is_flag_available", lambda _, has=has_flag: has)
        assert (features._seccomp_notify() == "") is (has_action and has_flag)


def _children() -> str:
    return Path("/proc/thread-self/children").read_text()


def test_what_no_kernel_has_is_lacking() -> None:
    """ENOSYS means that it cannot be had, a complaint about arguments that it can."""
    assert features.lacking(["openat2"]) == {}
    assert features.call_probe("query_module")() == "query_module answers ENOSYS"
    assert features.call_probe("no_such_call")() == "this architecture has no no_such_call"


def test_what_a_machine_is_booted_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Active security modules and words of the command line, whole words only."""
    lsm, line = tmp_path / "lsm", tmp_path / "cmdline"
    lsm.write_text("lockdown,capability,landlock\n")
    line.write_text("quiet syscall.x32=y lsm=landlock\n")
    monkeypatch.setattr(features, "ACTIVE_LSMS", lsm)
    monkeypatch.setattr(features, "COMMAND_LINE", line)
    features._why_not.cache_clear()
    found = features.lacking(["lsm:landlock", "lsm:lock", "cmdline:quiet", "cmdline:audit=1"])
    features._why_not.cache_clear()
    assert set(found) == {"lsm:lock", "cmdline:audit=1"}
    assert str(lsm) in found["lsm:lock"]


def job() -> Job:
    scenarios = tree.OWN / "scenarios"
    known = Known(attacks=ATTACKS, backends=names())
    scenario = load_scenario(scenarios / "subset" / "io-uring-open.yaml", scenarios, known)
    (case,) = expand([scenario], ATTACKS, Selection(ours=("none",), backends=("none",)))[:1]
    assert isinstance(case, Case)
    return Job(case=case, attack=ATTACKS["subset/io-uring-open"], attempts=1)


def test_needs_reach_the_agent() -> None:
    """Those of the manifest and of the scenario, each once, and those of somebody's sandbox."""
    place = LocalPlace()
    asked = job()
    assert prepare(asked, place)["needs"] == ["io_uring"]
    scenario = replace(asked.case.scenario, features=("procfs", "io_uring"))
    asked = replace(asked, case=replace(asked.case, scenario=scenario))
    assert prepare(asked, place)["needs"] == ["io_uring", "procfs"]
    booted = replace(scenario, features=(), needs={"lsm": ["landlock", "bpf"], "cmdline": "a b=1"})
    asked = replace(asked, case=replace(asked.case, scenario=booted))
    wanted = ["cmdline:a", "cmdline:b=1", "io_uring", "lsm:bpf", "lsm:landlock"]
    assert prepare(asked, place)["needs"] == wanted
    policy = tree.OWN / "scenarios" / "policies" / "path-rules.yaml"
    kept = replace(scenario, features=(), policy=policy.read_text(encoding="utf-8"))
    theirs = replace(asked, case=replace(asked.case, scenario=kept, backend="bwrap"))
    assert prepare(theirs, place)["needs"] == ["io_uring", "userns"]


def test_without_a_feature_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one observation names the feature and what its probe said; it is no verdict on us."""
    monkeypatch.setattr(agent, "lacking", lambda names: dict.fromkeys(names, "switched off"))
    request = agent.parse_request(prepare(job(), LocalPlace()))
    (seen,) = agent.run_case(request, Isolation.PLAIN)
    assert seen.detail == "this kernel lacks io_uring: switched off"
    verdict = judge(Evidence(observations={seen.kind: seen}))
    assert (verdict.kind, verdict.reason) == (VerdictKind.INAPPLICABLE, seen.detail)
