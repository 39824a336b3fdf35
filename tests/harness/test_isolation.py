"""The walls, fact by fact, as a target finds them; each behind every isolation that works here."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from enforcer.events import EventLog
from enforcer.kernel.prctl import forbid_dumping
from enforcer.mechanisms.contract import Plan
from enforcer.mechanisms.preparing import Needs
from harness.backends.life import InProcess
from harness.model import Effect, Limits, Outcome, RunKind
from harness.places import agent, isolation, local
from harness.places.agent import Request, Run, run_isolated
from harness.places.isolation import Isolation
from harness.places.layout import Layout
from harness.places.local import LocalPlace, numbered
from harness.process import Server
from tests.harness.plain import in_child, wall_in, without_capabilities

LIMITS = Limits(timeout_s=20, memory_bytes=3 << 29, processes=61, file_bytes=3 << 20)
WALLED = (Isolation.NAMESPACES, Isolation.USER)
WORKING = [each for each in Isolation if each is Isolation.PLAIN or isolation._works(each)]
OWN_NAMESPACES = ("ipc", "mnt", "net", "pid")

# What an agent may have from whoever asked for the run, and no target should get.
INHERITED = """
import os, signal
os.umask(0o077)
os.environ["LEAK"] = "yes"
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.geteuid() == 0:
    os.setgroups([4242])
os.set_inheritable(os.dup2(2, 77), True)
"""

FACTS = f"""#!{sys.executable}
import errno, json, os, resource, socket, sys
def status(key):
    with open("/proc/self/status") as lines:
        return [line.split(":", 1)[1].split() for line in lines if line.startswith(key + ":")][0]
def attempt(act):
    try:
        return repr(act())
    except OSError as error:
        return errno.errorcode[error.errno]
def tried(port):
    with socket.socket() as client:
        return client.connect(("127.0.0.1", port))
with open("/proc/self/mountinfo") as lines:
    mounts = [line.split() for line in lines]
parent = os.getppid()
print(json.dumps(dict(
    capabilities=[status(key) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    groups=os.getgroups(), uids=os.getresuid(), gids=os.getresgid(),
    namespaces={{name: os.readlink("/proc/self/ns/" + name)
        for name in ("ipc", "mnt", "net", "pid", "user")}},
    oom=int(open("/proc/self/oom_score_adj").read()),
    umask=status("Umask"), ignored=status("SigIgn"),
    limits={{name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))
        for name in ("CPU", "AS", "FSIZE", "NPROC", "CORE")}},
    environment=dict(os.environ), directory=os.getcwd(),
    leader=os.getsid(0) == os.getpid(),
    descriptors=sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    input=os.readlink("/proc/self/fd/0"),
    dumpable=os.stat("/proc/self/stat").st_uid == os.getuid(),
    parent=[attempt(lambda: os.readlink(f"/proc/{{parent}}/fd/0")),
        attempt(lambda: open(f"/proc/{{parent}}/mem").close())],
    init=parent == 1, processes=sum(name.isdigit() for name in os.listdir("/proc")),
    shared=[mount[4] for mount in mounts if any(word.startswith("shared:") for word in mount)],
    writable=sorted(mount[4] for mount in mounts if "rw" in mount[5].split(",")),
    setuid=sorted(mount[4] for mount in mounts if "nosuid" not in mount[5].split(",")),
    loopback=attempt(lambda: tried(1)),
)))
"""


@functools.cache
def facts(found: Isolation) -> Mapping[str, Any]:
    """What a target sees under an agent that inherited much."""
    with pytest.MonkeyPatch.context() as patch:
        wall_in(found, patch, INHERITED)
        place = LocalPlace()
        layout = place.layout()
        request = {
            "layout": layout.to_json(),
            "limits": asdict(LIMITS),
            "program": None,
            "variant": "default",
            "sentinel": "file",
            "effect": None,
            "files": {"look": FACTS},
            "runs": [
                {
                    "kind": "control",
                    "backend": "none",
                    "plan": {"mechanism": "none", "machine": "x86_64", "data": {}},
                    "mode": "attack",
                    "attempts": 1,
                    "stop": True,
                    "command": [str(layout.directory / "look")],
                }
            ],
        }
        answer = place.run(request, 60)
        place.close()
    (seen,) = answer.observations
    assert (seen.outcome, answer.isolation) == (Outcome.SILENT, found.value), seen
    told: dict[str, Any] = json.loads(seen.stdout)
    return {**told, "scratch": str(layout.directory), "root": str(layout.root)}


def ceiling(name: str, value: int) -> int:
    hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def own_namespace(name: str) -> str:
    return str(Path(f"/proc/self/ns/{name}").readlink())


@pytest.mark.parametrize("found", WORKING)
def test_a_target_has_no_privilege(found: Isolation) -> None:
    """No capability in any set that an execve could give back, and the ids that it should have."""
    seen = facts(found)
    *held, bounding, ambient = seen["capabilities"]
    assert {int(words[0], 16) for words in (*held, ambient)} == {0}
    uid = os.getuid()
    if found is Isolation.NAMESPACES:
        (uid,) = set(seen["uids"])
        assert uid > isolation.FIRST_UID
        assert seen["groups"] == []
    elif uid == 0:
        assert int(bounding[0], 16) == 0
    assert set(seen["uids"]) == {uid}
    assert set(seen["gids"]) == {uid if found is Isolation.NAMESPACES else os.getgid()}


@pytest.mark.parametrize("found", WORKING)
def test_a_target_has_namespaces_of_its_own(found: Isolation) -> None:
    """Each of those that a walled run has, and the init of its own pid namespace for a parent."""
    seen = facts(found)
    own = {name for name, link in seen["namespaces"].items() if link != own_namespace(name)}
    more = {"user"} if found is Isolation.USER else set()
    assert own == ({*OWN_NAMESPACES} | more if found in WALLED else set())
    assert seen["init"] is (found in WALLED)
    # Its init and itself.
    assert (seen["processes"] == 2) is (found in WALLED)


@pytest.mark.parametrize("found", WORKING)
def test_the_loopback_device_is_up(found: Isolation) -> None:
    """A target that connects to it hears that nobody listens, not that there is no network."""
    assert facts(found)["loopback"] == "ECONNREFUSED"


@pytest.mark.parametrize("found", [each for each in WORKING if each in WALLED])
def test_the_tree_is_read_only_and_private(found: Isolation) -> None:
    """Only file systems of the run's own can be written, no mount is shared, none gives ids."""
    seen = facts(found)
    own = {seen["root"], "/proc", "/dev/pts", "/dev/shm", "/tmp"}
    hidden = {
        str(path) for path in (Path.home(), *map(Path, sys.path)) for path in (path, *path.parents)
    }
    assert seen["root"] in seen["writable"]
    assert set(seen["writable"]) - own <= (hidden if found is Isolation.NAMESPACES else set())
    assert seen["shared"] == []
    assert set(seen["setuid"]) <= {"/dev/pts"}


