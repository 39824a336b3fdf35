"""Does my policy hold: which attacks a user's rules speak of, and what is said of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from enforcer.policy.problem import PolicyError
from harness import tree
from harness.attack import load_attacks
from harness.audit import judged, probes, untried, write
from harness.backends import external_names
from harness.cli import audit, cli
from harness.model import VerdictKind
from tests.harness.test_results import HELD
from tests.harness.test_resuming import LIVE
from tests.harness.toys import call

ATTACKS = load_attacks(tree.OWN / "attacks")
FILES = """\
default: permit
rules:
  - permit: [open, openat]
    when: filename match "{home}/secret/open/*"
  - deny[eacces]: [open, openat]
    when: filename match "{home}/secret/*"
"""
CLOSED = FILES.replace("[open, openat]", "[fsread, fswrite]")
ALLOWED = """\
default: deny[eperm]
rules:
  - permit: [fsread, execve]
    when: filename match "/usr/lib/*" or filename eq "/usr/bin/tool"
"""
PORTS = """\
default: permit
rules:
  - permit: connect
    when: sockaddr eq "inet-[10.0.0.1]:443"
  - deny: connect
"""
TERMINAL = "default: permit\nrules:\n  - deny: ioctl\n    when: arg[1]:32 == TIOCSTI\n"
SOCKETS = """\
default: permit
rules:
  - deny: [connect, sendto, sendmsg, sendmmsg]
    when: sockaddr match "/run/secret/*"
"""
PROCESSES = "default: permit\nrules:\n  - deny: [ptrace, process_vm_writev]\n"
LINKS = """\
default: permit
rules:
  - permit: [readlink, readlinkat]
    when: filename match "/srv/open/*"
  - deny: [readlink, readlinkat]
"""
SIBLINGS = """\
default: permit
rules:
  - deny: truncate
    when: filename match "/srv/secret/*"
  - deny: [rename, renameat, renameat2]
    when: filename match "/srv/secret/*"
  - deny: [link, linkat]
    when: filename match "/srv/secret/*"
  - deny: [fchmodat, utimensat]
    when: filename match "/srv/secret/*"
  - deny: [fsread, fswrite]
    when: filename match "/srv/secret/*"
"""
BINARY = "policy: /opt/app\n" + CLOSED
SYSTRACE = """\
Policy: /opt/app, Emulation: native
    native-fsread: filename match "/srv/secret/*" then deny[eacces]
    native-fsread: permit
    native-fswrite: permit
"""

SPOKEN_OF = {
    "names": (
        FILES,
        "yaml",
        {(2, "subset/openat2-open"), (2, "race/path-race")},
        "race/execve-race",
    ),
    "names of every kind": (CLOSED, "yaml", {(2, "replication/name-forms")}, "race/sockaddr-race"),
    "what is permitted": (
        ALLOWED,
        "yaml",
        {(None, "race/path-race"), (None, "race/execve-race")},
        "subset/openat2-open",
    ),
    "addresses": (PORTS, "yaml", {(2, "race/sockaddr-race")}, "race/path-race"),
    "sockets by name": (SOCKETS, "yaml", {(1, "subset/datagram")}, "race/sockaddr-race"),
    "processes": (PROCESSES, "yaml", {(1, "machinery/peer-memory")}, "race/path-race"),
    "what a link says": (LINKS, "yaml", {(2, "replication/log-overwrite")}, "race/path-race"),
    "siblings by themselves": (
        SIBLINGS,
        "yaml",
        {
            (1, "subset/truncation"),
            (2, "indirect/rename-into-denied"),
            (3, "indirect/hardlink-alias"),
            (4, "subset/metadata"),
            (5, "subset/truncation"),
        },
        "subset/execveat",
    ),
    "registers": (TERMINAL, "yaml", {(1, "abi/upper-bits")}, "race/path-race"),
    "a program's policy": (BINARY, "yaml", {(2, "race/path-race")}, "race/sockaddr-race"),
    "the historic language": (SYSTRACE, "systrace", {(1, "race/path-race")}, "race/sockaddr-race"),
}


@pytest.mark.parametrize(
    ("text", "dialect", "there", "absent"), SPOKEN_OF.values(), ids=list(SPOKEN_OF)
)
def test_the_attacks_that_rules_speak_of(
    text: str, dialect: str, there: set[tuple[int | None, str]], absent: str
) -> None:
    """Those whose plain act a rule denies somewhere and permits elsewhere, by that rule."""
    found = probes(text.format(home="/home/me"), dialect, "my.yaml", ATTACKS.values())
    by_rule = {(None if each.rule is None else each.rule + 1, each.attack.id) for each in found}
    assert there <= by_rule
    assert absent not in {attack for _, attack in by_rule}


@pytest.mark.parametrize(
    ("denied", "permitted"),
    [("[open, openat]", True), ("[open, openat, openat2]", False), ("fswrite", False)],
)
def test_what_the_policy_itself_permits_is_said(denied: str, permitted: bool) -> None:
    """openat2 belongs to fswrite by flags that lie in memory."""
    text = f"""\
