"""`permit ... as`: a call made with other ids for a target that never has them."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.mechanisms.contract import Inexpressible, Mechanism, Options
from enforcer.mechanisms.notify import MECHANISM as NOTIFY
from enforcer.mechanisms.ptrace import MECHANISM as PTRACE
from enforcer.policy import load_policies
from enforcer.policy.decider import Decider
from tests.mechanisms.sandbox import Ran, run

BOTH = ("ptrace", "notify")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

DROPPED = """
import ctypes, os, socket, subprocess, sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
place = sys.argv[1]

def tell(name, act):
    try:
        print(name, act())
    except OSError as error:
        print(name, -error.errno)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can walk to, with a file and a directory of root's alone."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "closed").mkdir(mode=0o700)
        for secret in ("secret", "other", "closed/secret"):
            (place / secret).write_text("planted")
            (place / secret).chmod(0o600)
        yield place


def said(backend: str, rules: str, script: str, place: Path, *before: str) -> Ran:
    """A script that has dropped its ids, under rules that permit the rest."""
    policy = f"default: permit\nrules:\n{rules.replace('PLACE', str(place))}"
    command = [*before, sys.executable, "-c", DROPPED + script, str(place)]
    return run(backend, policy, command, place, options=())


SERVER = """
def listens(port):
    server = socket.socket()
    server.bind(("0.0.0.0", port))
    return server.getsockname()[1]

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

tell("port 80", lambda: listens(80))
tell("its key", lambda: open(place + "/secret").read())
tell("ids", lambda: (os.getresuid(), os.getresgid(), os.getgroups()))
tell("shadow", lambda: open("/etc/shadow").read())
tell("chown", lambda: os.chown(place + "/secret", 65534, -1))
tell("mknod", lambda: os.mknod("/tmp/elevated-node", 0o20600, os.makedev(1, 3)))
tell("port 81", lambda: listens(81))
tell("kill", lambda: os.kill(1, 0))
tell("mount", lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None))
tell("setuid", lambda: os.setuid(0))
tell("ptrace", lambda: call("ptrace", 16, 1, None, None))
tell("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tell("write", lambda: open("/etc/elevated", "w"))
"""
SERVER_RULES = """
  - permit: bind
    when: sockaddr eq "inet-[0.0.0.0]:80"
    as: root
  - permit: openat
    when: filename eq "PLACE/secret" and oflags sub "ro"
    as: root
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_server_gets_what_it_is_given_and_nothing_else(backend: str, place: Path) -> None:
    """Port 80 in a network namespace and one file of root's; ten other acts of root's fail."""
    ran = said(backend, SERVER_RULES, SERVER, place, "unshare", "--net")
    lines = ran.stdout.splitlines()
    assert lines[:3] == [
        "port 80 80",
        "its key planted",
        "ids ((65534, 65534, 65534), (65534, 65534, 65534), [])",
    ]
    refused = dict(line.rsplit(" ", 1) for line in lines[3:])
    assert len(refused) == 10
    assert set(refused.values()) <= {"-1", "-13"}, ran.stdout


WAYS = """
os.symlink(place + "/closed/secret", "/tmp/" + os.path.basename(place) + "-link")
tell("by a link", lambda: open("/tmp/" + os.path.basename(place) + "-link").read())
os.unlink("/tmp/" + os.path.basename(place) + "-link")
tell("beneath", lambda: open(place + "/closed/secret").read())
tell("for writing", lambda: open(place + "/closed/secret", "w"))
tell("beside", lambda: open(place + "/other").read())
tell("looks", lambda: os.stat(place + "/closed/secret").st_uid)
tell("makes", lambda: os.mkdir(place + "/closed/made"))
tell("node", lambda: os.mknod(place + "/closed/node", 0o20600, os.makedev(1, 3)))
tell("owner", lambda: os.chown(place + "/closed/secret", 65534, -1))
tell("group", lambda: open(place + "/grouped", "w").close())
"""
WAYS_RULES = """
  - permit: openat
    when: filename eq "PLACE/closed/secret" and oflags sub "ro"
    as: root
  - permit: [mkdir, mknod, mknodat]
    when: filename match "PLACE/closed/*"
    as: "root:12"
  - permit: openat
    when: filename eq "PLACE/grouped"
    as: "root:7"
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_objects_are_elevated_and_made_as_told(backend: str, place: Path) -> None:
    """By whatever name, for what the rule permits; what is made belongs to the given ids."""
    ran = said(backend, WAYS_RULES, WAYS, place)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "by a link planted",
        "beneath planted",
        "for writing -13",
        "beside -13",
        "looks -13",
        "makes None",
        "node None",
        "owner -13",
        "group None",
    ]
    made, node, grouped = (
        (place / name).stat() for name in ("closed/made", "closed/node", "grouped")
    )
    assert [(each.st_uid, each.st_gid) for each in (made, node, grouped)] == [
        (0, 12),
        (0, 12),
        (0, 7),
    ]
    assert stat.S_ISCHR(node.st_mode)


