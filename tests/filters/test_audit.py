"""What filters leave open, said and proven."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.arch import native
from enforcer.call import Action, Call
from enforcer.cli import cli
from enforcer.exports.export import Target, export
from enforcer.filters.audit import ATTACKS, Finding, audited, is_permitted
from enforcer.filters.docker import read_docker
from enforcer.filters.meaning import answer_of
from enforcer.filters.minijail import read_minijail
from enforcer.filters.model import Filter
from enforcer.filters.systemd import read_systemd
from enforcer.policy.decide import decide
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_yaml
from harness.audit_filter import is_filter, probes_of_filter
from harness.cli import cli as harness
from harness.cli.load import laboratory
from tests.filters.filters import ALLOW, profile, written

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
BESIDE_40 = [
    {"names": ["socket"], "action": ALLOW, "args": [{"value": value, "op": f"SCMP_CMP_{op}"}]}
    for op, value in (("LT", 38), ("EQ", 39), ("GT", 40))
]
COMPAT = {"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]}


def permitting(*names: str) -> dict[str, object]:
    return {"names": [*names], "action": ALLOW}


def titled(found: Filter) -> dict[str, Finding]:
    return {each.title: each for each in audited(found).findings}


def test_the_families_of_dockers_profile() -> None:
    """The refused family passes with its upper half set: both calls are told, and the attack."""
    mine = read_docker(profile(*BESIDE_40), "p.json")
    found = titled(mine)["upper half: socket, family"]
    assert (found.attack, found.is_proof) == ("abi/upper-family", True)
    assert found.witness is not None
    assert found.refused is not None
    assert [each.args[0] for each in (found.refused, found.witness)] == [40, 1 << 32 | 40]
    assert not is_permitted(answer_of(mine, found.refused))
    assert is_permitted(answer_of(mine, found.witness))


def test_a_whole_comparison_has_no_upper_half() -> None:
    """Equality refuses what has a bit above, and so does a mask that leaves the bits out."""
    equal = read_minijail("socket: arg0 == 1", "p.policy")
    masked = read_minijail("socket: arg0 in 0x7", "p.policy")
    for each in (equal, masked):
        assert not [title for title in titled(each) if title.startswith("upper half")]


def test_a_deny_list_of_equal_values_has_one() -> None:
    """What is refused by equality passes with a bit above it."""
    mine = read_minijail("@denylist\nioctl: arg1 == TIOCSTI; return EPERM", "p.policy")
    found = titled(mine)["upper half: ioctl, cmd"]
    assert (found.attack, found.is_proof) == ("abi/upper-bits", True)


@pytest.mark.parametrize(
    ("mine", "title", "attack"),
    [
        (read_docker(profile(permitting("io_uring_setup")), "p"), "carrier: io_uring_setup", True),
        (read_docker(profile(permitting("clone3")), "p"), "another name: clone3 for clone", True),
        (
            read_docker(profile(permitting("socketcall"), **COMPAT), "p"),
            "multiplexer: i386 socketcall",
            True,
        ),
        (read_systemd("SystemCallFilter=~read", "p"), "other ABIs: permitted", True),
        (read_docker(profile(permitting("execveat")), "p"), "another name: execveat for execve", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_open(mine: Filter, title: str, attack: bool) -> None:
    """Each is found by its title and names an attack."""
    assert bool(titled(mine)[title].attack) is bool(attack)


def test_nothing_is_open_in_a_filter_that_refuses_all() -> None:
    """There are no findings of it."""
    assert audited(read_docker(profile(), "p.json")).findings == ()


def test_every_attack_exists() -> None:
    """What is named can be run."""
    assert laboratory().attacks.keys() >= ATTACKS


def test_the_command(tmp_path: Path) -> None:
    """It prints what is found, also as JSON."""
    path = str(written(tmp_path, "p.json", profile(*BESIDE_40)))
    plain = CliRunner().invoke(cli, ["audit", path])
    assert "permitted: x86_64 socket(0x100000028, 1)" in plain.output
    assert "attack:    abi/upper-family" in plain.output
    rows = CliRunner().invoke(cli, ["audit", "--json", path]).output.splitlines()
    assert "abi/upper-family" in [json.loads(row)["attack"] for row in rows]


def test_probes(tmp_path: Path) -> None:
    """The attack of a finding is run under the policy made of the filter; the rest is said."""
    path = written(
        tmp_path, "p.json", profile(*BESIDE_40, permitting("execveat", "io_uring_setup"))
    )
    probes, left = probes_of_filter(path, laboratory().attacks.values())
    assert [probe.attack.id for probe in probes] == ["abi/upper-family"]
    assert "when: arg[0] > 0x28" in probes[0].text
    assert any("carrier" in each.said for each in left)


def test_a_compiled_filter_is_probed(tmp_path: Path) -> None:
    """As a file of another name too, whose dialect is said: the attack runs under its rules."""
    path = tmp_path / "compiled"
    path.write_bytes(export(read_docker(profile(*BESIDE_40), "p"), Target.BPF).content)
    assert not is_filter(path)
    assert is_filter(path, "bpf")
    probes, _ = probes_of_filter(path, laboratory().attacks.values(), "bpf")
    assert [probe.attack.id for probe in probes] == ["abi/upper-family"]
    (policy,) = prepared((parse_yaml(probes[0].text, "x"),))
    wide = Call(name="socket", abi="x86_64", args=(1 << 32 | 40, 0, 0, 0, 0, 0))
    plain = Call(name="socket", abi="x86_64", args=(40, 0, 0, 0, 0, 0))
    assert [decide(policy, call).action for call in (wide, plain)] == [Action.PERMIT, Action.DENY]


def test_harness_audit_takes_the_dialect(tmp_path: Path) -> None:
    """A file whose name says nothing is read as `--dialect` says, and is otherwise an error."""
    path = written(tmp_path, "profile", "ALLOW { read } DEFAULT KILL\n")
    done = CliRunner().invoke(harness, ["audit", "--dialect", "kafel", str(path)])
    assert (done.exit_code, "no attack proves anything of it" in done.output) == (2, True)
    done = CliRunner().invoke(harness, ["audit", "--dialect", "docker", str(path)])
    assert (done.exit_code, "profile:1:1: this is no JSON" in done.output) == (2, True)
