"""What a supervisor's log says: how many calls it judged, and whom it kills for which call."""

from __future__ import annotations

import sys
from errno import EACCES, EFAULT, ENOSYS, ENOTTY, EPERM
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.arch import native
from enforcer.cli.explain import explain
from enforcer.syscalls import ALIASES, names, number
from harness import process
from tests.mechanisms.sandbox import Ran, run

SUPERVISED = ("ptrace", "notify")
PYTHON = sys.executable
ROUNDS = 40
NAMES_JUDGED = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename eq "{directory}/secret"
"""
REPEATED = """
import os, sys
for _ in range(int(sys.argv[1])):
    try:
        os.close(os.open(sys.argv[2], os.O_RDONLY))
    except OSError:
        pass
"""


def _judged(ran: Ran) -> dict[str, int]:
    (end,) = (event for event in ran.events if event["event"] == "end")
    judged = end["judged"]
    assert isinstance(judged, dict)
    return judged


@pytest.mark.parametrize("backend", SUPERVISED)
@pytest.mark.parametrize("name", ["{d}/file", "file", "link", "missing", "secret", "/proc/self/fd"])
def test_every_held_call_is_counted_once(tmp_path: Path, name: str, backend: str) -> None:
    """However many rounds a call takes in the supervisor, quick or by steps, it counts as one."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "secret").write_text("content")
    (tmp_path / "link").symlink_to("file")
    policy = NAMES_JUDGED.format(directory=tmp_path)
    counts = []
    for rounds in (0, ROUNDS):
        command = [sys.executable, "-S", "-c", REPEATED, str(rounds), name.format(d=tmp_path)]
        ran = run(backend, policy, command, tmp_path)
        assert ran.status == 0, ran.stderr
        counts.append(_judged(ran)["openat"])
    assert counts[1] - counts[0] == ROUNDS


@pytest.mark.parametrize("backend", SUPERVISED)
@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("  - kill: getppid\n", "getppid"),
        ("  - kill: kill\n    when: arg[1]:32 == 0\n", "kill"),
        ('  - kill: fsread\n    when: filename eq "{directory}/secret"\n', "openat"),
        ('  - kill: connect\n    when: sockaddr sub "192.0.2.1"\n', "connect"),
    ],
    ids=["plain", "register", "name", "address"],
)
def test_a_kill_names_its_call(tmp_path: Path, rule: str, call: str, backend: str) -> None:
    """A killed target's log has the kill, also where registers alone decide it."""
    (tmp_path / "secret").write_text("content")
    text = f"""
import os, socket
print("before", flush=True)
{{
    "getppid": os.getppid,
    "kill": lambda: os.kill(os.getpid(), 0),
    "openat": lambda: os.open("secret", os.O_RDONLY),
    "connect": lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 80)),
}}["{call}"]()
print("after")
"""
    policy = "default: permit\nrules:\n" + rule.format(directory=tmp_path)
    ran = run(backend, policy, [sys.executable, "-S", "-c", text], tmp_path)
    assert (ran.status, ran.stdout) == (-9, "before\n"), ran.stderr
    assert ran.decisions() == [("kill", call)]


@pytest.mark.parametrize("backend", SUPERVISED)
def test_the_launcher_is_not_the_policys(tmp_path: Path, backend: str) -> None:
    """A policy that kills by default begins with the command, not with what starts it."""
    ran = run(backend, "default: kill\nrules:\n  - permit: execve\n", ["/bin/true"], tmp_path)
    assert ran.status == -9, ran.stderr
    assert [action for action, _ in ran.decisions()] == ["kill"]


