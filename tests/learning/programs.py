"""Real programs, learned and then run again: minutes, so by `ci/learned` alone.

`--generalise` where their names are others in every run. Under notify the policy is judged with
--partial (execve, chdir), and clone3 is ENOSYS, which the log says. Then each does what it never
did (planted.c), which is to be refused, logged, and shown by `enforcer alarms` within a second.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

ENFORCER = (sys.executable, "-m", "enforcer")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NGINX = """\
user root; daemon off; worker_processes 2; pid nginx.pid; error_log error.log;
events { worker_connections 256; }
http {
    access_log access.log; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
    uwsgi_temp_path t4; scgi_temp_path t5;
    server { listen 127.0.0.1:18080; root www; }
}
"""
SERVED = """
nginx -p "$PWD" -c nginx.conf -e error.log & server=$!
for i in $(seq 1000); do curl -sf http://127.0.0.1:18080/ -o /dev/null && break; done
for client in $(seq 24); do
    curl -s http://127.0.0.1:18080/ &
    clients="$clients $!"
done
wait $clients
kill -QUIT $server; wait $server
"""
SCRIPTS = {
    "nginx": SERVED,
    "git": """
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
        git clone -q origin clone && cd clone && echo x >> file
        git commit -q -a -m two && git log --format=%s | cat; cd ..; rm -rf clone""",
    "pytest": f"{sys.executable} -m pytest -q -p no:cacheprovider --basetemp=made test_it.py",
    "make": "make -s -C project clean all && ./project/program",
    "redis-server": """
        redis-server --port 16379 --dir . --save '' --logfile '' > redis.log & server=$!
        until redis-cli -p 16379 ping 2> /dev/null | grep -q PONG; do :; done
        redis-benchmark -p 16379 -q -n 200 -c 10 -t ping,set,get,lpush > bench.log
        redis-cli -p 16379 save; redis-cli -p 16379 shutdown nosave; wait $server""",
}
SAYS = {
    "nginx": "page\n" * 24,
    "git": "two\none\n",
    "pytest": "1 passed",
    "make": "",
    "redis-server": "OK\n",
}
PREPARED = """
    mkdir -p www project; echo page > www/index.html
    git init -q -b main origin; echo 1 > origin/file; git -C origin add file
    git -C origin -c user.name=a -c user.email=a@b commit -q -m one
    printf 'def test_it(tmp_path):\\n    (tmp_path / "x").write_text("1")\\n' > test_it.py
    printf 'all: program\\nprogram: main.o\\n\\tcc -o $@ $^\\nclean:\\n\\trm -f program *.o\\n' \\
        > project/Makefile
    echo 'int main(void) { return 0; }' > project/main.c
