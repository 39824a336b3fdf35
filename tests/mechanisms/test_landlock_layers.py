"""Every layer of a plan is on, each right denies its own, and a domain that is off is told."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from enforcer.kernel import landlock as kernel
from enforcer.kernel.landlock import (
    FileRight,
    NetRight,
    Scope,
    create_ruleset,
    errno_of_reading,
    permit_beneath,
    permit_port,
    restrict_self,
    version,
)
from enforcer.kernel.seccomp import no_new_privs
from enforcer.mechanisms.landlock import MECHANISM, launch
from enforcer.mechanisms.landlock.layer import Layer, denied_ports, layer_from_json
from tests.mechanisms.test_landlock import (
    ABIS_HERE,
    PARTIAL,
    SHELL,
    SYSTEM,
    rules,
    usable,
    world,
)
from tests.mechanisms.test_landlock import launch as launched

__all__ = ["world"]

NONE, NO_NET, NO_SCOPE = FileRight(0), NetRight(0), Scope(0)


def policies(place: Path) -> dict[str, list[str]]:
    """Each denies something else outside of `ok`."""
    system = f'filename match "{place}/ok" or {SYSTEM}'
    return {
        "read": [f"  - permit: fsread\n    when: {system}", "  - deny[eacces]: fsread"],
        "write": [
            f'  - permit: fswrite\n    when: filename match "{place}/ok"',
            "  - deny[eacces]: fswrite",
        ],
        "execute": [
            f"  - permit: [execve, execveat]\n    when: {system}",
            "  - deny[eacces]: [execve, execveat]",
        ],
    }


ACTS = {
    "read": "cat {place}/{where}/f",
    "write": "echo x > {place}/{where}/g",
    "execute": "{place}/{where}/program",
}


@usable
@pytest.mark.parametrize("order", [("read", "write", "execute"), ("execute", "read", "write"),
                                   ("write", "execute", "read")], ids="-".join)  # fmt: skip
def test_every_layer_is_on(world: Path, order: Sequence[str]) -> None:
    """Whatever its place among the others, each denies its own and nothing else."""
    for name in ("ok", "no"):
        program = world / name / "program"
        program.write_bytes(Path("/bin/true").resolve().read_bytes())
        program.chmod(0o755)
    found = policies(world)
    plan = MECHANISM.compile([rules(*found[name]) for name in order], ABIS_HERE, PARTIAL)
    for act, text in ACTS.items():
        for where, permitted in (("ok", True), ("no", False)):
            command = text.format(place=world, where=where)
            run = launched(world, plan, [SHELL, "-c", command])
            assert (run.status == 0) is permitted, (act, where, run.output)
    assert run.event("enforcing")["layers"] == 3


@usable
@pytest.mark.parametrize("applied", [0, 1])
def test_a_layer_that_is_not_on_is_told(
    world: Path, applied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness tries what each layer denies: nothing is executed if one of them is missing."""
    found = policies(world)
    plan = MECHANISM.compile([rules(*found["read"]), rules(*found["write"])], ABIS_HERE, PARTIAL)
    done: list[int] = []

    def restrict(ruleset: int) -> None:
        done.append(ruleset)
        if len(done) <= applied:
            restrict_self(ruleset)

    monkeypatch.setattr(launch, "restrict_self", restrict)
    run = launched(world, plan, [SHELL, "-c", f"touch {world}/ok/ran"])
    assert run.status == 70
    assert run.events[-1]["event"] == "detection"
    assert not (world / "ok/ran").exists()