REFUSING = """
default: deny[enotty]
rules:
  - permit: [{permitted}]
  - deny[eperm]: connect
    when: sockaddr sub "192.0.2.1"
  - deny[eacces]: mkdir

  - deny: fsread
    when: filename eq "{directory}/secret"
  - permit: [fsread, fswrite]
"""
PERMITTED = ", ".join(
    sorted(names() - {"connect", "mkdir", "getpgid", *ALIASES["fsread"], *ALIASES["fswrite"]})
)
REFUSALS = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
what = sys.argv[1]
{
    "connect": lambda: socket.socket(type=socket.SOCK_DGRAM).connect_ex(("192.0.2.1", 80)),
    "mkdir": lambda: libc.mkdir(b"new", 0o750),
    "openat": lambda: libc.openat(-100, b"./secret", 0),
    "getpgid": lambda: libc.getpgid(0),
    "syscall": lambda: libc.syscall(498, 1, 2),
    "unreadable": lambda: libc.syscall(%d, -100, 8, 0),
}[what]()
"""


def _refused(backend: str, what: str, directory: Path) -> list[dict[str, object]]:
    (directory / "secret").write_text("content")
    policy = REFUSING.format(permitted=PERMITTED, directory=directory)
    text = REFUSALS % (number("x86_64", "openat") or 0)
    command = [PYTHON, "-S", "-c", text, what]
    ran = run(backend, policy, command, directory)
    assert ran.status == 0, ran.stderr
    return [dict(event) for event in ran.events if event["event"] == "decision"]


@pytest.mark.skipif(native().abis[0].name != "x86_64", reason="numbers of x86_64")
@pytest.mark.parametrize("backend", SUPERVISED)
@pytest.mark.parametrize(
    ("what", "call", "errno", "rule", "line", "values"),
    [
        ("connect", "connect", EPERM, 2, 5, {"sockaddr": ["inet-[192.0.2.1]:80"]}),
        ("mkdir", "mkdir", EACCES, 3, 7, {"filename": ["{d}/new"], "mode": ["750"]}),
        ("openat", "openat", EPERM, 4, 9, {"filename": ["{d}/secret"], "oflags": ["ro"]}),
        ("getpgid", "getpgid", ENOTTY, None, None, {"pidname": ["0"]}),
        ("syscall", "498", ENOSYS, None, None, {}),
        ("unreadable", "openat", EFAULT, None, None, {"filename": [None]}),
    ],
)
def test_every_refusal_is_an_event(
    tmp_path: Path,
    backend: str,
    what: str,
    call: str,
    errno: int,
    rule: int | None,
    line: int | None,
    values: dict[str, list[str | None]],
) -> None:
    """Of a rule, of the default, of the mechanism: with call, texts, rule as in the file, caller.

    Also where registers decide, and where no rule looked at the text that is shown.
    """
    (event,) = (each for each in _refused(backend, what, tmp_path) if each["call"] == call)
    shown = {key: [text and text.format(d=tmp_path) for text in values[key]] for key in values}
    assert event["mechanism"] == backend
    assert (event["action"], event["errno"]) == ("deny", errno)
    assert (event["rule"], event["line"]) == (rule, line)
    assert (event["file"], event["policy"]) == (str(tmp_path / "policy.yaml"),) * 2
    found = event["values"]
    assert isinstance(found, dict)
    assert {key: found.get(key) for key in shown} == shown
    assert Path(str(event["program"])).name.startswith("python")
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    assert event["reason"] or rule is not None


@pytest.mark.parametrize("backend", SUPERVISED)
def test_who_aims_at_the_supervisor_is_in_the_log(tmp_path: Path, backend: str) -> None:
    """A signal to the supervisor by its number is refused, and an event says why."""
    text = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{pid}/comm").read() in ("tracer\\n", "supervisor\\n"):
            os.kill(int(pid), 0)
    except OSError:
        pass
"""
    ran = run(backend, "default: permit\nrules: []\n", [PYTHON, "-S", "-c", text], tmp_path)
    refused = [event for event in ran.events if event.get("reason") == "aimed at the supervisor"]
    assert refused, ran.events
    assert {(event["event"], event["call"], event["errno"]) for event in refused} == {
        ("decision", "kill", EPERM)
    }


