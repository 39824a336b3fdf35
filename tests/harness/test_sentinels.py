"""Sentinels: what shows from outside, and that nothing else is taken for it."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import process
from harness.attack import SentinelKind
from harness.model import Effect
from harness.places import sentinels
from harness.places.ending import children
from harness.places.isolation import Identity
from harness.places.layout import Layout
from harness.places.sentinels import OBSERVED, SentinelError, fingerprint, plant
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
    """Only the denied socket's own nonce is the effect, only the twin's is service, each at its own
    socket: a race sends either to whichever the name leads to.
    """
    with contextlib.closing(plant("socket", Effect.IPC, layout, WHO)) as sentinel:
        words = sentinel.arguments()
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.closing(sender):
            sender.sendto(b"something else", words["denied"])
            sender.sendto(words["print"].encode(), words["allowed"])
            sender.sendto(words["inject"].encode(), words["allowed"])
            assert (sentinel.reached(b""), sentinel.served(b"")) == (False, True)
            sender.sendto(words["inject"].encode(), words["denied"])
            assert sentinel.reached(words["inject"].encode())


def test_printing_a_nonce_is_no_message(layout: Layout) -> None:
    """What the target prints of a word that it was told proves nothing."""
    with contextlib.closing(plant("socket", Effect.IPC, layout, WHO)) as sentinel:
        assert not sentinel.reached(sentinel.arguments()["inject"].encode())


@pytest.mark.parametrize("prefix", ["", "\0"], ids=["path", "abstract"])
def test_a_deputy_reads_and_opens_its_two_files_for_others(prefix: str, layout: Layout) -> None:
    """By either of its names; whatever else it is asked for it does not answer."""
    with contextlib.closing(plant("deputy", Effect.READ, layout, WHO)) as sentinel:
        words = sentinel.arguments()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
            asker.bind("")
            asker.settimeout(10)
            deputy = prefix + words["deputy"]
            for request in ("read /etc/passwd", "take " + words["denied"]):
                asker.sendto(request.encode(), deputy)
            asker.sendto(f"read {words['denied']}".encode(), deputy)
            assert sentinel.reached(asker.recv(4096))
            asker.sendto(f"open {words['allowed']}".encode(), deputy)
            _, (received,), _, _ = socket.recv_fds(asker, 4096, 1)
            assert sentinel.served(os.read(received, 4096))
            os.close(received)


def test_a_deputy_keeps_what_it_is_told_wherever_its_directory_leads(layout: Layout) -> None:
    """Beside the permitted file, unless somebody has put a link there."""
    with contextlib.closing(plant("deputy", Effect.WRITE, layout, WHO)) as sentinel:
        (layout.directory / "state").symlink_to(layout.denied_directory)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
            asker.bind("")
            asker.settimeout(10)
            asker.sendto(b"keep this", sentinel.arguments()["deputy"])
            assert asker.recv(4096)
        assert layout.denied.read_bytes() == b"this"
        assert (sentinel.reached(b""), sentinel.served(b"")) == (True, False)


def test_programs_are_copies_of_the_attacks_own(layout: Layout) -> None:
    """They can be executed, and differ from it and from each other."""
    layout.program.parent.mkdir()
    layout.program.write_bytes(b"program")
    with contextlib.closing(plant("program", Effect.WRITE, layout, WHO)) as sentinel:
        contents = {path.read_bytes() for path in (layout.denied, layout.allowed)}
        assert len(contents) == 2
        assert all(content.startswith(b"program") for content in contents)
        assert os.access(layout.denied, os.X_OK)
        layout.denied.write_bytes(b"another")
        assert (sentinel.reached(b""), sentinel.served(b"")) == (True, False)


def test_what_is_written_to_a_peers_memory_is_seen(layout: Layout) -> None:
    """The denied nonce at the address that the program is told, in a process that still runs."""
    with contextlib.closing(plant("peer", Effect.IPC, layout, WHO)) as sentinel:
        words = sentinel.arguments()
        assert not sentinel.reached(words["inject"].encode())
        with Path(f"/proc/{words['peer']}/mem").open("r+b", buffering=0) as memory:
            memory.seek(int(words["address"]))
            memory.write(words["inject"].encode())
        assert sentinel.reached(b"")
        assert sentinel.served(words["print"].encode())


@pytest.mark.parametrize(("kind", "effect"), [("deputy", Effect.READ), ("peer", Effect.IPC)])
def test_helpers_end_with_their_sentinel(kind: str, effect: Effect, layout: Layout) -> None:
    """None is left as a child of whoever planted it."""
    before = children()
    sentinel = plant(kind, effect, layout, WHO)
    assert len(children()) == len(before) + 1
    sentinel.close()
    assert children() == before


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


def _connected(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def _sent(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", port))


@pytest.mark.parametrize("come_to", [_connected, _sent], ids=["connection", "datagram"])
def test_what_of_ours_comes_to_a_port_does_not_count(
    come_to: Callable[[int], None], layout: Layout
) -> None:
    """Each answer asks for one; only those of the target are the effect."""
    port, allowed_port = free_ports()
    layout = replace(layout, port=port, allowed_port=allowed_port)
    with contextlib.closing(plant("port", Effect.NET, layout, WHO)) as sentinel:
        assert not sentinel.reached(b"")
        come_to(allowed_port)
        assert (sentinel.reached(b""), sentinel.served(b"")) == (False, True)
        come_to(port)
        assert sentinel.reached(b"")


def nonces(layout: Layout) -> tuple[str, str]:
    """What is written in the denied object and in its twin."""
    texts = []
    for path in (layout.denied, layout.allowed):
        if path.is_dir():
            (path,) = path.iterdir()
        texts.append(path.read_text().split()[-1])
    return texts[0], texts[1]


@pytest.mark.parametrize(
    ("kind", "effect"), [("file", Effect.READ), ("dir", Effect.READ), ("file", Effect.EXEC)]
)
def test_a_secret_that_is_printed(kind: str, effect: Effect, layout: Layout) -> None:
    """The denied object's is the effect, its twin's is service; no word for the program has one."""
    with contextlib.closing(plant(kind, effect, layout, WHO)) as sentinel:
        denied, allowed = nonces(layout)
        assert len({denied, allowed}) == 2
        assert not {denied, allowed} & set(sentinel.arguments().values())
        for said, wanted in (
            (denied, (True, False)),
            (allowed, (False, True)),
            (denied[:-1], (False, False)),
            ("", (False, False)),
        ):
            output = f"x {said} y".encode()
            assert (sentinel.reached(output), sentinel.served(output)) == wanted
        # What changed is not what is asked for.
        layout.denied.chmod(0o700)
        assert not sentinel.reached(b"")


def test_a_program_prints_its_secret(layout: Layout) -> None:
    """The denied program does when somebody executes it."""
    with contextlib.closing(plant("file", Effect.EXEC, layout, WHO)) as sentinel:
        said = process.run([layout.denied]).stdout.encode()
        assert (sentinel.reached(said), sentinel.served(said)) == (True, False)


def longer(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("x")


def another_owner(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives objects away")
    os.chown(path, 4242, -1)


def another_group(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives objects away")
    os.chown(path, -1, 4242)


def same_size(path: Path) -> None:
    """As if nothing had happened, but for the content."""
    found = path.stat()
    path.write_text("x" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def same_content(path: Path) -> None:
    """Another object with the same content and time."""
    found, content = path.stat(), path.read_text()
    path.rename(path.with_name("aside"))
    path.write_text(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


WRITES: dict[str, Callable[[Path], object]] = {
    "content": same_size,
    "size": longer,
    "mode": lambda path: path.chmod(0o600),
    "owner": another_owner,
    "group": another_group,
    "time": lambda path: os.utime(path, (1, 1)),
    "inode": same_content,
    "gone": lambda path: path.unlink(),
    "a fifo": fifo,
    "a link": link,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_file_that_is_changed(name: str, layout: Layout) -> None:
    """In any of its attributes; looking at what was put in its place does not wait."""
    with contextlib.closing(plant("file", Effect.WRITE, layout, WHO)) as sentinel:
        assert (sentinel.reached(b""), sentinel.served(b"")) == (False, False)
        layout.denied.read_bytes()
        assert not sentinel.reached(b"")
        WRITES[name](layout.denied)
        assert (sentinel.reached(b""), sentinel.served(b"")) == (True, False)
        WRITES[name](layout.allowed)
        assert sentinel.served(b"")


def test_a_directory_that_is_changed_within(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content, the name and the place of what it holds, at any depth, however much it is."""
    top = layout.denied
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").write_text("content")
    seen = [fingerprint(top)]
    assert fingerprint(top) == seen[0]
    for act in (
        lambda: same_size(top / "a/b/file"),
        lambda: (top / "a/b/file").rename(top / "a/b/other"),
        lambda: (top / "a/b/other").rename(top / "a/other"),
    ):
        act()
        seen.append(fingerprint(top))
    # More than anybody looks at: a target can make it without end.
    monkeypatch.setattr(sentinels, "FINGERPRINTED", 20)
    for number in range(30):
        (top / str(number)).mkdir()
    seen.append(fingerprint(top))
    assert len(set(seen)) == len(seen)


def test_nothing_is_a_state_too(layout: Layout) -> None:
    """What was not there has its own fingerprint."""
    absent = fingerprint(layout.denied)
    layout.denied.touch()
    assert fingerprint(layout.denied) != absent


def test_terminals_tell_their_commands_apart(layout: Layout) -> None:
    """The echo of what was put into the input queue is the effect, what was written is service."""
    with contextlib.closing(plant("tty", Effect.IOCTL, layout, WHO)) as sentinel:
        words = sentinel.arguments()
        assert words["inject"] != words["print"]
        terminal = os.open(words["tty"], os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, words["inject"].encode())
        assert (sentinel.reached(b""), sentinel.served(b"")) == (True, False)
        os.close(terminal)