@usable
def test_a_ruleset_that_cannot_be_made_ends_the_launch(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one that the kernel does not take."""
    plan = MECHANISM.compile([rules(*policies(world)["read"])], ABIS_HERE, PARTIAL)

    def refuse(ruleset: int) -> None:
        raise OSError(errno.E2BIG, "too many layers")

    monkeypatch.setattr(launch, "restrict_self", refuse)
    run = launched(world, plan, [SHELL, "-c", f"touch {world}/ok/ran"])
    assert run.status == 70
    assert not (world / "ok/ran").exists()


def in_domain(ruleset: int, acts: dict[str, Callable[[], object]]) -> dict[str, int]:
    """The errno of each act in a child under the ruleset (0: done)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            no_new_privs()
            restrict_self(ruleset)
            for name, act in acts.items():
                number = 0
                try:
                    act()
                except OSError as error:
                    number = error.errno or -1
                os.write(writing, f"{name} {number}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.close(ruleset)
    with os.fdopen(reading) as stream:
        lines = [line.split() for line in stream]
    os.waitpid(child, 0)
    return {name: int(number) for name, number in lines}


def denied(found: dict[str, int]) -> set[str]:
    return {name for name, number in found.items() if number in (errno.EACCES, errno.EPERM)}


def acts_in(place: Path) -> dict[str, Callable[[], object]]:
    """Acts that need one right each, in an order in which all can be done."""

    def bind() -> None:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(place / "socket"))

    return {
        "read_file": lambda: os.close(os.open(place / "file", os.O_RDONLY)),
        "read_dir": lambda: list(place.iterdir()),
        "write_file": lambda: os.close(os.open(place / "file", os.O_WRONLY)),
        "truncate": lambda: os.truncate(place / "file", 0),
        "make_reg": lambda: os.mknod(place / "new", 0o100600),
        "make_fifo": lambda: os.mkfifo(place / "fifo"),
        "make_sock": bind,
        "make_dir": lambda: (place / "dir").mkdir(),
        "make_sym": lambda: (place / "sym").symlink_to("x"),
        "remove_file": lambda: (place / "gone").unlink(),
        "remove_dir": lambda: (place / "empty").rmdir(),
    }


ALONE = {
    FileRight.READ_FILE: {"read_file"},
    FileRight.READ_DIR: {"read_dir"},
    FileRight.WRITE_FILE: {"write_file"},
    FileRight.TRUNCATE: {"truncate"},
    FileRight.MAKE_REG: {"make_reg"},
    FileRight.MAKE_FIFO: {"make_fifo"},
    FileRight.MAKE_SOCK: {"make_sock"},
    FileRight.MAKE_DIR: {"make_dir"},
    FileRight.MAKE_SYM: {"make_sym"},
    FileRight.REMOVE_FILE: {"remove_file"},
    FileRight.REMOVE_DIR: {"remove_dir"},
}


@usable
@pytest.mark.parametrize("right", ALONE, ids=lambda right: str(right.name))
def test_each_right_denies_its_own_act(right: FileRight, tmp_path: Path) -> None:
    """A domain that handles one right, and permits it nowhere."""
    if version() < kernel.abi_of(right, NO_NET, NO_SCOPE):
        pytest.skip("this kernel's Landlock does not know the right")
    for name in ("file", "gone"):
        (tmp_path / name).write_text("x")
    (tmp_path / "empty").mkdir()
    found = in_domain(create_ruleset(right, NO_NET, NO_SCOPE), acts_in(tmp_path))
    assert denied(found) == ALONE[right]


@usable
def test_a_place_is_permitted_and_its_neighbour_not(tmp_path: Path) -> None:
    """Beneath the descriptor that was given, for the rights that were given."""
    for name in ("ok", "no"):
        (tmp_path / name).mkdir()
        for file in ("file", "gone"):
            (tmp_path / name / file).write_text("x")
        (tmp_path / name / "empty").mkdir()
    handled = FileRight.READ_FILE | FileRight.MAKE_DIR | FileRight.MAKE_REG
    ruleset = create_ruleset(handled, NO_NET, NO_SCOPE)
    place = os.open(tmp_path / "ok", os.O_PATH)
    permit_beneath(ruleset, place, FileRight.READ_FILE | FileRight.MAKE_DIR)
    acts = {
        f"{where}:{name}": act
        for where in ("ok", "no")
        for name, act in acts_in(tmp_path / where).items()
    }
    assert denied(in_domain(ruleset, acts)) == {
        "ok:make_reg",
        "no:read_file",
        "no:make_dir",
        "no:make_reg",
    }


@usable
def test_ports_are_permitted_one_by_one() -> None:
    """bind and connect are two rights; each is permitted on the port that was given."""
    if version() < 4:
        pytest.skip("Landlock ABI 4 is needed")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [end.getsockname()[1] for end in (one, other)]
        ruleset = create_ruleset(NONE, NetRight.CONNECT_TCP | NetRight.BIND_TCP, NO_SCOPE)
        permit_port(ruleset, ports[0], NetRight.CONNECT_TCP)
        permit_port(ruleset, 0, NetRight.BIND_TCP)
        acts: dict[str, Callable[[], object]] = {
            "connect": lambda: socket.create_connection(("127.0.0.1", ports[0])),
            "connect-other": lambda: socket.create_connection(("127.0.0.1", ports[1])),
            "bind-any": lambda: socket.create_server(("127.0.0.1", 0)),
            "bind-one": lambda: socket.create_server(("127.0.0.1", ports[0] ^ 1)),
        }
        assert denied(in_domain(ruleset, acts)) == {"connect-other", "bind-one"}


@usable
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope.SIGNAL, {"signal"}),
        (Scope.ABSTRACT_UNIX_SOCKET, {"abstract"}),
        (Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET, {"signal", "abstract"}),
    ],
    ids=["signal", "abstract", "both"],
)
def test_scopes_keep_what_is_outside_out(scope: Scope, expected: set[str]) -> None:
    """Processes and abstract sockets outside of the domain."""
    if version() < 6:
        pytest.skip("Landlock ABI 6 is needed")
    outside = os.getpid()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(f"\0laboratory-{outside}")
        server.listen()
        acts: dict[str, Callable[[], object]] = {
            "signal": lambda: os.kill(outside, 0),
            "abstract": lambda: client.connect(f"\0laboratory-{outside}"),
            "own": lambda: os.kill(os.getpid(), 0),
        }
        assert denied(in_domain(create_ruleset(NONE, NO_NET, scope), acts)) == expected