@pytest.mark.parametrize("backend", SUPERVISED)
def test_people_get_lines(tmp_path: Path, backend: str) -> None:
    """`--log -` says on standard error what was denied to whom by which rule, one line each.

    What a target named cannot begin a line of its own.
    """
    policy = tmp_path / "git.yaml"
    policy.write_text(
        "default: permit\nrules:\n  - permit: read\n  - deny[eacces]: mkdir\n"
        '  - deny: connect\n    when: sockaddr sub "192.0.2.1"\n'
    )
    text = """
import os, socket
try:
    os.mkdir("a\\ndenied: b")
except OSError:
    pass
print(os.getpid(), socket.socket(type=socket.SOCK_DGRAM).connect_ex(("192.0.2.1", 80)))
"""
    words = [sys.executable, "-m", "enforcer", "run", "--backend", backend, "--policy", policy]
    done = process.run(
        [*map(str, words), "--log", "-", "--", PYTHON, "-S", "-c", text],
        timeout_s=60.0,
        cwd=tmp_path,
    )
    pid, refused = done.stdout.split()
    by = f"by {Path(PYTHON).resolve().name}[{pid}]"
    assert refused == str(EPERM)
    assert done.stderr.splitlines() == [
        f"denied: mkdir {tmp_path}/a\\ndenied: b {by}: rule 2, {policy}:4",
        f"denied: connect 192.0.2.1:80 {by}: rule 3, {policy}:5",
    ]


@pytest.mark.parametrize("backend", SUPERVISED)
def test_the_log_and_explain_name_the_same_rule(tmp_path: Path, backend: str) -> None:
    """Also a rule of a template, which has its number and line in the template's file."""
    (tmp_path / "templates").mkdir()
    template = tmp_path / "templates" / "shared.yaml"
    template.write_text("template: shared\nrules:\n  - permit: read\n  - deny[eacces]: mkdir\n")
    policy = "include: shared\ndefault: permit\nrules:\n  - permit: [close, write]\n"
    text = "import os\ntry:\n    os.mkdir('new')\nexcept OSError:\n    pass\n"
    ran = run(backend, policy, [PYTHON, "-S", "-c", text], tmp_path)
    (event,) = (event for event in ran.events if event["event"] == "decision")
    assert (event["rule"], event["file"], event["line"]) == (2, str(template), 4)
    said = CliRunner().invoke(explain, [str(tmp_path / "policy.yaml"), "mkdir", "/new"])
    assert f"rule {event['rule']} decides" in said.output
    assert f"({event['file']}:{event['line']})" in said.output


@pytest.mark.parametrize("policy", ["default: permit\nrules: []\n", NAMES_JUDGED])
def test_a_tracer_in_the_sandbox_is_refused_with_an_event(tmp_path: Path, policy: str) -> None:
    """Under ptrace nobody can trace: not itself by its parent, nor another by attaching to it."""
    text = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
pid = os.fork()
if pid == 0:
    signal.pause()
for request, whom in ((0, 0), (16, pid), (0x4206, pid)):
    print(libc.ptrace(request, whom, None, None), ctypes.get_errno())
os.kill(pid, 9)
"""
    ran = run("ptrace", policy.format(directory=tmp_path), [PYTHON, "-S", "-c", text], tmp_path)
    assert ran.stdout == f"-1 {EPERM}\n" * 3, ran.stderr
    told = [event for event in ran.events if event["event"] == "decision"]
    assert [(event["call"], event["errno"], event["reason"]) for event in told] == [
        ("ptrace", EPERM, "its tasks are traced already")
    ] * 3


def test_a_call_that_the_mechanism_lacks_is_told(tmp_path: Path) -> None:
    """clone3, whose flags no supervisor can hold, is ENOSYS and an event, not a silent refusal."""
    nr = number(native().abis[0].name, "clone3")
    if nr is None:
        pytest.skip("no clone3 on this architecture")
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({nr}, bytes(64), 64), ctypes.get_errno())"
    )
    ran = run("notify", "default: permit\nrules: []\n", [PYTHON, "-S", "-c", code], tmp_path)
    assert ran.stdout == f"-1 {ENOSYS}\n"
    told = [event for event in ran.events if event.get("call") == "clone3"]
    assert [(event["errno"], event["rule"]) for event in told] == [(ENOSYS, None)]
    assert "memory" in str(told[0]["reason"])
