"""Programs run under a mechanism through the command line, as a user does."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.build import build_source

_LAST_WORD_S = 30.0
"""How long a supervisor may outlive its target."""

PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True)
class Ran:
    """How it ended: exit status (or minus the signal), output and the enforcer's events."""

    status: int
    stdout: str
    stderr: str
    events: tuple[Mapping[str, object], ...]

    def decisions(self) -> list[tuple[object, object]]:
        """Action and call of every decision that was logged."""
        return [(e["action"], e["call"]) for e in self.events if e["event"] == "decision"]

    def decided(self) -> int:
        """How many calls the supervisor judged."""
        return sum(int(str(e["decisions"])) for e in self.events if e["event"] == "end")


def program(name: str, abi: str = "x86_64") -> Path:
    """The C program `name` of programs/, built for `abi`."""
    return build_source(PROGRAMS / f"{name}.c", abi, include=PROGRAMS)


def run(
    backend: str,
    policy: str | Sequence[str],
    command: Sequence[str | Path],
    directory: Path,
    *,
    defences: str = "all",
    options: Sequence[str] = ("--partial",),
    timeout_s: float = 60.0,
) -> Ran:
    """Run `command` in `directory` under `backend`.

    The directory also gets the policies (policy.yaml; policy-0.yaml and so on, where there are
    several; .systrace by their text) and the log.
    """
    log = directory / "events.jsonl"
    log.unlink(missing_ok=True)
    words = [sys.executable, "-m", "enforcer", "run", *options, "--backend", backend]
    for file in _files(policy, directory):
        words += ["--policy", str(file)]
    words += ["--log", str(log), "--defences", defences, "--"]
    done = process.run([*words, *command], timeout_s=timeout_s, cwd=directory)
    _wait_for_end(_events(log))
    return Ran(done.status, done.stdout, done.stderr, _events(log))


def _files(policy: str | Sequence[str], directory: Path) -> list[Path]:
    texts = {"policy": policy} if isinstance(policy, str) else _numbered(policy)
    files = []
    for name, text in texts.items():
        suffix = ".systrace" if text.startswith("Policy:") else ".yaml"
        files.append(directory / f"{name}{suffix}")
        files[-1].write_text(text)
    return files


def _numbered(policies: Sequence[str]) -> dict[str, str]:
    return {f"policy-{number}": text for number, text in enumerate(policies)}


def _events(log: Path) -> tuple[Mapping[str, object], ...]:
    if not log.exists():
        return ()
    whole, _, _ = log.read_text().rpartition("\n")  # a write may be seen in part
    return tuple(json.loads(line) for line in whole.splitlines())


def _wait_for_end(events: Sequence[Mapping[str, object]]) -> None:
    """Return when the supervisor is gone: it has its last word a moment after the target's end."""
    for event in events:
        supervisor = event.get("tracer", event.get("supervisor"))
        if event["event"] != "enforcing" or not isinstance(supervisor, int):
            continue
        try:
            end = os.pidfd_open(supervisor)
        except ProcessLookupError:
            return
        poller = select.poll()
        poller.register(end, select.POLLIN)
        poller.poll(_LAST_WORD_S * 1000)
        os.close(end)
