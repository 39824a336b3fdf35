"""Sentinels: what shows from outside, and that nothing else is taken for it."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attack import SentinelKind
from harness.model import Effect
from harness.places import sentinels
from harness.places.isolation import Identity
from harness.places.layout import Layout
from harness.places.sentinels import OBSERVED, SentinelError, plant
from tests.attacks.laboratory import free_ports

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


def test_an_echo_that_is_still_under_way_is_waited_for(layout: Layout) -> None:
    """The kernel carries what a terminal shows over in a worker: no answer comes before it."""
    for _ in range(50):
        with contextlib.closing(plant("tty", Effect.IOCTL, layout, WHO)) as sentinel:
            words = sentinel.arguments()
            terminal = os.open(words["tty"], os.O_RDWR | os.O_NOCTTY)
            os.write(terminal, words["print"].encode())
            assert (sentinel.served(b""), sentinel.reached(b"")) == (True, False)
            os.close(terminal)


def test_a_terminal_that_carries_nothing_is_no_witness(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken instead of "nothing arrived"."""
    monkeypatch.setattr(sentinels, "PATIENCE_S", 0.01)
    monkeypatch.setattr(termios, "tcflow", lambda *_: None)
    with contextlib.closing(plant("tty", Effect.IOCTL, layout, WHO)) as sentinel:
        terminal = os.open(sentinel.arguments()["tty"], os.O_RDWR | os.O_NOCTTY)
        attributes = termios.tcgetattr(terminal)
        attributes[1] |= termios.OPOST | termios.OLCUC
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        with pytest.raises(SentinelError, match="did not arrive"):
            sentinel.reached(b"")
        os.close(terminal)


def test_connections_of_our_own_do_not_count(layout: Layout) -> None:
    """Each answer asks for one; only those of the target are the effect."""
    port, allowed_port = free_ports()
    layout = replace(layout, port=port, allowed_port=allowed_port)
    with contextlib.closing(plant("port", Effect.NET, layout, WHO)) as sentinel:
        assert not sentinel.reached(b"")
        with socket.create_connection(("127.0.0.1", allowed_port)):
            assert (sentinel.reached(b""), sentinel.served(b"")) == (False, True)
        with socket.create_connection(("127.0.0.1", port)):
            assert sentinel.reached(b"")
