"""`enforcer ask` as a person uses it, under both mechanisms that can ask."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from enforcer.asking.console import Console
from enforcer.asking.overview import Overview, folded, lines
from enforcer.asking.supervisors import Supervisor, Unreachable, sockets
from enforcer.supervision.peers import socket_directory
from harness import process
from tests.asking.people import Running, ask, running

BOTH = ("ptrace", "notify")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace")

ASKS = """
default: permit
rules:
  - ask: openat
    when: filename match "PLACE/?"
"""
LOOKS = """
import os, sys
for name in sys.argv[1:]:
    try:
        os.close(os.open(name, os.O_RDONLY))
        said = "opened"
    except OSError as error:
        said = str(error.errno)
    os.write(1, f"{said}\\n".encode())
"""


ORPHAN = """
reads, writes = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(writes)
        os.close(os.open("/dev/null", os.O_RDONLY))
        os.write(1, b"orphan\\n")
        os.read(reads, 1)
    os._exit(0)
os.wait()
"""
"""A process whose parent has ended, until the one that began it all ends."""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sockets of these tests alone, in a directory whose name leaves room for theirs."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    with tempfile.TemporaryDirectory() as place:
        monkeypatch.setenv("XDG_RUNTIME_DIR", place)
        yield Path(place)


def policy(place: Path) -> Path:
    file = place / "policy.yaml"
    file.write_text(ASKS.replace("PLACE", str(place)))
    return file


def opens(place: Path, *names: str) -> list[str]:
    return [sys.executable, "-c", LOOKS, *(str(place / name) for name in names)]


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize(
    ("typed", "said", "status"),
    [
        ("permit\ndeny[ENOENT]\npermit\n", ["opened", "2", "opened"], 0),
        ("always 2\n", ["opened"] * 3, 0),
        ("detach\n", ["opened"] * 3, 0),
        ("never[EACCES] 2\n", ["13"] * 3, 0),
        ("nonsense\nhelp\ndeny\npermit: openat\n", ["1", "opened", "opened"], 0),
        ("permit\n", ["opened", "1", "1"], 0),
        ("permit\nquit\n", ["opened", "1", "1"], 0),
        ("kill\n", [], 128 + 9),
    ],
    ids=["once", "always", "detach", "never", "typed", "ended", "quit", "kill"],
)
def test_answers_decide(
    backend: str, typed: str, said: list[str], status: int, tmp_path: Path
) -> None:
    """Each answer by a pipe has its effect; after the last, what is asked is denied."""
    ran = ask(
        ["-b", backend, "--policy", policy(tmp_path), "--", *opens(tmp_path, "a", "b", "c")], typed
    )
    assert (ran.stdout.split(), ran.status) == (said, status), ran.stderr


@pytest.mark.parametrize("backend", BOTH)
def test_the_question_says_all_that_matters(backend: str, tmp_path: Path) -> None:
    """Program, process, call, arguments, policy, rule, how often, and what answers would permit."""
    file = policy(tmp_path)
    ran = ask(
        ["-b", backend, "--policy", file, "--", *opens(tmp_path, "a", "b")], "permit\npermit\n"
    )
    first, _, second = ran.stderr.partition("permit this once")
    for words in (
        f"filename: {tmp_path}/a",
        "oflags: ro",
        f"policy: {file} (rule 1)",
        "]: openat?\n",
        "1) this file alone, for reading",
        f"2) everything beneath {tmp_path}, for reading",
        "every openat of this program",
    ):
        assert words in first
    assert "asked once before" in second


@pytest.mark.parametrize("backend", BOTH)
def test_answers_for_good_are_written_when_asked(backend: str, tmp_path: Path) -> None:
    """`save` writes a policy that loads; nothing is written without it."""
    saved = tmp_path / "saved.yaml"
    typed = f"always 1\nsave {saved}\nalways 1\n"
    ran = ask(
        ["-b", backend, "--policy", policy(tmp_path), "--", *opens(tmp_path, "a", "b")], typed
    )
    assert ran.stdout.split() == ["opened", "opened"], ran.stderr
    assert f'filename eq "{tmp_path}/a"' in saved.read_text()
    checked = process.run([sys.executable, "-m", "enforcer", "check", str(saved)])
    assert checked.status == 0, checked.stderr


@pytest.mark.parametrize("backend", BOTH)
def test_answers_for_good_that_nobody_saved_are_shown(backend: str, tmp_path: Path) -> None:
    """As a policy, when the command has ended, also if it ended by the answer; not once saved."""
    file = policy(tmp_path)
    words = ("-b", backend, "--policy", file, "--")
    shown = ask([*words, *opens(tmp_path, "a")], "always 1\n").stderr.partition("in no file")[2]
    assert f'when: filename eq "{tmp_path}/a"' in shown
    said = ask(
        [*words, *opens(tmp_path, "a", "b")], f"always 1\nsave {tmp_path}/saved.yaml\npermit\n"
    ).stderr
    assert "written: " in said
    assert "in no file" not in said


def test_a_question_that_comes_meanwhile_is_kept() -> None:
    """What else a supervisor says while it is asked for something is heard too."""
    ours, theirs = socket.socketpair()
    supervisor = Supervisor.__new__(Supervisor)
    supervisor.pid, supervisor._socket, supervisor._read = 1, ours, bytearray()
    heard: list[object] = []
    with ours, theirs:
        theirs.send(b'{"question": {"id": 1}}\n{"rules": []}\n{"closed": 1}\n')
        assert supervisor.ask_for("rules", heard.append) == []
    assert heard == [{"question": {"id": 1}}, {"closed": 1}]


def test_refusals_that_are_alike_are_one_line_and_fold() -> None:
    """The last ones with their number, whole in any width."""
    event = {
        **{"action": "deny", "would_be": None, "call": "open", "values": {"filename": ["/a/b c"]}},
        **{
            "program": "/bin/x",
            "pid": 7,
            "tid": 7,
            "rule": 1,
            "file": "p",
            "line": 3,
            "reason": "",
        },
    }
    others = [{**event, "pid": 8}, event]
    now = Overview({1: {"refusals": [event, event, *others]}}, ())
    shown = [line for line in lines(now) if "denied" in line]
    assert shown == [
        "  denied: open /a/b c by x[7]: rule 1, p:3 (2 times)",
        "  denied: open /a/b c by x[8]: rule 1, p:3",
        "  denied: open /a/b c by x[7]: rule 1, p:3",
    ]
    narrow = list(folded(shown[:1], 20))
    assert max(map(len, narrow)) <= 20
    assert " ".join(" ".join(narrow).split()) == shown[0].strip()


@pytest.mark.parametrize("backend", BOTH)
def test_nobody_in_time_is_a_refusal(backend: str, tmp_path: Path) -> None:
    """A console that says nothing: the question ends by itself, with EPERM, and says so."""
    options: list[str | Path] = ["-b", backend, "--timeout", "0.5"]
    options += ["--policy", policy(tmp_path), "--", *opens(tmp_path, "a")]
    with running(["ask", *options], gives=True) as asking:
        assert asking.wait() == 0
        assert asking.read() == "1\n"
        assert "too late: denied" in asking.errors()


PAIR = """
import os, sys, threading
def waits():
    try:
        os.open(sys.argv[1], os.O_RDONLY)
        print("permitted", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
thread = threading.Thread(target=waits)
thread.start()
if os.fork() == 0:
    print("child goes on", flush=True)
    os._exit(0)
os.wait()
for _ in range(20):
    os.stat("/")
    os.close(os.open("/", os.O_RDONLY))
print("leader goes on", flush=True)
thread.join()
"""


@contextmanager
def asked(backend: str, place: Path, script: str = LOOKS) -> Iterator[tuple[Running, Console]]:
    """A command under `run` with a console that attends to its supervisor."""
    command = [sys.executable, "-c", script, str(place / "a")]
    options: list[str | Path] = ["ask", "-b", backend, "--policy", policy(place), "--", *command]
    console = Console(socket_directory())
    with running(options, gives=True) as started:
        yield started, console
    console.close()


def first_question(console: Console) -> Supervisor:
    """The one supervisor, of which the console has heard a question."""
    console.scan()
    (supervisor,) = console.supervisors.values()
    while not console.questions:
        console.receive(supervisor)
    return supervisor


@pytest.mark.parametrize("backend", BOTH)
def test_who_waits_for_an_answer_waits_alone(backend: str, tmp_path: Path) -> None:
    """A thread's question stands while its siblings, and new processes, go on."""
    with asked(backend, tmp_path, PAIR) as (started, _):
        assert started.line() == "child goes on\n"
        assert started.line() == "leader goes on\n"
        started.type("permit\n")
        assert started.line() == "permitted\n"
        assert started.wait() == 0


@pytest.mark.parametrize("backend", BOTH)
def test_a_second_console_watches(backend: str, tmp_path: Path) -> None:
    """It sees the question, and its answer is refused."""
    with asked(backend, tmp_path) as (started, second):
        started.error_until("answer")
        supervisor = first_question(second)
        assert "watches" in second.notices[0]
        second.answer("permit")
        while len(second.notices) < 2:
            second.receive(supervisor)
        assert "another console answers" in second.notices[1]
        started.type("deny[ENOENT]\n")
        assert started.line() == "2\n"


@pytest.mark.parametrize("backend", BOTH)
def test_a_console_comes_to_a_running_supervisor(backend: str, tmp_path: Path) -> None:
    """`run` denies while nobody is there; `ask -p PID` answers from then on."""
    script = "import os, sys\ninput()\n" + LOOKS
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    options: list[str | Path] = ["run", "-b", backend, "--policy", policy(tmp_path), "--", *command]
    with running(options, gives=True) as target:
        (path,) = target.until(lambda: sockets(socket_directory()))
        with running(["ask", "-p", path.stem], gives=True) as console:
            target.until(lambda: has_console(path))
            target.type("\n")
            console.line_with("filename")
            console.type("permit\n")
            assert target.line() == "opened\n"
            assert target.wait() == 0
            assert console.wait() == 0


def test_one_console_serves_many_supervisors(tmp_path: Path) -> None:
    """As xsystrace did (-C): each question names its supervisor, and each is answered."""
    script = "import os, sys\ninput()\n" + LOOKS
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    options: list[str | Path] = ["run", "--policy", policy(tmp_path), "--", *command]
    with running(options, gives=True) as one, running(options, gives=True) as other:
        paths = one.until(lambda: len(found := sockets(socket_directory())) == 2 and found)
        assert paths
        with running(["ask"], gives=True) as console:
            one.until(lambda: all(map(has_console, paths)))
            for target, answer, told in (
                (one, "permit", "opened\n"),
                (other, "deny[ENOENT]", "2\n"),
            ):
                target.type("\n")
                console.line_with("filename")
                console.type(f"{answer}\n")
                assert target.line() == told
                assert target.wait() == 0


def has_console(path: Path) -> bool:
    supervisor = Supervisor(path)
    try:
        status = supervisor.ask_for("status")
        return isinstance(status, dict) and bool(status["console"])
    finally:
        supervisor.close()


@pytest.mark.parametrize("backend", BOTH)
def test_a_console_that_is_killed_denies(backend: str, tmp_path: Path) -> None:
    """kill -9 of the console: what stands and what comes is refused, and the target goes on."""
    script = "import os, sys\ninput()\n" + LOOKS
    command = [sys.executable, "-c", script, str(tmp_path / "a"), str(tmp_path / "b")]
    options: list[str | Path] = ["run", "-b", backend, "--policy", policy(tmp_path), "--", *command]
    with running(options, gives=True) as target:
        (path,) = target.until(lambda: sockets(socket_directory()))
        with running(["ask", "-p", path.stem], gives=True) as console:
            target.until(lambda: has_console(path))
            target.type("\n")
            console.line_with("filename")
        assert target.line() == "1\n"
        assert target.line() == "1\n"
        assert target.wait() == 0


ANSWERS_ITSELF = """
import json, os, pathlib, socket, sys, threading
place = pathlib.Path(sys.argv[2])
def answers():
    for path in place.glob("*.sock"):
        if os.fork() == 0:
            end = socket.socket(socket.AF_UNIX)
            end.connect(str(path))
            threading.Timer(5, os._exit, (0,)).start()  # one that is let in hears nothing unasked
            print(json.loads(end.recv(65536)), flush=True)
            os._exit(0)
    os.wait()
    print("done", flush=True)
thread = threading.Thread(target=answers)
thread.start()
try:
    os.open(sys.argv[1], os.O_RDONLY)
    print("permitted")
except OSError as error:
    print(error.errno)
thread.join()
"""


@pytest.mark.parametrize("backend", BOTH)
def test_the_target_cannot_answer_its_own_question(
    backend: str, tmp_path: Path, runtime: Path
) -> None:
    """Of the same user, by the same socket, from a child: it is known by what confines it."""
    command = [sys.executable, "-c", ANSWERS_ITSELF, str(tmp_path / "a"), str(runtime / "enforcer")]
    options: list[str | Path] = ["ask", "-b", backend, "--policy", policy(tmp_path), "--", *command]
    with running(options, gives=True) as started:
        assert started.line() == "{'refused': 'a process that is confined itself'}\n"
        assert started.line() == "done\n"
        started.type("deny[ENOENT]\n")
        assert started.line() == "2\n"


@pytest.mark.parametrize("backend", BOTH)
def test_a_target_that_is_killed_asks_no_more(backend: str, tmp_path: Path) -> None:
    """Its question is taken back, and the supervisor ends with it."""
    with asked(backend, tmp_path) as (started, console):
        started.error_until("answer")
        supervisor = first_question(console)
        os.kill(int(str(console.questions[0].fields["pid"])), 9)
        while console.supervisors:
            console.receive(supervisor)
        assert not console.questions
        assert started.wait() == 128 + 9


@pytest.mark.parametrize("backend", BOTH)
def test_status_shows_what_runs(backend: str, tmp_path: Path) -> None:
    """Processes, policy, counts and the last refusal, from another terminal; then nothing.

    Who made one of the processes has ended: it is shown still.
    """
    file = tmp_path / "policy.yaml"
    file.write_text(
        'default: permit\nrules:\n  - deny: openat\n    when: filename eq "/etc/shadow"\n'
    )
    script = LOOKS + ORPHAN + "os.write(1, b'ready\\n')\ninput()\n"
    command = [sys.executable, "-c", script, "/etc/shadow"]
    options: list[str | Path] = [
        "run",
        "-b",
        backend,
        "--policy",
        tmp_path / "policy.yaml",
        "--",
        *command,
    ]
    with running(options, gives=True) as target:
        assert target.line() == "1\n"
        assert sorted((target.line(), target.line())) == ["orphan\n", "ready\n"]
        for verb in (["status"], ["top", "-n", "2", "-d", "0.1"]):
            shown = process.run([sys.executable, "-m", "enforcer", *verb]).stdout
            assert f"{backend}, {file}; nobody answers" in shown
            assert " 1 refusals" in shown
            assert shown.count(f"{Path(sys.executable).resolve().name} (parent") >= 2
            assert "denied: openat /etc/shadow by" in shown
        target.type("\n")
        assert target.wait() == 0
    target.until(lambda: not sockets(socket_directory()))
    said = process.run([sys.executable, "-m", "enforcer", "status"]).stdout
    assert said == "no supervisor is running\n"


def test_a_directory_of_others_holds_no_sockets(tmp_path: Path, runtime: Path) -> None:
    """Where somebody else can write, a socket could be anybody's."""
    (runtime / "enforcer").mkdir(mode=0o755)
    ran = process.run([sys.executable, "-m", "enforcer", "status"])
    assert ran.status == 2
    assert "yours alone" in ran.stderr


@needs_root
def test_equal_numbers_of_two_pid_namespaces_have_a_socket_each(
    runtime: Path, tmp_path: Path
) -> None:
    """Containers may share a directory for sockets, and give their processes the same numbers."""
    policed = ("-b", "ptrace", "-p", policy(tmp_path))
    words = ("run", *policed, "--", "sh", "-c", "echo there; read line")
    apart = ("unshare", "-pf", "--mount-proc", "--kill-child=KILL")
    with ExitStack() as both:
        for _ in "ab":
            target = both.enter_context(running(words, gives=True, by=apart))
            assert target.line() == "there\n"
        assert not list((runtime / "enforcer").glob("*.sock"))
        found = list((runtime / "enforcer").glob("*/*.sock"))
        assert len({path.parent for path in found}) == 2
        for path in found:
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(str(path))


def test_a_socket_left_behind_is_swept(runtime: Path) -> None:
    """Of a supervisor that was killed: it is said to be gone, and its socket is."""
    place = socket_directory() / "1.sock"
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(place))
    with pytest.raises(Unreachable, match="gone"):
        Supervisor(place)
    assert not place.exists()