@usable
def test_a_process_outside_tells_whether_a_domain_is_on() -> None:
    """Its memory can be read before, and not after, whatever the domain handles."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        assert errno_of_reading(child) == 0

        def read() -> None:
            number = errno_of_reading(child)
            if number:
                raise OSError(number, os.strerror(number))

        ruleset = create_ruleset(FileRight.MAKE_BLOCK, NO_NET, NO_SCOPE)
        assert in_domain(ruleset, {"read": read}) == {"read": errno.EPERM}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert errno_of_reading(child) == errno.ESRCH


def layer(
    *places: tuple[str, str, FileRight], ports: tuple[tuple[int, NetRight], ...] = ()
) -> Layer:
    return Layer(
        files=FileRight.READ_FILE,
        net=NetRight.CONNECT_TCP,
        scope=NO_SCOPE,
        places=places,
        ports=ports,
    )


@pytest.mark.parametrize(
    ("shape", "permitted"),
    [
        ("tree", {"/a": True, "/a/b": True, "/a/b/c": True, "/ab": False, "/": False}),
        ("beneath", {"/a": True, "/a/b": True, "/ab": False}),
        ("exact", {"/a": True, "/a/b": False, "/ab": False}),
    ],
)
def test_where_a_place_permits(shape: str, permitted: dict[str, bool]) -> None:
    """Where the witness may not expect a denial."""
    found = layer(("/a", shape, FileRight.READ_FILE))
    assert {path: found.permits(path, FileRight.READ_FILE) for path in permitted} == permitted
    assert not found.permits("/a", FileRight.WRITE_FILE)
    assert layer(("/", "tree", FileRight.READ_FILE)).permits("/x/y", FileRight.READ_FILE)


def test_ports_that_some_layer_denies() -> None:
    """Those are tried that one layer permits and another does not."""
    right = NetRight.CONNECT_TCP
    one = layer(ports=((1, right), (2, right), (3, NetRight.BIND_TCP)))
    other = layer(ports=((1, right), (3, right)))
    assert list(denied_ports([one, other], right))[:3] == [2, 3, 4]
    assert list(denied_ports([one], right))[:2] == [3, 4]
    assert list(denied_ports([one], NetRight.BIND_TCP)) == []


@usable
def test_a_refusal_is_an_error() -> None:
    """What is no ruleset restricts nobody, and says so."""
    with pytest.raises(OSError, match=r"Bad file descriptor|not permitted"):
        restrict_self(99)


@usable
def test_a_single_file_can_be_permitted(world: Path) -> None:
    """Of the rights for reading it gets those that a file can have."""
    found = rules(
        f'  - permit: fsread\n    when: filename eq "{world}/no/f" or {SYSTEM}',
        "  - deny[eacces]: fsread",
    )
    plan = MECHANISM.compile([found], ABIS_HERE, PARTIAL)
    run = launched(world, plan, [SHELL, "-c", f"cat {world}/no/f; cat {world}/ok/f"])
    assert run.output.startswith("no content\n")
    assert "ok content" not in run.output


def test_a_layer_of_ports_alone_is_a_layer() -> None:
    """It handles no files, and denies all the same; one that denies nothing is left out."""
    plan = MECHANISM.compile([rules("  - deny[eacces]: connect")], ABIS_HERE, PARTIAL)
    layers = plan.data["layers"]
    assert isinstance(layers, list)
    assert [layer_from_json(each).net for each in layers] == [NetRight.CONNECT_TCP]
    assert [layer_from_json(each).files for each in layers] == [FileRight(0)]
    nothing = MECHANISM.compile([rules("  - permit: bind")], ABIS_HERE, PARTIAL)
    assert nothing.data["layers"] == []
