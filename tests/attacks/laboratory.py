"""Runs one attack program with no enforcer around it, and looks from outside what it did."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import process
from harness.attack import Attack, SentinelKind
from harness.build import build
from harness.places.features import FEATURES
from harness.places.isolation import Identity
from harness.places.layout import Layout, variant_words
from harness.places.sentinels import plant

ROOT = Path(__file__).resolve().parents[2] / "attacks"
RACE_ATTEMPTS = 60  # fewer than a listener's backlog holds

_COMPATIBLE = {"i386": "ia32", "x32": "x32"}  # ABI to the feature that runs its programs

_TOKEN = re.compile(r"^TOKEN 5eed attempts=(\d+) wins=(\d+) errno=(\d+)\n\Z", re.MULTILINE)

# Makes the terminal argv[1] the controlling one and becomes the program argv[2:].
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One run. `reached`, `served`: the denied object and the permitted twin, from outside."""

    completed: process.Completed
    attempts: int
    wins: int
    errno: int
    reached: bool
    served: bool


def run_unconfined(
    attack: Attack,
    abi: str,
    variant: str,
    mode: str,
    scratch: Path,
    *,
    through: Sequence[str] = (),
) -> Seen:
    """Build and run one mode, `through` a program that runs others; fails without its token."""
    why = FEATURES[_COMPATIBLE[abi]]() if abi in _COMPATIBLE else ""
    if why:
        pytest.skip(f"this kernel runs no {abi} programs: {why}")
    port, allowed_port = free_ports()
    layout = Layout(root=scratch, port=port, allowed_port=allowed_port)
    layout.directory.mkdir(parents=True)
    layout.denied_directory.mkdir()
    layout.program.parent.mkdir()
    layout.program.write_bytes(build(attack, abi).read_bytes())
    attempts = 1 if attack.attempts.default == 1 else RACE_ATTEMPTS
    words = {"dir": str(layout.directory), "nonce": "5eed", **variant_words(variant)}
    words["attempts"] = str(attempts)
    who = Identity(uid=os.getuid(), gid=os.getgid())
    with contextlib.closing(plant(attack.sentinel, attack.effect, layout, who)) as sentinel:
        words |= sentinel.arguments()
        command = [*through, str(build(attack, abi)), mode, *(f"{k}={v}" for k, v in words.items())]
        if attack.sentinel is SentinelKind.TTY:
            command = [sys.executable, "-c", _TAKE_TERMINAL, words["tty"], *command]
        completed = process.run(command, cwd=layout.directory, timeout_s=30)
        output = completed.stdout.encode()
        token = _TOKEN.search(completed.stdout)
        assert completed.status == 0, completed.describe()
        assert token is not None, completed.describe()
        return Seen(
            completed=completed,
            attempts=int(token[1]),
            wins=int(token[2]),
            errno=int(token[3]),
            reached=sentinel.reached(output),
            served=sentinel.served(output),
        )


def free_ports() -> tuple[int, int]:
    """Two TCP ports of 127.0.0.1 that nobody listens on."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return int(one.getsockname()[1]), int(two.getsockname()[1])