@pytest.mark.parametrize("found", WORKING)
def test_limits_are_set(found: Isolation) -> None:
    """Soft and hard limits of the request, none above what the agent itself may have."""
    wanted = {"AS": LIMITS.memory_bytes, "FSIZE": LIMITS.file_bytes, "NPROC": LIMITS.processes}
    seen = facts(found)["limits"]
    for name, value in wanted.items():
        assert seen[name] == [ceiling(name, value)] * 2, name
    assert seen["CPU"] == [ceiling("CPU", 21), ceiling("CPU", 22)]
    assert seen["CORE"] == [0, 0]


@pytest.mark.parametrize("found", WORKING)
def test_every_target_starts_alike(found: Isolation) -> None:
    """Environment, umask, signals, session, directory and input, whatever the agent had."""
    seen = facts(found)
    assert seen["environment"] == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": seen["scratch"],
        "TMPDIR": seen["scratch"],
        "LANG": "C.UTF-8",
    }
    assert seen["umask"] == ["0022"]
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25), nothing else.
    assert int(seen["ignored"][0], 16) == 1 << 12 | 1 << 24
    assert seen["leader"]
    assert seen["directory"] == seen["scratch"]
    assert seen["input"] == "/dev/null"
    assert seen["oom"] == 1000


@pytest.mark.parametrize("found", WORKING)
def test_nothing_of_the_laboratory_is_open(found: Isolation) -> None:
    """Only three descriptors are there, and /proc of the run's init is closed to its target."""
    seen = facts(found)
    assert seen["descriptors"] == [0, 1, 2]
    assert seen["parent"] == ["EACCES", "EACCES"]
    assert seen["dumpable"]


class Looking(InProcess):
    """A backend that tells what it holds before the execve: a supervisor would inherit that."""

    name = "looking"
    mechanism = "none"
    needs = Needs()

    def launch(self, plan: Plan, command: object, log: EventLog) -> None:
        links = []
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(str(each.readlink()).split(":")[0])
        told = {"held": sorted(links), "uids": os.getresuid(), "gids": os.getresgid()}
        os.write(1, json.dumps(told).encode())
        os._exit(0)


def request_for(layout: Layout, program: Path, sentinel: str, effect: Effect) -> Request:
    run = Run(
        kind=RunKind.CONTROL,
        backend="none",
        plan=Plan(mechanism="none", machine="x86_64", data={}),
        mode="attack",
        attempts=1,
        stop=True,
        command=(),
    )
    return Request(
        layout=layout,
        limits=LIMITS,
        program=program,
        variant="default",
        sentinel=sentinel,
        effect=effect,
        files={},
        runs=(run,),
    )


