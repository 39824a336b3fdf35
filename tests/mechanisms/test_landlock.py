"""The Landlock mechanism: what it covers, what its plans hold, and real commands under domains."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from enforcer.access.notes import OTHER_ERRNO, TOO_MUCH_DENIED, TOO_MUCH_PERMITTED
from enforcer.access.places import (
    EVERYWHERE,
    NOWHERE,
    Place,
    Region,
    Shape,
    common,
    region_of,
    united,
)
from enforcer.arch import native
from enforcer.events import FileLog
from enforcer.kernel.landlock import FileRight, NetRight, Scope, abi_of, create_ruleset
from enforcer.mechanisms.contract import Extent, Inexpressible, LaunchError, Options, Plan
from enforcer.mechanisms.landlock import MECHANISM
from enforcer.mechanisms.landlock.judgement import judge
from enforcer.mechanisms.landlock.layer import layer_from_json, layer_to_json
from enforcer.policy import parse_yaml
from enforcer.policy.ast import Policy

ABIS_HERE = native().abis
PARTIAL = Options(partial=True)
SYSTEM = """filename match "/usr" or filename match "/etc" or filename match "/proc"
      or filename match "/dev" or filename match "/lib" or filename match "/lib64"
      or filename match "/bin" """

usable = pytest.mark.skipif(bool(MECHANISM.probe()), reason="this kernel has no Landlock")


def policy(text: str) -> Policy:
    return parse_yaml(text, "test.yaml")


def rules(*lines: str, default: str = "permit") -> Policy:
    return policy("\n".join((f"default: {default}", "rules:", *lines)))


READING = (
    '  - permit: fsread\n    when: filename match "/usr"',
    "  - deny[eacces]: fsread",
)


def cover_of(found: Policy, rule: int | None) -> tuple[Extent, str]:
    cover = next(each for each in MECHANISM.cover(found, ABIS_HERE) if each.rule == rule)
    return cover.extent, cover.errs


COVERS: list[tuple[str, Policy, int | None, Extent, str]] = [
    ("an allow-list's permit", rules(*READING), 0, Extent.FULL, ""),
    ("stat has no right", rules(*READING), 1, Extent.PARTIAL, TOO_MUCH_PERMITTED),
    ("exec needs reading", rules(*READING), None, Extent.PARTIAL, TOO_MUCH_DENIED),
    (
        "only opens",
        rules(
            '  - permit: [open, openat, openat2]\n    when: filename match "/usr"',
            "  - deny[eacces]: [open, openat, openat2]",
        ),
        1,
        Extent.FULL,
        "",
    ),
    (
        "the directory itself",
        rules('  - permit: fsread\n    when: filename match "/usr/*"', "  - deny: fsread"),
        0,
        Extent.PARTIAL,
        TOO_MUCH_PERMITTED,
    ),
    (
        "deny inside allow",
        rules('  - deny: fsread\n    when: filename eq "/usr/x"', *READING),
        0,
        Extent.NONE,
        TOO_MUCH_PERMITTED,
    ),
    (
        "a deny-list",
        rules('  - deny: fsread\n    when: filename eq "/etc/shadow"'),
        0,
        Extent.NONE,
        TOO_MUCH_PERMITTED,
    ),
    (
        "a pattern within a name",
        rules('  - permit: fsread\n    when: filename match "/usr/*/x"', "  - deny: fsread"),
        0,
        Extent.NONE,
        TOO_MUCH_DENIED,
    ),
    (
        "a substring",
        rules('  - permit: fsread\n    when: filename sub "usr"', "  - deny: fsread"),
        0,
        Extent.NONE,
        TOO_MUCH_DENIED,
    ),
    ("a register", rules("  - deny: ioctl\n    when: arg[1]:32 == 21522"), 0, Extent.NONE, ""),
    ("a plain call", rules("  - deny: getppid"), 0, Extent.NONE, ""),
    ("metadata only", rules("  - deny: [chmod, fchmodat]"), 0, Extent.NONE, ""),
    ("default deny", rules("  - permit: read", default="deny"), None, Extent.NONE, ""),
    (
        "execve",
        rules('  - permit: execve\n    when: filename match "/usr"', "  - deny: execve"),
        1,
        Extent.PARTIAL,
        TOO_MUCH_PERMITTED,
    ),
    (
        "a port",
        rules('  - permit: connect\n    when: sockaddr eq "inet-[::1]:8"', "  - deny: connect"),
        0,
        Extent.PARTIAL,
        TOO_MUCH_PERMITTED,
    ),
    ("all connections", rules("  - deny: connect"), 0, Extent.PARTIAL, TOO_MUCH_PERMITTED),
    (
        "one denied port",
        rules('  - deny: connect\n    when: sockaddr eq "inet-[1.2.3.4]:80"'),
        0,
        Extent.NONE,
        TOO_MUCH_PERMITTED,
    ),
    (
        "signals",
        rules(
            "  - deny: [kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal]"
        ),
        0,
        Extent.PARTIAL,
        TOO_MUCH_PERMITTED,
    ),
    ("one way to signal", rules("  - deny: kill"), 0, Extent.NONE, TOO_MUCH_PERMITTED),
    ("a kill", rules("  - kill: creat"), 0, Extent.PARTIAL, TOO_MUCH_PERMITTED),
    (
        "names outside",
        rules(
            '  - deny[eacces]: [mkdir, mkdirat]\n    when: not filename match "/tmp"',
        ),
        0,
        Extent.FULL,
        "",
    ),
    (
        "another errno",
        rules('  - deny[enoent]: [mkdir, mkdirat]\n    when: not filename match "/tmp"'),
        0,
        Extent.PARTIAL,
        OTHER_ERRNO,
    ),
    (
        "moves, which may be EXDEV",
        rules(
            '  - deny[eacces]: [rename, renameat, renameat2]\n    when: not filename[1] match "/t"',
        ),
        0,
        Extent.PARTIAL,
        OTHER_ERRNO,
    ),
    (
        "writing what may not be read",
        rules("  - permit: fswrite", "  - deny[eacces]: fsread"),
        0,
        Extent.PARTIAL,
        TOO_MUCH_DENIED,
    ),
    (
        "execution of what may not be read",
        rules("  - permit: execve", "  - deny[eacces]: fsread"),
        0,
        Extent.PARTIAL,
        TOO_MUCH_DENIED,
    ),
    (
        "calls that share a right with denied ones",
        rules("  - permit: rename", "  - deny[eacces]: [mkdir, mkdirat]"),
        0,
        Extent.PARTIAL,
        TOO_MUCH_DENIED,
    ),
]


@pytest.mark.parametrize(
    ("found", "rule", "extent", "errs"),
    [entry[1:] for entry in COVERS],
    ids=[entry[0] for entry in COVERS],
)
def test_cover(found: Policy, rule: int | None, extent: Extent, errs: str) -> None:
    """How far a rule is enforced, and in which direction it errs."""
    cover = cover_of(found, rule)
    assert cover[0] is extent
    if errs:
        assert cover[1] == errs


def test_a_denied_name_outside_every_permitted_hierarchy_is_no_loss() -> None:
    """What the allow-list excludes anyway may be denied before it."""
    found = rules('  - deny[eacces]: fsread\n    when: filename eq "/srv/x"', *READING)
    reason = next(each.reason for each in MECHANISM.cover(found, ABIS_HERE) if each.rule == 0)
    assert "within a permitted hierarchy" not in reason


def test_every_rule_and_the_default_have_a_cover() -> None:
    """One Cover a rule in order, then the default's."""
    found = rules(*READING)
    assert [cover.rule for cover in MECHANISM.cover(found, ABIS_HERE)] == [0, 1, None]


