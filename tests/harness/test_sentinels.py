"""Sentinels: what shows from outside, and that nothing else is taken for it."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from pathlib import Path

import pytest

from harness.attack import SentinelKind
from harness.model import Effect
from harness.places.isolation import Identity
from harness.places.layout import Layout
from harness.places.sentinels import OBSERVED, SentinelError, plant

WHO = Identity(uid=os.getuid(), gid=os.getgid())


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(root=tmp_path)
    made.directory.mkdir()
    made.denied_directory.mkdir()
    return made


def test_every_kind_is_observed() -> None:
    """A kind of sentinel without an effect would be dead, and so would an effect without one."""
    assert set(OBSERVED) == {kind.value for kind in SentinelKind}
    assert frozenset().union(*OBSERVED.values()) == set(Effect)


@pytest.mark.parametrize(
    ("kind", "effect"),
    [pair for pair in itertools.product(SentinelKind, Effect) if pair[1] not in OBSERVED[pair[0]]],
)
def test_what_nobody_can_observe_is_not_planted(
    kind: SentinelKind, effect: Effect, layout: Layout
) -> None:
    """Such a case is broken, never held."""
    with pytest.raises(SentinelError, match="nothing observes"):
        plant(kind, effect, layout, WHO)


def test_a_message_is_told_by_its_nonce(layout: Layout) -> None:
    """Only the denied socket's own nonce is the effect, only the twin's is service."""
    with contextlib.closing(plant("socket", Effect.IPC, layout, WHO)) as sentinel:
        words = sentinel.arguments()
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.closing(sender):
            sender.sendto(b"something else", words["denied"])
            sender.sendto(words["print"].encode(), words["allowed"])
            assert (sentinel.reached(b""), sentinel.served(b"")) == (False, True)
            sender.sendto(words["inject"].encode(), words["denied"])
            assert sentinel.reached(words["inject"].encode())


def test_printing_a_nonce_is_no_message(layout: Layout) -> None:
    """What the target prints of a word that it was told proves nothing."""
    with contextlib.closing(plant("socket", Effect.IPC, layout, WHO)) as sentinel:
        assert not sentinel.reached(sentinel.arguments()["inject"].encode())


def test_a_new_file_changes_a_directory(layout: Layout) -> None:
    """A directory that may not be written is reached by any entry made in it."""
    with contextlib.closing(plant("dir", Effect.WRITE, layout, WHO)) as sentinel:
        assert not sentinel.reached(b"")
        Path(sentinel.arguments()["denied"], "new").touch()
        assert sentinel.reached(b"")
        assert not sentinel.served(b"")
