"""Programs under a mechanism of which a test has overridden a part."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from harness import process
from tests.mechanisms.sandbox import Ran

_HEAD = """\
import os, socket, sys
from pathlib import Path
from enforcer.arch import native
from enforcer.call import Action
from enforcer.events import FileLog
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.notify.mechanism import Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.mechanism import Ptrace
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy import load_policies
from enforcer.supervision.memory import write_bytes

place, defences, *command = sys.argv[1:]
place = Path(place)
"""

_TAIL = """
chosen = Options(defences=frozenset(map(Defence, filter(None, defences.split(",")))), partial=True)
plan = MECHANISM.compile(load_policies(place / "policy.yaml"), native().abis, chosen)
descriptor = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
MECHANISM.launch(plan, command, FileLog(descriptor))
"""


def launched(
    classes: str, policy: str, command: Sequence[str | Path], place: Path, defences: str
) -> Ran:
    """Run `command` in `place` under MECHANISM, which the source `classes` defines."""
    (place / "policy.yaml").write_text(policy)
    source = _HEAD + textwrap.dedent(classes) + _TAIL
    words = [sys.executable, "-c", source, str(place), defences, *command]
    done = process.run(words, cwd=place)
    events = tuple(json.loads(line) for line in (place / "log").read_text().splitlines())
    return Ran(done.status, done.stdout, done.stderr, events)