default: permit
rules:
  - deny: {denied}
    when: filename match "/srv/secret/*"
"""
    found = probes(text, "yaml", "my.yaml", ATTACKS.values())
    (probe,) = (each for each in found if each.attack.id == "subset/openat2-open")
    assert ("openat2" in probe.permitted) is permitted


def test_only_names_are_exchanged() -> None:
    """The lines stay, so that a rule is told by its place; it is told as it was written."""
    text = BINARY.format(home="/home/me")
    race = next(
        each
        for each in probes(text, "yaml", "my.yaml", ATTACKS.values())
        if each.attack.id == "race/path-race"
    )
    assert (race.place, race.id) == ("my.yaml:6", "audit/rule-2-race-path-race")
    assert race.said.endswith('when filename match "/home/me/secret/*"')
    for name, own in (("/opt/app", "${program}"), ("/home/me/secret", "${denied_dir}")):
        text = text.replace(name, own)
    assert race.text == text


def test_every_attack_is_written_for_a_program_that_it_has(tmp_path: Path) -> None:
    """Also one that this machine has in its second calling convention only."""
    found = probes(FILES.format(home="/home/me"), "yaml", "my.yaml", ATTACKS.values())
    write(found, tmp_path, dialect="yaml", backends=(), scenarios=())
    for each in found:
        content = yaml.safe_load((tmp_path / "scenarios" / f"{each.id}.yaml").read_text())
        assert content["abis"]
        assert set(content["abis"]) <= set(each.attack.abis)


def test_a_longer_name_is_another() -> None:
    """/home/me/secrets is not beneath /home/me/secret."""
    text = CLOSED.format(home="/home/me") + "  - permit: fsread\n    when: filename eq {}\n"
    (race,) = (
        each
        for each in probes(text.format('"/home/me/secrets"'), "yaml", "my.yaml", ATTACKS.values())
        if each.attack.id == "race/path-race"
    )
    assert '"/home/me/secrets"' in race.text


def test_a_wrong_policy_is_an_error() -> None:
    """With its place, as every command tells it."""
    with pytest.raises(PolicyError, match=r"my\.yaml:1"):
        probes("default: permitt\n", "yaml", "my.yaml", ATTACKS.values())


def test_a_rule_without_an_attack_is_said() -> None:
    """With why: no attack makes its calls, or they are permitted nowhere else."""
    text = CLOSED.format(home="/home/me")
    text += "  - deny: [bind, swapon]\n  - permit: readlink\n  - deny: openat2\n"
    found = probes(text, "yaml", "my.yaml", ATTACKS.values())
    left = untried(text, "yaml", "my.yaml", tuple(ATTACKS.values()), found)
    assert [(each.place, each.said) for each in left] == [
        ("my.yaml:7", "deny: [bind, swapon]"),
        ("my.yaml:9", "deny: openat2"),
    ]
    assert left[0].why == "no attack is made of bind, swapon"
    assert "another rule" in left[1].why


def test_a_denial_that_no_direct_attempt_shows_is_not_tried() -> None:
    """Truncation alone is denied: the attack's direct attempt, an open, would be permitted."""
    text = SIBLINGS[: SIBLINGS.index("  - deny: [rename")]
    assert probes(text, "yaml", "my.yaml", ATTACKS.values()) == []