PEER = """
client = socket.socket(socket.AF_UNIX)
tell("connects", lambda: client.connect(place + "/closed/socket"))
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_path_socket_is_reached_with_the_ids(backend: str, place: Path) -> None:
    """connect to a socket in a directory that the target cannot even walk."""
    rules = '  - permit: connect\n    when: sockaddr eq "PLACE/closed/socket"\n    as: root\n'
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "closed/socket"))
        server.listen()
        assert said(backend, rules, PEER, place).stdout == "connects None\n"


OWN_NAMESPACE = """
print(subprocess.run(["unshare", "-r", "cat", place + "/secret"], capture_output=True).stdout)
"""


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_whoever_made_a_user_namespace_is_not_elevated(backend: str, place: Path) -> None:
    """There every caller can be root; a rule means the ids of who wrote it."""
    rules = '  - permit: openat\n    when: filename eq "PLACE/secret"\n    as: root\n'
    ran = said(backend, rules, OWN_NAMESPACE, place)
    assert (ran.stdout, ran.stderr) == ("b''\n", "")


@pytest.mark.parametrize("mechanism", [PTRACE, NOTIFY], ids=BOTH)
@pytest.mark.parametrize("call", ["kill", "mount", "setuid", "ptrace", "socket", "execve", "chdir"])
def test_what_cannot_be_elevated_is_refused_at_load(
    mechanism: Mechanism, call: str, tmp_path: Path
) -> None:
    """The refusal names file, line and the call, which its caller makes by itself."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        f"default: permit\nrules:\n  - permit: read\n  - permit: {call}\n    as: root\n"
    )
    with pytest.raises(Inexpressible, match=rf"policy.yaml:4: as 0: .*: {call}"):
        mechanism.compile(load_policies(file), native().abis, Options())


def test_one_call_has_one_caller(tmp_path: Path) -> None:
    """A rename of which only one name is permitted with other ids is made with the caller's own."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        "default: permit\nrules:\n"
        '  - permit: fswrite\n    when: filename match "/given/*"\n    as: root\n'
    )
    (policy,) = load_policies(file)
    for names, is_elevated in ((("/given/a", "/given/b"), True), (("/given/a", "/b"), False)):
        decision = Decider(policy).decide("rename", (0,) * 6, {"filename": names})
        assert (decision.elevation is not None) is is_elevated, names


def test_nothing_is_renamed_into_an_elevation(tmp_path: Path) -> None:
    """Under a name that is opened with other ids an object would be opened so: no rename to it."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        "default: permit\nrules:\n"
        '  - permit: openat\n    when: filename match "/given/*"\n    as: root\n'
    )
    (policy,) = load_policies(file)
    decision = Decider(policy).decide("rename", (0,) * 6, {"filename": ("/own/a", "/given/a")})
    assert "other ids" in decision.reason
    assert decision.refusal


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_who_cannot_elevate_starts_nothing(backend: str, place: Path) -> None:
    """Without root the supervisor could not take the ids on: said before anything runs."""
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
    words += ["-m", "enforcer", "run", "--backend", backend, "--policy", str(place / "p.yaml")]
    (place / "p.yaml").write_text("default: permit\nrules:\n  - permit: bind\n    as: root\n")
    from harness import process

    (place / "p.yaml").chmod(0o644)
    done = process.run([*words, "--", "echo", "started"], cwd=Path.cwd())
    assert done.status == 2
    assert "p.yaml:3: as 0 takes a supervisor of root's" in done.stderr
    assert "started" not in done.stdout
