"""What a supervisor creates for a task has the mode that the task would have given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mechanisms.acting import Acts, run_acts

POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - deny[enotdir]: [fsread, fswrite]
"""

_PREPARED = """
import stat, threading

def made(name):
    os.mkdir(name, 0o777)
    return oct(stat.S_IMODE(os.stat(name).st_mode))

def elsewhere(act):
    if (child := os.fork()) == 0:
        act(), os._exit(0)
    os.waitpid(child, 0)

def in_thread(act):
    thread = threading.Thread(target=act)
    thread.start(), thread.join()
"""

ACTS: Acts = {
    "changed": """
        os.umask(0o22)
        before = made("a")
        os.umask(0o77)
        between = made("b")
        os.umask(0)
        return before, between, made("c")""",
    "changed by a thread": """
        os.umask(0o22)
        before = made("d")
        in_thread(lambda: os.umask(0o77))
        return before, made("e")""",
    "changed by the first thread": """
        os.umask(0o22)
        found = []
        turn, other = threading.Event(), threading.Event()
        def act():
            found.append(made("f"))
            turn.set(), other.wait()
            found.append(made("g"))
        thread = threading.Thread(target=act)
        thread.start(), turn.wait(), os.umask(0o77), other.set(), thread.join()
        return found""",
    "changed by a child": """
        os.umask(0o22)
        before = made("h")
        elsewhere(lambda: os.umask(0o77))
        return before, made("i")""",
    "inherited": """
        os.umask(0o27)
        before = made("j")
        elsewhere(lambda: os.mkdir("k"))
        return before, oct(stat.S_IMODE(os.stat("k").st_mode))""",
}


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_the_umask_is_that_of_the_call(mechanism: str, tmp_path: Path) -> None:
    """Whoever changed it before, and in whichever thread."""
    _, outcomes = run_acts(mechanism, POLICY, ACTS, tmp_path, prelude=_PREPARED)
    assert outcomes == {
        "changed": "('0o755', '0o700', '0o777')",
        "changed by a thread": "('0o755', '0o700')",
        "changed by the first thread": "['0o755', '0o700']",
        "changed by a child": "('0o755', '0o755')",
        "inherited": "('0o750', '0o750')",
    }