"""


ACTS = {
    "another port is connected to": r"(connect .*\[::1\]:1\b|socket .*AF_INET6)",
    "another port is bound": r"(bind .*:16999|socket .*AF_INET\W.*SOCK_STREAM)",
    "a unix socket": r"(connect .*/planted/socket|socket .*AF_UNIX.*SOCK_DGRAM)",
    "a raw socket": r"socket .*SOCK_RAW",
    "a write beside the data": r"openat .*/planted/beside",
    "chmod": r"fchmodat .*/planted/kept",
    "chown": r"fchownat .*/planted/kept",
    "truncate": r"truncate .*/planted/kept",
    "setxattr": r"setxattr .*/planted/kept",
    "link": r"linkat .*/planted/hard",
    "symlink": r"symlinkat .*/planted/soft",
    "mknod": r"mknodat .*/planted/fifo",
    "mkdir": r"mkdirat .*/planted/sub",
    "rename": r"renameat2 .*/planted/moved",
    "unlink": r"unlinkat .*/planted/kept",
    "/etc/shadow": r"openat .*/etc/shadow",
    "/proc/1": r"openat .*/proc/1/environ",
    "another library": r"openat .*/planted/library.so",
    "kill": r"kill .*SIGKILL",
    "ptrace": r"ptrace ",
    "another's memory": r"process_vm_readv ",
    "mount": r"mount .*/planted/mount",
    "setuid": r"setuid .*65534",
    "unshare": r"unshare ",
    "chroot": r"chroot .*/planted",
    "memory is executed": r"(memfd_create|execveat) ",
    "a shell": r"execve .*/bash",
}
"""What planted.c does, and the refused call by which it is known."""

EXECUTED_AS = {"pytest": "python"}
"""The name of the program in which that is planted, where it is another one."""


def run(at: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a directory; `more` for its environment."""
    environment = {"PATH": PATH, "HOME": str(at), "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [*ENFORCER, *words],
        cwd=at,
        env={**environment, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class Learned:
    """A program that was learned, and the place where it works as it was before."""

    def __init__(self, root: Path, name: str, backend: str, library: Path | None = None) -> None:
        self.root, self.name, self.backend = root, name, backend
        self.place, self.log = root / "place", root / "log"
        self.place.mkdir()
        (self.place / "nginx.conf").write_text(NGINX)
        preload = "" if library is None else f"export LD_PRELOAD={library}\n"
        (self.place / "script").write_text(preload + textwrap.dedent(SCRIPTS[name]))
        subprocess.run(["sh", "-c", PREPARED], cwd=self.place, check=True, env={"PATH": PATH})
        self.place.chmod(0o755)
        root.chmod(0o755)
        shutil.copytree(self.place, root / "as-before", symlinks=True)
        self.is_general = name != "nginx"
        more = ("--generalise",) if self.is_general else ()
        self.policies = root / "policies"
        words = ("learn", "-b", backend, "-d", str(self.policies), *more)
        done = run(self.place, *words, "--", "sh", "script")
        assert SAYS[name] in done.stdout, done.stderr

    def again(self, **environment: str) -> list[dict[str, object]]:
        """Do the same under what was learned: what is in the log but for the start and the end."""
        shutil.rmtree(self.place)
        shutil.copytree(self.root / "as-before", self.place, symlinks=True)
        words = ("-b", self.backend, "-d", str(self.policies), "--partial", "--log", str(self.log))
        done = run(self.place, "run", *words, "--", "sh", "script", **environment)
        assert SAYS[self.name] in done.stdout, done.stderr
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        found = [each for each in events if each["event"] in ("decision", "detection", "policy")]
        return [each for each in found if self.backend == "ptrace" or each.get("call") != "clone3"]


def _need(name: str) -> None:
    if not shutil.which(name, path=f"{PATH}:{Path(sys.executable).parent}"):
        pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_same_again_is_not_refused(tmp_path: Path, name: str, backend: str) -> None:
    """It says the same, and nothing is in the log; nginx serves 24 clients at once."""
    _need(name)
    learned = Learned(tmp_path, name, backend)
    assert learned.again() == []
    if not learned.is_general:
        texts = [path.read_text() for path in learned.policies.iterdir()]
        assert not any(word in text for text in texts for word in (" match ", " sub "))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """planted.c, built."""
    made = tmp_path_factory.mktemp("library") / "planted.so"
    source = Path(__file__).with_name("planted.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source], check=True)
    made.parent.chmod(0o755)
    return made


class Alarms:
    """`enforcer alarms --follow` beside a run, and when each line of it came."""

    def __init__(self, log: Path) -> None:
        log.touch()
        self.process = subprocess.Popen(
            [*ENFORCER, "alarms", "--json", "--follow", log], stdout=subprocess.PIPE, text=True
        )
        self.came: list[tuple[float, dict[str, str]]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.came.append((time.time(), json.loads(line)))

    def stop(self, count: int) -> None:
        """When so many have come, or none comes any more."""
        end = time.monotonic() + 10
        while len(self.came) < count and time.monotonic() < end:
            time.sleep(0.05)
        self.process.terminate()
        self._thread.join()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_what_was_never_seen_is_refused_logged_and_an_alarm(
    tmp_path: Path, library: Path, name: str, backend: str
) -> None:
    """Each act, in the very program; it leaves nothing behind, and the program does its work."""
    _need(name)
    learned = Learned(tmp_path, name, backend, library)
    aim = tmp_path / "planted"
    (aim / "mount").mkdir(parents=True)
    (aim / "kept").write_text("kept\n")
    (aim / "kept").chmod(0o600)
    shutil.copy(library, aim / "library.so")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(aim / "socket"))
        before = sorted(path.name for path in aim.iterdir())
        status = (aim / "kept").stat()
        with subprocess.Popen(["sleep", "600"]) as victim:
            alarms = Alarms(learned.log)
            refused = []
            try:
                refused = learned.again(
                    PLANTED_IN=EXECUTED_AS.get(name, name),
                    PLANTED_AT=str(aim),
                    PLANTED_PID=str(victim.pid),
                )
                assert victim.poll() is None
            finally:
                alarms.stop(len(refused))
                victim.kill()
    assert sorted(path.name for path in aim.iterdir()) == before
    assert (aim / "kept").stat() == status
    told = [f"{each['call']} {json.dumps(each['values'])}" for each in refused]
    assert [act for act, sign in ACTS.items() if not any(map(re.compile(sign).match, told))] == []
    shown = [each for each in alarms.came if each[1]["call"] != "clone3"]
    assert [alarm["call"] for _, alarm in shown] == [each["call"] for each in refused]
    late = [
        came - float(str(event["time"])) for (came, _), event in zip(shown, refused, strict=True)
    ]
    assert max(late) < 1
