"""The Landlock mechanism: what it covers, what its plans hold, and real commands under domains."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
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
from enforcer.kernel.landlock import FileRight, NetRight, Scope, abi_of, create_ruleset, version
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


def allow_list(world: Path) -> Plan:
    found = rules(
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
        f'  - permit: fswrite\n    when: filename match "{world}/ok" or filename match "/dev"',
        "  - deny[eacces]: fswrite",
    )
    return MECHANISM.compile([found], ABIS_HERE, PARTIAL)


SHELL = "/bin/sh"


@usable
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("cat ok/f", 0),
        ("cat no/f", 1),
        ("echo x > ok/new", 0),
        ("echo x > no/new", 2),
        ("echo x >> no/f", 2),
        ("mv no/f ok/", 1),
        ("mv ok/f no/", 1),
        ("ln no/f ok/link", 1),
        ("ln ok/f ok/link", 0),
        ("rm no/f", 1),
        ("rm ok/f", 0),
        ("mkdir no/d", 1),
        ("ln -s ../no/f ok/s; cat ok/s", 1),
        ("ls no", 2),
        ("cd no && cat f", 1),
        ("cat /proc/self/root/$PWD/no/f", 1),
    ],
)
def test_a_shell_under_an_allow_list(world: Path, script: str, expected: int) -> None:
    """Permitted acts work, denied ones fail and leave the denied directory as it was."""
    command = [SHELL, "-c", f"cd {world}; {script}"]
    run = launch(world, allow_list(world), command)
    assert run.status == expected, run.output
    assert "no content" not in run.output
    assert sorted(path.name for path in (world / "no").iterdir()) == ["f"]
    assert (world / "no" / "f").read_text() == "no content\n"


@usable
@pytest.mark.parametrize(
    ("act", "said"),
    [
        (": >> no/f", ""),
        ("exec 3<> no/f", "Permission denied"),
        ("mkdir no/d", "Permission denied"),
    ],
)
def test_what_partial_rules_lose_is_what_the_kernel_does(world: Path, act: str, said: str) -> None:
    """Opened for writing alone a file that may not be read opens, for both it does not; a refusal
    is EACCES, whatever the rule says.
    """
    found = rules(
        "  - deny[enoent]: [mkdir, mkdirat]",
        "  - permit: fswrite",
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    assert cover_of(found, 0) == (Extent.PARTIAL, OTHER_ERRNO)
    assert cover_of(found, 1) == (Extent.PARTIAL, TOO_MUCH_DENIED)
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    run = launch(world, plan, [SHELL, "-c", f"cd {world}; {act}"])
    assert said in run.output
    assert (run.status == 0) == (said == "")


@usable
def test_metadata_is_not_covered(world: Path) -> None:
    """The gap that `cover` states is there: stat and chmod of a denied file work."""
    script = f"stat -c %n {world}/no/f && chmod 600 {world}/no/f && cat {world}/no/f"
    run = launch(world, allow_list(world), [SHELL, "-c", script])
    assert run.status == 1
    assert f"{world}/no/f\n" in run.output
    assert (world / "no" / "f").stat().st_mode & 0o777 == 0o600


@usable
def test_the_witness_tried_before_and_after(world: Path) -> None:
    """The log says what is lost and which acts the kernel denied."""
    run = launch(world, allow_list(world), [SHELL, "-c", "exit 7"])
    assert run.status == 7
    assert run.event("start")["abi"] == version()
    assert run.event("start")["inexpressible"]
    assert run.event("enforcing")["denied"] == {
        "read the memory of a process outside": "EPERM",
        "open / for reading": "EACCES",
    }


@usable
def test_places_that_cannot_be_permitted_are_reported(world: Path) -> None:
    """A name that is missing or leads over a link permits nothing, and the log says so."""
    (world / "link").symlink_to("no")
    found = rules(
        f'  - permit: fsread\n    when: filename match "{world}/link" or filename eq "{world}"'
        f' or filename match "{world}/missing" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    run = launch(world, plan, [SHELL, "-c", f"cat {world}/link/f"])
    assert run.status == 1
    left_out = run.event("enforcing")["left_out"]
    assert isinstance(left_out, list)
    mine = sorted(str(entry) for entry in left_out if str(world) in entry)
    assert mine == [
        f"{world}/link: Too many levels of symbolic links",
        f"{world}/missing: No such file or directory",
        f"{world}: a directory without what is in it",
    ]


@usable
def test_a_port_is_permitted_and_another_denied(tmp_path: Path) -> None:
    """connect reaches the permitted port; the other is EACCES before anything is sent."""
    if version() < 6:
        pytest.skip("Landlock ABI 6 is needed")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [end.getsockname()[1] for end in (one, other)]
        found = rules(
            f'  - permit: connect\n    when: sockaddr eq "inet-[127.0.0.1]:{ports[0]}"',
            "  - deny[eacces]: connect",
        )
        plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
        code = (
            "import socket\n"
            f"for port in {ports}:\n"
            "    print(socket.socket().connect_ex(('127.0.0.1', port)))\n"
        )
        run = launch(tmp_path, plan, [sys.executable, "-c", code])
    assert run.output == f"0\n{errno.EACCES}\n"


@usable
def test_exec_is_limited_to_a_hierarchy(world: Path) -> None:
    """A copy of a program outside the permitted hierarchy is not executed."""
    copy = world / "no" / "program"
    copy.write_bytes(Path("/bin/true").resolve().read_bytes())
    copy.chmod(0o755)
    found = rules(
        f"  - permit: execve\n    when: {SYSTEM}",
        f"  - permit: execveat\n    when: {SYSTEM}",
        "  - deny[eacces]: [execve, execveat]",
    )
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    assert launch(world, plan, [SHELL, "-c", "/bin/true"]).status == 0
    assert launch(world, plan, [SHELL, "-c", str(copy)]).status == 126
    assert launch(world, plan, [str(copy)]).status == 71


@usable
def test_several_policies_hold_together(world: Path) -> None:
    """A domain cannot switch: with two policies both are in force."""
    first = rules(f'  - permit: fsread\n    when: filename match "{world}" or {SYSTEM}')
    second = rules(
        f'  - permit: fsread\n    when: filename match "{world}/ok" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    plan = MECHANISM.compile([first, second], ABIS_HERE, PARTIAL)
    assert "cannot switch" in json.dumps(plan.data["inexpressible"])
    assert launch(world, plan, [SHELL, "-c", f"cat {world}/no/f"]).status == 1
    assert launch(world, plan, [SHELL, "-c", f"cat {world}/ok/f"]).status == 0


@usable
def test_a_kernel_that_lacks_a_right_is_refused(world: Path) -> None:
    """Never less than the plan: an ABI beyond the kernel's is a LaunchError, nothing runs."""
    plan = allow_list(world)
    beyond = Plan(
        mechanism=plan.mechanism, machine=plan.machine, data={**plan.data, "abi": version() + 1}
    )
    run = launch(world, beyond, [SHELL, "-c", f"touch {world}/ok/ran"])
    assert run.status == 70
    assert "needs Landlock ABI" in run.output
    assert not (world / "ok" / "ran").exists()


@usable
def test_a_command_that_does_not_exist(world: Path) -> None:
    """It is the OSError of execve, not a failure to enforce."""
    assert launch(world, allow_list(world), ["/nonexistent/command"]).status == 71


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