def test_what_is_lost_must_be_accepted() -> None:
    """Without `partial` a policy that loses anything is refused, and the losses are named."""
    with pytest.raises(Inexpressible, match="no right for access") as refused:
        MECHANISM.compile([rules(*READING)], ABIS_HERE, Options())
    assert {cover.rule for cover in refused.value.covers} == {1, None}
    plan = MECHANISM.compile([rules(*READING)], ABIS_HERE, PARTIAL)
    lost = plan.data["inexpressible"]
    assert isinstance(lost, list)
    assert [entry["rule"] for entry in lost] == [1, None]


def test_a_policy_that_denies_nothing_needs_nothing() -> None:
    """No domain is made for a policy that permits everything."""
    plan = MECHANISM.compile([policy("default: permit\nrules: []")], ABIS_HERE, Options())
    assert plan.data["layers"] == []


@pytest.mark.parametrize(
    ("found", "needed"),
    [
        (rules(*READING), 2),
        (rules('  - permit: fswrite\n    when: filename match "/tmp"', "  - deny: fswrite"), 3),
        (rules("  - deny: bind"), 4),
        (rules("  - deny: connect"), 6),
    ],
    ids=["reading", "writing", "bind", "connect"],
)
def test_a_plan_says_which_abi_it_needs(found: Policy, needed: int) -> None:
    """REFER came with ABI 2, TRUNCATE with 3, ports with 4, scopes with 6."""
    assert MECHANISM.compile([found], ABIS_HERE, PARTIAL).data["abi"] == needed


