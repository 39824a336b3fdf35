"""The policies that come with the enforcer: benign use of each program, and one typical misuse."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from enforcer.cli import cli
from enforcer.mechanisms.ptrace import MECHANISM
from enforcer.policy.directory import shipped, shipped_names
from enforcer.policy.load import load_policies

pytestmark = pytest.mark.skipif(bool(MECHANISM.probe()), reason=f"ptrace: {MECHANISM.probe()}")

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
HOME = pwd.getpwuid(os.getuid()).pw_dir
"""Where programs look that do not go by the environment."""

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
SECRET = "secret text"

FILES = {
    "data": "content\n",
    "d/one": "1\n",
    "hook": "#!/bin/sh\necho ran\n",
    ".ssh/id_ed25519": SECRET,
}

Case = tuple[Sequence[str], str, Sequence[str], str]

CASES: dict[str, Case] = {
    "ls": (("ls", "-l", "."), "data", ("ls", ".ssh"), "Permission denied"),
    "cat": (("cat", "data"), "content", ("cat", ".ssh/id_ed25519"), "Permission denied"),
    "gzip": (("gzip", "-kv", "data"), "data.gz", ("gzip", "-k", "../outside"), "not permitted"),
    "tar": (
        ("tar", "-czvf", "d.tgz", "d"),
        "d/one",
        ("tar", "-xf", "plain.tar", "--to-command=id"),
        "Cannot exec",
    ),
    "sh": (
        ("sh", "-c", "cat data; echo x > new && rm new"),
        "content",
        ("sh", "-c", "echo x >> /dev/shm/outside"),
        "cannot create",
    ),
    "python3": (
        ("/usr/bin/python3", "-c", "import json; print(json.dumps(open('data').read()))"),
        "content",
        ("/usr/bin/python3", "-c", "import subprocess; subprocess.run(['id'])"),
        "PermissionError",
    ),
    "sqlite3": (
        ("sqlite3", "new.db", "create table t(a); insert into t values('row'); select * from t"),
        "row",
        ("sqlite3", "new.db", ".shell id"),
        "System command returns",
    ),
    "git": (
        (*GIT, "-C", "repository", "log", "--format=%s"),
        "first",
        (*GIT, "-C", "repository", "commit", "-q", "--allow-empty", "-m", "second"),
        "cannot exec '.git/hooks/pre-commit'",
    ),
    "ssh": (
        ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "127.0.0.1", "true"),
        "127.0.0.1",
        ("ssh", "-o", "ProxyCommand=id", "127.0.0.1"),
        "fork failed",
    ),
    "curl": (
        ("curl", "-sS", "http://127.0.0.1:PORT/"),
        "served",
        ("curl", "-sS", "file:///etc/passwd", "http://127.0.0.1:22/"),
        "Couldn't connect",
    ),
}
"""The command, a word of what it says, a misuse, a word of its failure."""

SERVERS = {
    "nginx": """
        ENFORCER -p nginx -- nginx -g 'daemon off;' & server=$!
        for i in $(seq 600); do curl -s http://127.0.0.1/ && break; sleep 0.05; done
        curl -s http://127.0.0.1/leak
        kill -QUIT $server; wait $server""",
    "redis-server": """
        ENFORCER -p redis-server -- redis-server --port 6379 --dir . --save '' \\
            --enable-protected-configs yes > redis.log & server=$!
        for i in $(seq 600); do redis-cli ping 2>&1 | grep PONG && break; sleep 0.05; done
        redis-cli save
        redis-cli config set dir /run
        redis-cli save
        kill $server; wait $server""",
    "sshd": """
        ENFORCER -p sshd -- /usr/sbin/sshd -D -e 2> sshd.log & server=$!
        for i in $(seq 600); do
            ssh-keyscan -t ed25519 127.0.0.1 2> /dev/null | grep -q ed25519 && break; sleep 0.05
        done
        ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=known \\
            -i /run/keys/own 127.0.0.1 'echo logged in; cat /etc/machine-id; echo x > /etc/misuse'
        kill $server; wait $server""",
}
PREPARED = """
    umask 022
    ip link set lo up
    for place in /run /var/log /var/lib/nginx /var/www /etc/ssh; do mount -t tmpfs none $place; done
    mkdir -p /var/log/nginx /run/sshd /run/keys /var/www/html
    echo page > /var/www/html/index.html
    ln -s /etc/shadow /var/www/html/leak
    chmod 755 /var/www /var/www/html
    if command -v ssh-keygen > /dev/null; then
        for name in /etc/ssh/host /run/keys/own; do
            ssh-keygen -q -t ed25519 -N '' -f $name
        done
        cp /run/keys/own.pub /run/keys/authorized_keys
        printf '%s\\n' 'HostKey /etc/ssh/host' 'PermitRootLogin yes' 'StrictModes no' \\
            'AuthorizedKeysFile /run/keys/authorized_keys' 'UsePAM no' > /etc/ssh/sshd_config
    fi
"""
"""A network of one's own, and directories of the system's that are nobody else's."""

