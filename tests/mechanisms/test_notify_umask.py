"""The umask that notify takes as given: what makes it another one is noticed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mechanisms.sandbox import run

BY_NAME = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - deny[enoent]: [fsread, fswrite]
"""

MAKING = """
import json, os, threading

made = {}

def make(name):
    os.mkdir(name)
    os.close(os.open(name + "/file", os.O_CREAT | os.O_WRONLY, 0o666))
    made[name] = [oct(os.stat(place).st_mode) for place in (name, name + "/file")]

make("born")
made["the same"] = os.umask(FIRST)
make("as before")
thread = threading.Thread(target=os.umask, args=(0o007,))
thread.start()
thread.join()
make("by a thread")
if os.fork() == 0:
    os.umask(0o077)
    os._exit(0)
os.wait()
make("not by a child")
print(json.dumps(made))
"""


@pytest.fixture(params=[0o022, 0o027], ids=oct)
def first(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask with which the enforcer is started."""
    wanted: int = request.param
    before = os.umask(wanted)
    yield wanted
    os.umask(before)


def test_what_is_made_has_the_modes_that_it_has_bare(first: int, tmp_path: Path) -> None:
    """By the first umask, and after a thread of the caller's has changed that of both."""
    text = MAKING.replace("FIRST", str(first))
    made = []
    for backend in ("none", "notify"):
        place = tmp_path / backend
        place.mkdir()
        done = run(backend, BY_NAME, [sys.executable, "-I", "-S", "-c", text], place)
        made.append(json.loads(done.stdout))
    bare, confined = made
    assert confined == bare
    assert bare["the same"] == first
    assert bare["born"] == bare["as before"] != bare["by a thread"] == bare["not by a child"]