def test_abi_of_rights_of_equal_value() -> None:
    """Rights of different kinds share numbers."""
    assert abi_of(FileRight.WRITE_FILE, NetRight(0), Scope(0)) == 1
    assert abi_of(FileRight(0), NetRight(0), Scope.SIGNAL) == 6
    assert abi_of(FileRight.RESOLVE_UNIX, NetRight.BIND_TCP, Scope(0)) == 9


def test_rights_of_a_policy() -> None:
    """Reading and writing are separate rights, and moves need REFER on both sides."""
    found = judge(
        rules(
            *READING,
            '  - permit: fswrite\n    when: filename match "/tmp"',
            "  - deny: fswrite",
        ),
        ABIS_HERE,
    )
    usr, tmp = (region_of([Place(path, Shape.TREE)]) for path in ("/usr", "/tmp"))
    assert found.rights[FileRight.READ_FILE] == usr
    assert found.rights[FileRight.WRITE_FILE] == tmp
    assert found.rights[FileRight.MAKE_DIR] == tmp
    assert found.rights[FileRight.REFER] == tmp
    assert found.rights[FileRight.EXECUTE] == EVERYWHERE
    assert FileRight.EXECUTE not in found.files


OPENS = "[open, openat, openat2, creat]"
RENAMES = "[rename, renameat, renameat2]"


@pytest.mark.parametrize(
    ("calls", "name", "rights"),
    [
        (OPENS, "filename", FileRight.TRUNCATE | FileRight.MAKE_REG | FileRight.READ_DIR),
        ("[truncate, truncate64]", "filename", FileRight.TRUNCATE),
        (RENAMES, "filename", FileRight.REMOVE_FILE | FileRight.REMOVE_DIR),
        (RENAMES, "filename[1]", FileRight.MAKE_DIR | FileRight.MAKE_SYM),
        ("[link, linkat]", "filename[1]", FileRight.MAKE_SYM),
        ("[unlink, unlinkat]", "filename", FileRight.REMOVE_FILE | FileRight.REMOVE_DIR),
        ("[rmdir, unlinkat]", "filename", FileRight.REMOVE_DIR),
        ("[mknod, mknodat]", "filename", FileRight.MAKE_FIFO | FileRight.MAKE_CHAR),
        ("[mkdir, mkdirat]", "filename", FileRight.MAKE_DIR),
        ("[symlink, symlinkat]", "filename", FileRight.MAKE_SYM),
        ("execve", "filename", FileRight.EXECUTE),
        ("execveat", "filename", FileRight.EXECUTE),
    ],
)
def test_a_right_is_for_every_call_that_needs_it(calls: str, name: str, rights: FileRight) -> None:
    """A rule on those calls alone bounds each right that they need, by the name that it is for."""
    permit = f'  - permit: {calls}\n    when: {name} match "/tmp"'
    found = judge(rules(permit, f"  - deny: {calls}"), ABIS_HERE)
    tmp = region_of([Place("/tmp", Shape.TREE)])
    assert {right: found.rights[right] for right in rights} == dict.fromkeys(rights, tmp)


@pytest.mark.parametrize("name", ["filename", "filename[1]"])
@pytest.mark.parametrize("calls", [RENAMES, "[link, linkat]"])
def test_a_move_needs_both_of_its_names(calls: str, name: str) -> None:
    """A permission for one of them permits no move between directories."""
    permit = f'  - permit: {calls}\n    when: {name} match "/tmp"'
    found = judge(rules(permit, f"  - deny: {calls}"), ABIS_HERE)
    assert found.rights[FileRight.REFER] == NOWHERE