@pytest.mark.parametrize("found", WORKING)
@pytest.mark.parametrize(
    ("sentinel", "effect"),
    [
        ("port", Effect.NET),
        ("socket", Effect.IPC),
        ("deputy", Effect.READ),
        ("peer", Effect.IPC),
        ("tty", Effect.IOCTL),
    ],
)
def test_what_is_forked_before_the_execve_inherits_nothing(
    found: Isolation, sentinel: str, effect: Effect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a sentinel's descriptors nor the laboratory's pipes: there are the target's output,
    the log, and one for a launch that fails. Nor ids that it could take back.
    """
    wall_in(found, monkeypatch)
    monkeypatch.setattr(agent, "backend", lambda name: Looking())
    place = LocalPlace()
    request = request_for(place.layout(), Path("/bin/true"), sentinel, effect)
    seen = run_isolated(request, request.runs[0], found)
    place.close()
    told = json.loads(seen.stdout)
    held = [link for link in told["held"] if not link.startswith("/proc/")]
    assert held == ["/dev/null", "pipe", "pipe", "pipe", "pipe"]
    # An execve would make the saved ids those of before: a supervisor has none.
    assert len(set(told["uids"])) == len(set(told["gids"])) == 1


def test_the_guard_has_nothing_of_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its questions nor its answers: one pipe, and what it complains to."""

    def enter(_: Isolation) -> None:
        held = {int(each.name): str(each) for each in Path("/proc/self/fd").iterdir()}
        links = {}
        for number, each in held.items():
            with contextlib.suppress(FileNotFoundError):
                links[number] = str(Path(each).readlink())
        (tmp_path / "held").write_text(json.dumps(links))

    monkeypatch.setattr(isolation, "enter", enter)
    request = request_for(Layout(root=tmp_path / "root"), Path("/bin/true"), "file", Effect.READ)

    def body() -> bool:
        questions, answers = os.pipe()
        os.dup2(questions, 0)
        os.set_inheritable(answers, True)
        run_isolated(request, request.runs[0], Isolation.PLAIN)
        return True

    assert in_child(body)
    held = json.loads((tmp_path / "held").read_text())
    assert held.pop("0") == "/dev/null"
    above = [link for number, link in held.items() if int(number) > 2]
    assert sorted(link.split(":")[0] for link in above if not link.startswith("/proc/")) == [
        # The pipe of the answer, and the pair by which an init knows that its guard lives.
        "pipe",
        "pipe",
        "pipe",
    ]


def test_the_guard_and_the_init_are_closed() -> None:
    """Whoever asked for the run may be dumpable: they are not, and a target that has the same
    rights opens nothing of theirs.
    """

    def body(own: Path) -> str:
        program = own / "program"
        program.write_text(FACTS)
        layout = Layout(root=own / "root")
        request = request_for(layout, program, "file", Effect.READ)
        return run_isolated(request, request.runs[0], Isolation.PLAIN).stdout

    seen = json.loads(without_capabilities(body))
    assert seen["parent"] == ["EACCES", "EACCES"]


def test_agents_are_closed() -> None:
    """An agent that waits for its next question can be opened by nobody of its user."""

    def body(_: Path) -> bool:
        server = Server(local.AGENT)
        assert b"error" in server.ask('{"number": 1}', 60)
        try:
            Path(f"/proc/{server.pid}/fd/0").readlink()
        except PermissionError:
            return True
        finally:
            server.close()
        return False

    assert without_capabilities(body)


def test_a_limit_is_never_raised() -> None:
    """Where the agent has less than the request asks for, the target has no more."""

    def body() -> bool:
        resource.setrlimit(resource.RLIMIT_NPROC, (7, 9))
        isolation.limit(LIMITS)
        return resource.getrlimit(resource.RLIMIT_NPROC) == (9, 9)

    assert in_child(body)


def test_a_process_that_is_closed_can_make_walls() -> None:
    """The files of a user namespace are root's for one that is not dumpable: it opens itself."""
    if Isolation.USER not in WORKING:
        pytest.skip("the kernel permits no user namespaces")

    def body() -> bool:
        if os.geteuid() == 0:
            # Root may write root's files.
            os.setresgid(4242, 4242, 4242)
            os.setresuid(4242, 4242, 4242)
        forbid_dumping()
        isolation.enter(Isolation.USER)
        return True

    assert in_child(body)


@pytest.mark.parametrize("found", Isolation)
def test_what_a_target_can_reach_is_said(found: Isolation) -> None:
    """Behind walls nothing; without, a verdict can say what it rests on."""
    assert bool(found.reachable) is (found is Isolation.PLAIN)
    for word in ("signals", "results", "modules", "network"):
        assert (word in found.reachable) is (found is Isolation.PLAIN)


def test_numbers_are_fresh() -> None:
    """No two questions have the same."""
    assert len({numbered({})["number"] for _ in range(50)}) == 50


@pytest.mark.skipif(Isolation.NAMESPACES not in WORKING, reason="no namespaces can be made here")
def test_a_root_that_nobody_else_enters_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount over "/" would cover nothing, and no target could execute anything below it."""
    monkeypatch.setattr(isolation, "_is_closed", lambda path: path == Path("/"))
    place = LocalPlace()
    request = request_for(place.layout(), Path("/bin/true"), "file", Effect.READ)
    seen = run_isolated(request, request.runs[0], Isolation.NAMESPACES)
    place.close()
    assert seen.outcome is Outcome.BROKEN
    assert "others may not enter it" in seen.detail
