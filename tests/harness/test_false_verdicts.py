"""Ordinary mistakes and a little malice, each of which came out as held: live, in a small tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from enforcer.mechanisms.notify import MECHANISM as NOTIFY
from tests.harness.toys import (
    ACT,
    LEAKY,
    RACE,
    Ran,
    command,
    harness_run,
    scenario,
    small_tree,
    write_toy,
)

pytestmark = pytest.mark.skipif(
    bool(NOTIFY.probe()), reason=f"notify: {'; '.join(map(str, NOTIFY.probe()))}"
)
NO_RULES = "policy: {default: permit, rules: []}\n"
DIRECT = "direct: [sh, -c, 'cat < ${denied}']\n"
SCENARIOS = {
    "replication/honest": scenario(ACT),
    "replication/typo": scenario(ACT, variant="typo"),
    "replication/permissions": scenario(ACT, variant="permissions"),
    "replication/killed": scenario(ACT, variant="killed"),
    "replication/no-rules": scenario(ACT, policy=NO_RULES),
    "replication/typo-no-rules": scenario(ACT, variant="typo", policy=NO_RULES),
    "replication/nobody-lost": scenario(ACT, leaky=""),
    "race/honest": scenario(RACE),
    "race/killed": scenario(RACE, variant="killed"),
    "race/claims": scenario(RACE, variant="claims", backends="notify, ptrace"),
    "benign/fails": command("['false']"),
    "benign/absent": command("[sh, missing.sh]"),
    "benign/works": command("[echo, word]", DIRECT),
    "benign/typo": command("[echo, word]", DIRECT.replace("}'", "}t'")),
    "benign/changes": command("[sh, -c, 'cat /proc/sys/kernel/random/uuid']"),
}
WANTED = {
    ("replication/honest", "notify"): "held",
    ("replication/honest", LEAKY): "bypassed",
    ("replication/typo", "notify"): "inapplicable",
    ("replication/permissions", "notify"): "inapplicable",
    ("replication/killed", "notify"): "broken",
    ("replication/no-rules", "notify"): "not enforcing",
    ("replication/typo-no-rules", "notify"): "inapplicable",
    ("replication/nobody-lost", "notify"): "broken",
    ("race/honest", "notify"): "held",
    ("race/honest", LEAKY): "bypassed",
    ("race/killed", "notify"): "broken",
    ("race/claims", "notify"): "broken",
    ("race/claims", "ptrace"): "broken",
    ("benign/fails", "notify"): "inapplicable",
    ("benign/absent", "notify"): "inapplicable",
    ("benign/works", "notify"): "held",
    ("benign/typo", "notify"): "inapplicable",
    ("benign/changes", "notify"): "inapplicable",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All of them at once, none of the leaky backends asked for."""
    root = small_tree(tmp_path_factory.mktemp("false"), SCENARIOS)
    return harness_run(root, "-b", "notify", "-b", "ptrace", "--attempts", "200")


@pytest.mark.parametrize("case", WANTED, ids="-".join)
def test_verdicts(ran: Ran, case: tuple[str, str]) -> None:
    """Held is said of what held, and of nothing else; leaky backends are run unasked."""
    assert ran.verdicts.get(case) == WANTED[case], (ran.stderr, _reasons(ran).get(case))


def test_nothing_else_is_held(ran: Ran) -> None:
    """Among all that ran, leaky ones included; and something broken is said by the status."""
    assert {case for case, verdict in ran.verdicts.items() if verdict == "held"} == {
        case for case, verdict in WANTED.items() if verdict == "held"
    }
    assert ran.status == 3


def test_what_the_reasons_point_at(ran: Ran) -> None:
    """The number that the program claims stands beside the enforcer's; who killed is asked."""
    reasons = _reasons(ran)
    for backend in ("notify", "ptrace"):
        assert "counts 200 attempts, the enforcer judged" in reasons["race/claims", backend]
    assert "nothing shows that the enforcer did it" in reasons["replication/killed", "notify"]
    assert "lost 100 of 200 (this run)" in reasons["race/honest", "notify"]
    assert "`leaky`" in reasons["replication/nobody-lost", "notify"]


def _reasons(ran: Ran) -> Mapping[tuple[str, str], str]:
    return {(str(row["scenario"]), str(row["backend"])): str(row["reason"]) for row in ran.rows}


def test_a_race_that_is_none_any_more(tmp_path: Path) -> None:
    """Unchanged it is judged by what is known; edited, by a reference of its own, which it has
    not: the enforcer that lost to the older program says nothing of this one.
    """
    root = small_tree(tmp_path, {"race/honest": scenario(RACE)})
    run = ("-b", "notify", "--attempts", "200")
    first, again = harness_run(root, *run), harness_run(root, *run)
    assert [first.status, again.status] == [0, 0], first.stdout + again.stdout
    assert again.verdicts == {("race/honest", "notify"): "held"}
    assert "lost 100 of 200 (campaign 1, 0 min ago)" in str(again.rows[0]["reason"])
    write_toy(root, RACE, plain=True)
    edited = harness_run(root, *run)
    assert edited.verdicts == {
        ("race/honest", "notify"): "broken",
        ("race/honest", LEAKY): "held",
    }
    assert edited.status == 3


def test_nothing_judged_is_no_success(tmp_path: Path) -> None:
    """Only inapplicable cases: that is said, with a status that fails."""
    root = small_tree(tmp_path, {"benign/fails": SCENARIOS["benign/fails"]})
    ran = harness_run(root)
    assert (ran.status, ran.verdicts) == (3, {("benign/fails", "notify"): "inapplicable"})
    assert "nothing was judged" in ran.stderr


@pytest.mark.parametrize(
    ("because", "status"),
    [("the command fails", 0), ("not installed", 1)],
    ids=("excused", "for another reason"),
)
def test_what_turns_inapplicable_is_noticed(tmp_path: Path, because: str, status: int) -> None:
    """A list says which cases may, on which machines and why; another one fails, by name."""
    root = small_tree(
        tmp_path, {name: SCENARIOS[name] for name in ("benign/fails", "benign/works")}
    )
    excuses = root / "excuses.yaml"
    excuses.write_text(
        f'inapplicable:\n  - {{on: "local/*", cases: "benign/fails[*", because: {because}}}\n'
    )
    ran = harness_run(root, "--require-judged", str(excuses))
    assert ran.status == status, ran.stderr
    assert ("not judged: benign/fails[" in ran.stderr) == (status == 1)
    assert "not judged: benign/works" not in ran.stderr
