"""From what was seen of one target to an Observation."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.model import Observation, Outcome, RunKind
from harness.places.sentinels import Sentinel
from harness.places.watch import Seen

# Not \d and any length: a target may print digits that int() refuses (sys.int_info).
TOKEN = re.compile(
    r"TOKEN (\S+) attempts=([0-9]{1,18}) wins=([0-9]{1,18}) errno=([0-9]{1,4})", re.ASCII
)
RUNG = re.compile(r"^RUNG ([0-9]{1,2})$", re.ASCII | re.MULTILINE)
EXIT_UNSUPPORTED = 77
EXIT_BROKEN = 99
UNAVAILABLE = "unavailable: "  # begins what launching reports of a kernel that lacks something
HASHED_BYTES = 1 << 20
SAID = 2000  # characters of what a program says that a reason repeats


def observe(
    kind: RunKind,
    *,
    seen: Seen,
    wait_status: int | None,
    nonce: str | None,
    sentinel: Sentinel | None,
    scratch: Path | None,
    planted: Path,
    told: Sequence[Mapping[str, object]] = (),
) -> Observation:
    """Judge nothing, only say what happened. `wait_status` None: the target had to be killed.

    `nonce` is the token's (None: the target is a command, which prints no token). `planted` is our
    own object in the scratch directory, no part of what the command left there.
    """
    # Where a secret comes out does not matter, nor what else is printed around it.
    output = b"\n".join((seen.stdout.came, seen.stderr.came))
    stdout = seen.stdout.content().decode("utf-8", "backslashreplace")
    stderr = seen.stderr.content().decode("utf-8", "backslashreplace")
    code = None if wait_status is None else os.waitstatus_to_exitcode(wait_status)
    effect = False
    if sentinel is not None:
        benign = kind is RunKind.BENIGN
        effect = sentinel.served(output) if benign else sentinel.reached(output)
    attempts = wins = errno = 0
    rung: int | None = None
    finished = code == 0 and nonce is None
    last = stdout.rstrip("\n").rpartition("\n")[2]
    token = TOKEN.fullmatch(last)
    if token and token[1] == nonce and code == 0:
        finished = True
        attempts, wins, errno = (int(token[group]) for group in (2, 3, 4))
        told_rung = RUNG.search(stdout)
        rung = int(told_rung[1]) if told_rung else None
    outcome, detail = _outcome(seen, code, effect, finished, errno, last)
    try:
        events = (*seen.log.events(), *told)
    except ValueError as error:
        events, outcome, detail = (), Outcome.BROKEN, f"the enforcer's log: {error}"
    return Observation(
        kind=kind,
        outcome=outcome,
        effect=effect,
        exit_status=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        finished=finished,
        errno=errno,
        attempts=attempts,
        wins=wins,
        rung=rung,
        stdout=stdout,
        stderr=stderr,
        events=events,
        seconds=round(seen.seconds, 6),
        detail=detail,
        tree=tree_digest(scratch, without=planted) if scratch else "",
    )


def _outcome(
    seen: Seen, code: int | None, effect: bool, finished: bool, errno: int, last: str
) -> tuple[Outcome, str]:
    if seen.failure:
        said = seen.failure.decode("utf-8", "backslashreplace").strip()
        if said.startswith(UNAVAILABLE):
            return Outcome.UNAVAILABLE, said.removeprefix(UNAVAILABLE)
        return Outcome.BROKEN, f"launching: {said[:SAID]}"
    if effect:
        return Outcome.EFFECT, ""
    if seen.stopped:
        return Outcome.CRASHED, f"stopped: {seen.stopped}"
    if code is None:
        return Outcome.HUNG, "time is up"
    if code < 0:
        return Outcome.CRASHED, f"killed by {_name(-code)}"
    if code == EXIT_UNSUPPORTED:
        return Outcome.UNSUPPORTED, last.removeprefix("SKIP ")[:SAID]
    if code == EXIT_BROKEN:
        return Outcome.BROKEN, last.removeprefix("BROKEN ")[:SAID]
    if finished:
        return (Outcome.BLOCKED, "") if errno else (Outcome.SILENT, "")
    return Outcome.CRASHED, f"exit status {code} without its token"


def _name(number: int) -> str:
    """Most real-time signals have no name in Python."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def tree_digest(top: Path, *, without: Path) -> str:
    """A digest of names, kinds, modes and contents under `top`; times and inodes do not count."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted([*names, *files]):
            path = Path(directory, name)
            if path == without:
                continue
            found = path.lstat()
            digest.update(os.fsencode(path.relative_to(top)) + b"\0%o\0" % found.st_mode)
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file():
                with path.open("rb") as stream:
                    digest.update(stream.read(HASHED_BYTES))
    return digest.hexdigest()
