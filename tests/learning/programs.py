"""Real programs, learned and then run again: minutes, so by `ci/learned` alone.

`--generalise` where their names are others in every run. Under notify the policy is judged with
--partial (execve, chdir), and clone3 is ENOSYS, which the log says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
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


def run(at: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a directory."""
    return subprocess.run(
        [*ENFORCER, *words],
        cwd=at,
        env={"PATH": PATH, "HOME": str(at), "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_same_again_is_not_refused(tmp_path: Path, name: str, backend: str) -> None:
    """It says the same, and nothing is in the log; nginx serves 24 clients at once."""
    if not shutil.which(name, path=f"{PATH}:{Path(sys.executable).parent}"):
        pytest.skip(f"{name} is not installed")
    place = tmp_path / "place"
    place.mkdir()
    (place / "nginx.conf").write_text(NGINX)
    (place / "script").write_text(textwrap.dedent(SCRIPTS[name]))
    subprocess.run(["sh", "-c", PREPARED], cwd=place, check=True, env={"PATH": PATH})
    place.chmod(0o755)
    tmp_path.chmod(0o755)
    as_before = tmp_path / "as-before"
    shutil.copytree(place, as_before, symlinks=True)
    more = () if name == "nginx" else ("--generalise",)
    policies = str(tmp_path / "policies")
    done = run(place, "learn", "-b", backend, "-d", policies, *more, "--", "sh", "script")
    assert SAYS[name] in done.stdout, done.stderr
    shutil.rmtree(place)
    as_before.rename(place)
    log = tmp_path / "log"
    words = ("-b", backend, "-d", policies, "--partial", "--log", str(log))
    done = run(place, "run", *words, "--", "sh", "script")
    assert SAYS[name] in done.stdout, done.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    refused = [each for each in events if each["event"] in ("decision", "detection", "policy")]
    assert [each for each in refused if backend == "ptrace" or each["call"] != "clone3"] == []
    if not more:
        texts = [path.read_text() for path in Path(policies).iterdir()]
        assert not any(word in text for text in texts for word in (" match ", " sub "))