KINDS = {
    "all held": (["held", "held"], VerdictKind.HELD),
    "one lost": (["held", "bypassed", "broken"], VerdictKind.BYPASSED),
    "the plain act works": (["held", "not enforcing"], VerdictKind.NOT_ENFORCING),
    "some not judged": (["broken", "inapplicable", "held"], VerdictKind.HELD),
    "none judged": (["broken", "inapplicable"], VerdictKind.INAPPLICABLE),
    "nothing permitted works": (["overblocked", "inapplicable"], VerdictKind.OVERBLOCKED),
}


@pytest.mark.parametrize(("verdicts", "kind"), KINDS.values(), ids=list(KINDS))
def test_what_becomes_of_a_rule(verdicts: list[str], kind: VerdictKind) -> None:
    """The worst of what was judged; leaky enforcers do not count."""
    rows = [replace(HELD, verdict=verdict) for verdict in verdicts]
    (found,) = judged([*rows, replace(HELD, backend="leaky-x", leaky=True, verdict="bypassed")])
    assert (found.backend, found.kind) == (HELD.backend, kind)
    assert {row.verdict for row in found.worst} == {kind.value}


def test_nothing_to_try_and_nothing_to_lose(tmp_path: Path) -> None:
    """A policy without denials is a mistake of usage, and so is a directory not empty."""
    policy = tmp_path / "my.yaml"
    policy.write_text("default: permit\nrules: []\n")
    said = CliRunner().invoke(cli, ["audit", str(policy)])
    assert (said.exit_code, "no attack speaks of a denial" in said.output) == (2, True)
    policy.write_text(CLOSED.format(home="/home/me"))
    quick = ("-b", "seccomp", "-k", "openat2-open")
    said = CliRunner().invoke(cli, ["audit", str(policy), *quick, "--keep", str(tmp_path)])
    assert (said.exit_code, "is not empty" in said.output) == (2, True)
    assert policy.exists()


@pytest.mark.parametrize("name", ["leaky", "leaky-ptrace-bare"])
def test_a_leaky_backend_is_not_audited(tmp_path: Path, name: str) -> None:
    """The others are judged by it: who asks for one is told so, before anything is written."""
    policy = tmp_path / "my.yaml"
    policy.write_text(CLOSED.format(home="/home/me"))
    keep = tmp_path / "kept"
    words = ["audit", str(policy), "-b", "seccomp", "-b", name, "--keep", str(keep)]
    said = CliRunner().invoke(cli, words)
    assert (said.exit_code, said.output.startswith(f"Error: {name}: a leaky")) == (2, True)
    assert not keep.exists()


def test_every_external_sandbox_is_audited_by_its_name() -> None:
    """Scenarios, which know no word for all of them, get each."""
    assert audit._named(("seccomp", "external")) == ("seccomp", *external_names())


@LIVE
@pytest.mark.parametrize(
    ("text", "status", "said"), [(CLOSED, 0, "holds"), (FILES, 1, "FALLS")], ids=["held", "a hole"]
)
def test_a_policy_is_tried(tmp_path: Path, text: str, status: int, said: str) -> None:
    """A rule that forgets a sibling call falls, in a case that can be run by hand; the user's own
    files are what they were.
    """
    secret = tmp_path / "secret" / "file"
    secret.parent.mkdir()
    secret.write_text("mine")
    before = secret.stat()
    policy = tmp_path / "my.yaml"
    policy.write_text(text.format(home=tmp_path))
    keep = tmp_path / "kept"
    words = ("audit", str(policy), "-b", "notify", "-k", "openat2-open", "--keep", str(keep))
    ran = call(tmp_path, "harness", *words)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert f"  notify       {said} " in ran.stdout
    assert "my.yaml:5: deny[eacces]" in ran.stdout
    case = "audit/rule-2-subset-openat2-open[default-notify-"
    assert (case in ran.stdout) is (status == 1)
    assert ("the policy itself permits openat2\n" in ran.stdout) is (status == 1)
    assert max(map(len, ran.stdout.splitlines()[:4])) <= 80
    again = call(keep, "harness", "explain", "audit/rule-2-subset-openat2-open")
    assert re.search(r"^Attack subset/openat2-open", again.stdout, re.MULTILINE), again.stderr
    assert (secret.stat().st_mtime_ns, secret.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert secret.read_text() == "mine"