def test_layers_survive_json() -> None:
    """A plan's layer is the same after JSON."""
    plan = MECHANISM.compile([rules(*READING, "  - deny: connect")], ABIS_HERE, PARTIAL)
    layers = plan.data["layers"]
    assert isinstance(layers, list)
    layer = layer_from_json(json.loads(json.dumps(layers[0])))
    assert layer_to_json(layer) == layers[0]
    assert layer.net == NetRight.CONNECT_TCP
    assert not layer.permits("/", FileRight.READ_DIR)
    assert layer.permits("/usr/lib", FileRight.READ_DIR)


def test_description_names_rights_and_places() -> None:
    """One line a fact."""
    text = MECHANISM.describe(MECHANISM.compile([rules(*READING)], ABIS_HERE, PARTIAL))
    assert "needs Landlock ABI 2" in text
    assert "denies READ_FILE READ_DIR REFER" in text
    assert "permits READ_FILE READ_DIR tree /usr" in text


def tree(path: str) -> Place:
    return Place(path, Shape.TREE)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([tree("/a")], [tree("/a/b")], [tree("/a/b")]),
        ([tree("/a")], [tree("/ab")], []),
        ([Place("/a", Shape.BENEATH)], [Place("/a", Shape.EXACT)], []),
        ([Place("/a", Shape.BENEATH)], [tree("/a")], [Place("/a", Shape.BENEATH)]),
        ([Place("/a/b", Shape.EXACT)], [tree("/a")], [Place("/a/b", Shape.EXACT)]),
    ],
)
def test_common_part_of_two_regions(
    left: list[Place], right: list[Place], expected: list[Place]
) -> None:
    """Of two hierarchies one holds the other, or they share nothing; order does not matter."""
    wanted = Region(frozenset(expected))
    assert common(region_of(left), region_of(right)) == wanted
    assert common(region_of(right), region_of(left)) == wanted


def test_unions_are_kept_small() -> None:
    """A directory and what is beneath make a tree, which swallows what lies in it."""
    beneath, exact = Place("/a", Shape.BENEATH), Place("/a", Shape.EXACT)
    assert region_of([beneath, exact, tree("/a/b")]) == region_of([tree("/a")])
    assert united(region_of([tree("/a")]), EVERYWHERE) == EVERYWHERE
    assert region_of([tree("/")]) == EVERYWHERE
    assert EVERYWHERE.contains(NOWHERE)
    assert not NOWHERE.contains(EVERYWHERE)


class Run:
    """What a command did under a plan."""

    def __init__(self, status: int, output: str, events: list[Mapping[str, object]]) -> None:
        self.status = status
        self.output = output
        self.events = events

    def event(self, kind: str) -> Mapping[str, object]:
        return next(event for event in self.events if event["event"] == kind)


def launch(tmp_path: Path, plan: Plan, command: Sequence[str], **environment: str) -> Run:
    """Launch in a child; status 70 is a LaunchError, 71 an OSError."""
    output, log = tmp_path / "output", tmp_path / "log"
    child = os.fork()
    if child == 0:
        status = 72
        try:
            out = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.environ.update(environment)
            fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            MECHANISM.launch(plan, command, FileLog(fd))
        except LaunchError as error:
            os.write(1, str(error).encode())
            status = 70
        except OSError as error:
            os.write(1, str(error).encode())
            status = 71
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return Run(status, output.read_text(), events)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A permitted directory `ok` and a denied one `no`, each with a file `f`."""
    for name in ("ok", "no"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(f"{name} content\n")
    return tmp_path


SHELL = "/bin/sh"


@usable
def test_an_unknown_right_is_an_error() -> None:
    """The kernel refuses what it does not know; nothing is left out in silence."""
    with pytest.raises(OSError, match="Invalid argument"):
        create_ruleset(FileRight(1 << 40), NetRight(0), Scope(0))


@usable
def test_the_probe_does_not_restrict() -> None:
    """Asking whether Landlock is there leaves the asker free."""
    assert MECHANISM.probe() == ()
    assert list(Path("/").iterdir())