REFUSED = {
    "nginx": re.compile('openat .*"/etc/shadow".*'),
    "redis-server": re.compile('openat .*"/run/temp-.*'),
    "sshd": re.compile('openat .*"/etc/misuse".*'),
}
SAID = {"nginx": "page\n", "redis-server": "PONG\nOK\nOK\nERR\n", "sshd": "logged in\n"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to work in, with a repository whose hook is not to run, and one file beside."""
    around = tmp_path_factory.mktemp("shipped")
    (around / "outside").write_text("outside\n")
    inside = around / "inside"
    for name, text in FILES.items():
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text(text)
    (inside / ".ssh").chmod(0o700)
    subprocess.run(["tar", "-cf", "plain.tar", "d"], cwd=inside, check=True)
    if shutil.which("git"):
        repository = inside / "repository"
        subprocess.run(["git", "init", "-q", repository], check=True)
        subprocess.run(
            [*GIT, "-C", repository, "commit", "-q", "--allow-empty", "-m", "first"], check=True
        )
        hook = repository / ".git" / "hooks" / "pre-commit"
        shutil.copy(inside / "hook", hook)
        hook.chmod(0o755)
    return inside


def run(name: str, command: Sequence[str], at: Path) -> tuple[str, list[str]]:
    """What a command says under the shipped policy `name`, and what was refused."""
    log, said = at.parent / "log", at.parent / "said"
    log.unlink(missing_ok=True)
    child = os.fork()  # an interpreter that has loaded all of it: a second less for each
    if child == 0:
        try:
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor, file in (
                (0, os.open(os.devnull, os.O_RDONLY)),
                (1, output),
                (2, output),
            ):
                os.dup2(file, descriptor)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            os.chdir(at)
            os.environ.clear()
            os.environ.update({"PATH": PATH, "HOME": HOME, "LC_ALL": "C"})
            cli(["run", "-p", name, "--log", str(log), "--", *command], prog_name="enforcer")
        finally:
            os._exit(70)
    os.waitpid(child, 0)
    return said.read_text(), refusals(log) if log.exists() else []


def refusals(log: Path) -> list[str]:
    """The decisions of a log: call, and texts."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    decisions = (event for event in events if event["event"] == "decision")
    return [f"{each['call']} {json.dumps(each['values'])}" for each in decisions]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_program_does_its_work_and_not_more(place: Path, name: str) -> None:
    """Nothing is refused in benign use; the misuse fails, and is logged."""
    if not Path(load_policies(shipped(name) or place)[0].binary or "").exists():
        pytest.skip(f"{name} is not installed")
    benign, said, misuse, failure = CASES[name]
    with Server() if name == "curl" else nullcontext() as server:
        words = [word.replace("PORT", str(server and server.port)) for word in benign]
        text, refused = run(name, words, place)
    assert said in text
    assert refused == []
    text, refused = run(name, misuse, place)
    assert failure in text
    assert SECRET not in text
    assert refused


class Server:
    """Answers http on one of the ports that curl may reach."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Server:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in (8000, 8080, 8443):
            try:
                self.socket.bind(("127.0.0.1", port))
            except OSError:
                continue
            self.port = port
            break
        self.socket.listen()
        script = (
            "import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); c,_=s.accept();"
            "c.recv(4096); c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nserved\\n')"
        )
        descriptor = self.socket.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(descriptor)], pass_fds=[descriptor]
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and port 80")
@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_serves_and_does_not_more(tmp_path: Path, name: str) -> None:
    """In a network of its own: it serves; what leads elsewhere fails, and is logged."""
    binary = load_policies(shipped(name) or tmp_path)[0].binary
    if not Path(binary or "").exists() or not shutil.which("ip"):
        pytest.skip(f"{name}, or ip, is not installed")
    enforcer = f"'{sys.executable}' -m enforcer run --log log"
    script = textwrap.dedent(PREPARED + SERVERS[name]).replace("ENFORCER", enforcer)
    done = subprocess.run(
        ["unshare", "-mn", "bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": PATH, "HOME": HOME, "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = "\n".join(
        line.split(" ")[0] if "ERR" in line else line for line in done.stdout.split("\n")
    )
    assert said.replace("\n\n", "\n").startswith(SAID[name]), done.stderr
    assert any(REFUSED[name].fullmatch(each) for each in refusals(tmp_path / "log"))


def test_every_shipped_policy_has_its_case() -> None:
    """And twelve programs have one."""
    assert set(shipped_names()) == {*CASES, *SERVERS}
    assert len(shipped_names()) >= 12


def test_a_file_comes_before_a_shipped_policy_and_a_directory_does_not(tmp_path: Path) -> None:
    """`-p cat` is the file `cat`, where there is one."""
    inside = tmp_path / "inside"
    (inside / "sh").mkdir(parents=True)
    assert run("sh", ("sh", "-c", "echo own"), inside)[0] == "own\n"
    (inside / "cat").write_text("default: deny\nrules:\n  - permit: nonsense\n")
    assert "nonsense" in run("cat", ("true",), inside)[0]
