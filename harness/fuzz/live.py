"""Live runs: a program of calls in a small world, made by the actor under a backend.

The world is a directory with files, a link and a hard link. No call changes which names there are,
so that what a name means can be asked from outside; only modes change, and only if permitted.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from enforcer.call import Call, Value
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    TextSymbol,
)
from enforcer.policy.format import format_yaml
from enforcer.syscalls import number
from enforcer.syscalls.translate import CONSTANTS
from harness import process
from harness.fuzz.bulk import BulkError, built

TIMEOUT_S = 60.0
CHANGED_MODE = 0o600
NAMES = ("a", "b", "sub/c", "link", "hard", "sub/../a", ".//b", "sub/./c", "none", "sub")
ROOT = "/w"
"""How policies and programs of a case name the world's root."""

_HEADER = struct.Struct("=IIII")
_CALL = struct.Struct("=II6Qq")
_UNTOUCHED = 1 << 62
_AT_FDCWD = (1 << 64) - 100


@dataclass(frozen=True)
class LiveCall:
    """One call of a program; the register `path_argument` is given the address of `path`."""

    name: str
    args: tuple[int, int, int, int, int, int]
    path: str = ""
    path_argument: int = -1
    follows: bool = True


def program(seed: int, count: int, near: Sequence[int]) -> tuple[LiveCall, ...]:
    """Calls on names of the world and on registers next to those of a policy."""
    chance = random.Random(seed)
    found: list[LiveCall] = []
    for _ in range(count):
        path = chance.choice(NAMES)
        if chance.random() < 0.6:
            path = f"{ROOT}/{path}"
        flags = chance.choice((0, 0, 1, 2)) | chance.choice((0, 0, CONSTANTS["O_NOFOLLOW"]))
        word = chance.choice((*near, 0, 1, 0x5412, 1 << 32 | 1, chance.getrandbits(64)))
        nofollow = bool(flags & CONSTANTS["O_NOFOLLOW"])
        found.append(
            chance.choice(
                (
                    LiveCall("openat", (_AT_FDCWD, 0, flags, 0, 0, 0), path, 1, not nofollow),
                    LiveCall("open", (0, flags, 0, 0, 0, 0), path, 0, not nofollow),
                    LiveCall("access", (0, 4, 0, 0, 0, 0), path, 0),
                    LiveCall("faccessat", (_AT_FDCWD, 0, 4, 0, 0, 0), path, 1),
                    LiveCall("chmod", (0, CHANGED_MODE, 0, 0, 0, 0), path, 0),
                    LiveCall("fchmodat", (_AT_FDCWD, 0, CHANGED_MODE, 0, 0, 0), path, 1),
                    LiveCall("ioctl", ((1 << 64) - 1, word, word, 0, 0, 0)),
                    LiveCall("fcntl", ((1 << 64) - 1, word, 0, 0, 0, 0)),
                    LiveCall("lseek", ((1 << 64) - 1, word, 0, 0, 0, 0)),
                    LiveCall("getppid", (word, 0, 0, 0, 0, 0)),
                )
            )
        )
    return tuple(found)


def make_world(root: Path) -> None:
    """Files, a directory, a symbolic and a hard link."""
    (root / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (root / name).write_text(name)
        (root / name).chmod(0o644)
    (root / "link").symlink_to("sub/c")
    (root / "hard").hardlink_to(root / "b")


def modes(root: Path) -> dict[int, int]:
    """The mode of each object of the world, by inode."""
    found = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        found[status.st_ino] = stat.S_IMODE(status.st_mode)
    return found


def in_world(policy: Policy, root: Path) -> Policy:
    """The policy with its operands below ROOT moved to where the world is."""
    rules = tuple(
        rule if rule.when is None else replace(rule, when=_moved(rule.when, root))
        for rule in policy.rules
    )
    return replace(policy, rules=rules)


def _moved(expression: Expression, root: Path) -> Expression:
    match expression:
        case TextSymbol(operand=operand) if operand.startswith(ROOT):
            return replace(expression, operand=str(root) + operand.removeprefix(ROOT))
        case NotExpression(operand):
            return NotExpression(_moved(operand, root))
        case AndExpression(left, right):
            return AndExpression(_moved(left, root), _moved(right, root))
        case OrExpression(left, right):
            return OrExpression(_moved(left, root), _moved(right, root))
        case _:
            return expression


class Translator:
    """Calls as `decide` judges them: each name resolved to the object that it means, once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[tuple[str, bool], tuple[Value, ...]] = {("", True): ()}

    def call(self, call: LiveCall) -> Call:
        values = self._known.get((call.path, call.follows))
        if values is None:
            path = self.root / call.path.removeprefix(ROOT + "/")
            known = path.resolve() if call.follows else path.parent.resolve() / path.name
            values = (Value(translator="filename", text=os.fspath(known)),)
            self._known[call.path, call.follows] = values
        return Call(name=call.name, abi="x86_64", args=call.args, values=values)


def run(calls: Sequence[LiveCall], root: Path, backend: str, policy: Policy | None) -> list[int]:
    """The raw results of the calls, bare or under a backend. Raises BulkError, BuildError."""
    script = _script(calls, root)
    actor: list[str | Path] = [built(), str(len(script))]
    command = actor
    if policy is not None:
        file = root.parent / "policy.yaml"
        file.write_text(format_yaml(policy), encoding="utf-8")
        command = [sys.executable, "-m", "enforcer", "run", "--partial", "--backend", backend]
        command += ["--policy", file, "--", *actor]
    memory = os.memfd_create("harness-fuzz")
    try:
        os.write(memory, script)
        status = process.run_on(command, memory, timeout_s=TIMEOUT_S, cwd=root)
        raw = os.pread(memory, len(calls) * _CALL.size, _HEADER.size)
    finally:
        os.close(memory)
    results = [_CALL.unpack_from(raw, place)[-1] for place in range(0, len(raw), _CALL.size)]
    if status != -signal.SIGILL or _UNTOUCHED in results:
        begun = results.index(_UNTOUCHED) if _UNTOUCHED in results else len(results)
        raise BulkError(f"the actor under {backend} ended with {status} at call {begun}")
    return results


def _script(calls: Sequence[LiveCall], root: Path) -> bytes:
    places: dict[str, int] = {}
    texts = b""
    start = _HEADER.size + len(calls) * _CALL.size
    body: list[bytes] = []
    for call in calls:
        args, how = list(call.args), 0
        if call.path:
            path = call.path
            if path.startswith(ROOT):
                path = str(root) + path.removeprefix(ROOT)
            if path not in places:
                places[path] = start + len(texts)
                texts += os.fsencode(path) + b"\0"
            args[call.path_argument] = places[path]
            how = 1 << (8 + call.path_argument)
        nr = number("x86_64", call.name)
        assert nr is not None
        body.append(_CALL.pack(nr, how, *args, _UNTOUCHED))
    return _HEADER.pack(0, len(calls), 0, 0) + b"".join(body) + texts


def same_kind(one: int, other: int) -> bool:
    """Whether two results are the same error, or both are none."""
    return one == other or (one >= 0 and other >= 0)


RARE = (errno.EXFULL, errno.ENOANO, errno.EBADRQC, errno.EBADSLT)
"""Errnos that none of these calls gives by itself."""
