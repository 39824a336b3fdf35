"""The quick way of notify, where another task interferes at the worst moment."""

from __future__ import annotations

import os
import stat
from errno import EACCES, EPERM
from pathlib import Path

import pytest

from enforcer.call import Action, Decision, Elevation
from enforcer.events import NullLog
from enforcer.kernel import openat2 as kernel
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Options
from enforcer.mechanisms.notify import quick
from enforcer.mechanisms.notify.processes import change
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import TargetGone
from enforcer.policy import parse_yaml

AT_FDCWD = -100


class Held(Worker):
    """A worker whose held call is one of this process."""

    def validate(self) -> None:
        """The call is still held."""


def worker_of(rules: str) -> Held:
    policy = parse_yaml(f"default: permit\nrules:\n{rules}", "test")
    options = Options(defences=DEFAULT_DEFENCES)
    session = Session(policy, ["x86_64", "i386"], options, NullLog())
    worker = Held(session)
    worker.tid, worker.name, worker.abi = os.getpid(), "openat", "x86_64"
    return worker


BY_NAME = '  - deny[eacces]: openat\n    when: filename sub "secret"\n  - permit: openat\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "secret"):
        Path(name).write_text(name)
    Path("link").symlink_to("file")
    return tmp_path


def thoroughly(worker: Held, name: bytes, flags: int = os.O_RDONLY) -> None:
    """Open as the thorough way does, and remember it."""
    opens = worker.shared.quick
    assert opens is not None
    quickly(worker, name, flags)
    descriptor = worker.open(AT_FDCWD, name, flags, 0, None)
    assert descriptor >= 0
    os.close(descriptor)
    opens.remember(worker, flags)


def quickly(worker: Held, name: bytes, flags: int = os.O_RDONLY, mode: int = 0) -> bytes | None:
    """What the quick way opens, None where it leaves the call to the thorough one."""
    opens = worker.shared.quick
    assert opens is not None
    worker.args = (AT_FDCWD, 0, flags, mode, 0, 0)
    descriptor = opens.open(worker, AT_FDCWD, name, flags, mode)
    if descriptor < 0:
        return None
    try:
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:  # noqa: PTH123
            return file.read()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", [b"file", b"link", b"./file"])
def test_what_was_permitted_is_opened_again(place: Path, name: bytes) -> None:
    """By its own name, by a link and by a name that is not clean."""
    worker = worker_of(BY_NAME)
    thoroughly(worker, name)
    assert quickly(worker, name) == b"file"
    assert worker.decision is not None


def test_a_link_in_the_place_of_the_canonical_name(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file behind a known link becomes a link after the kernel was asked where that leads."""
    worker = worker_of(BY_NAME)
    thoroughly(worker, b"link")
    asked: list[int] = []

    def openat2(dirfd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
        if asked:
            Path("new").symlink_to("secret")
            Path("new").rename("file")
        found = kernel.openat2(dirfd, path, flags, mode, resolve)
        asked.append(found)
        return found

    monkeypatch.setattr(quick, "openat2", openat2)
    assert quickly(worker, b"link") is None
    assert asked[-1] < 0


def test_a_known_link_is_not_followed_against_its_callers_will(place: Path) -> None:
    """O_NOFOLLOW of a link is left to the thorough way, whatever was permitted before."""
    worker = worker_of(BY_NAME)
    thoroughly(worker, b"link")
    thoroughly(worker, b"file", os.O_NOFOLLOW)
    assert quickly(worker, b"link", os.O_NOFOLLOW) is None
    assert quickly(worker, b"file", os.O_NOFOLLOW) == b"file"


@pytest.mark.parametrize(
    ("rule", "remembered"),
    [
        ("  - permit: openat\n    if: user = 0\n", False),
        ("  - permit: openat\n    when: arg[0] == 5\n", False),
        ('  - permit: openat\n    when: filename match "/*" and arg[3] != 9\n', False),
        ("  - permit: openat\n    when: not (arg[3] == 9)\n", False),
        ('  - permit: openat\n    when: filename match "/*" and oflags sub "ro"\n', True),
        ('  - permit: openat\n    when: not (filename eq "/x") or oflags sub "ro"\n', True),
        ("  - permit: mkdir\n    if: user = 0\n", True),
    ],
)
def test_only_decisions_on_name_and_flags_are_remembered(
    place: Path, rule: str, remembered: bool
) -> None:
    """Who calls, and what else its registers say, may differ the next time."""
    worker = worker_of(rule + '  - permit: openat\n    when: filename sub "f"\n')
    thoroughly(worker, b"file")
    assert (quickly(worker, b"file") is not None) is remembered


NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@pytest.mark.parametrize("flags", [os.O_PATH, os.O_RDONLY | os.O_SYNC, os.O_TMPFILE | os.O_RDWR])
def test_what_is_odd_is_never_quick(place: Path, flags: int) -> None:
    """Flags that mean something else are left to the thorough way."""
    worker = worker_of(BY_NAME)
    thoroughly(worker, b"file")
    assert quickly(worker, b"." if flags & os.O_DIRECTORY else b"file", flags, 0o600) is None


def test_what_is_new_is_made_as_its_caller_would(place: Path) -> None:
    """With its mode and umask, and only under a name that is permitted."""
    worker = worker_of(BY_NAME)
    worker.shared.umask = 0o027
    assert quickly(worker, b"new", NEW, 0o666) == b""
    assert stat.S_IMODE(Path("new").stat().st_mode) == 0o640
    assert quickly(worker, os.fsencode(place / "other"), NEW, 0o666) == b""
    assert quickly(worker, b"secret-new", NEW, 0o666) is None
    assert not Path("secret-new").exists()


def test_what_is_there_is_cut_where_that_is_permitted(place: Path) -> None:
    """The rules are asked about these flags, not about those of before."""
    worker = worker_of('  - deny[eacces]: openat\n    when: oflags sub "t"\n  - permit: openat\n')
    assert quickly(worker, b"file", os.O_WRONLY) == b"file"
    assert quickly(worker, b"file", os.O_WRONLY | os.O_TRUNC) is None
    assert Path("file").read_text() == "file"


def test_a_known_link_is_nothing_to_make(place: Path) -> None:
    """O_EXCL of a link fails, also where nothing is behind it any more."""
    worker = worker_of(BY_NAME)
    thoroughly(worker, b"link", os.O_RDWR | os.O_CREAT)
    worker.shared.quick.permitted[worker.name, b"%b/file" % os.fsencode(place), NEW] = (  # type: ignore[union-attr]
        Decision(action=Action.PERMIT)
    )
    assert quickly(worker, b"link", os.O_RDWR | os.O_CREAT) == b"file"
    assert quickly(worker, b"link", NEW, 0o600) is None


@pytest.mark.parametrize("is_absolute", [True, False], ids=["absolute", "relative"])
def test_nothing_is_made_for_a_call_that_is_over(
    place: Path, monkeypatch: pytest.MonkeyPatch, is_absolute: bool
) -> None:
    """The name may have been read from the memory of another task with the same number."""
    worker = worker_of(BY_NAME)

    worker.shared.umask = 0o022  # else it is asked for, and that too needs the task

    def gone(worker: Held) -> None:
        raise TargetGone

    monkeypatch.setattr(Held, "validate", gone)
    with pytest.raises(TargetGone):
        quickly(worker, os.fsencode(place / "new") if is_absolute else b"new", NEW, 0o600)
    assert not Path("new").exists()


@pytest.mark.parametrize("name", [b"file", b"%b/file"], ids=["relative", "absolute"])
def test_no_link_is_followed_to_what_was_not_judged(place: Path, name: bytes) -> None:
    """A permitted name that is a link by now is left to the thorough way."""
    worker = worker_of(BY_NAME)
    asked = name % os.fsencode(place) if b"%" in name else name
    thoroughly(worker, asked)
    Path("file").unlink()
    Path("file").symlink_to("secret")
    assert quickly(worker, asked) is None


def test_what_shows_the_supervisor_is_never_quick(place: Path) -> None:
    """Also when its name was met before; of the same procfs all else is."""
    worker = worker_of(BY_NAME)
    for _ in range(2):
        assert quickly(worker, b"/proc/%d/environ" % os.getpid()) is None
        assert quickly(worker, b"/proc/version") == Path("/proc/version").read_bytes()


def test_only_what_may_wait_has_others_woken(place: Path) -> None:
    """The turn to receive calls is kept over an act that is short, and passed on before others."""
    worker = worker_of(BY_NAME)
    turn = worker.shared.turn
    turn.take(worker)
    holders: list[object] = []

    def act() -> int:
        holders.append(turn.holder)
        return 0

    worker.act(act, waits=False)
    worker.act(act)
    assert holders == [worker, None]


def test_what_was_decided_before_is_remembered_of_nothing(place: Path) -> None:
    """A supervisor that judges and acts apart may act on another name than it judged."""
    worker = worker_of(BY_NAME)
    assert worker.judge(("/file",), 0) == 0
    worker.is_decided = True
    assert worker.refusal(b"/secret") == 0  # which is how such a one falls
    worker.is_decided, worker.decision = False, None
    assert worker.refusal(b"/secret") == EACCES
    assert worker.judging.known["openat"] == {}


def test_what_is_known_counts_for_the_caller_itself(place: Path) -> None:
    """With other ids a call is permitted where a rule says so, and that is asked each time."""
    worker = worker_of(BY_NAME)
    assert worker.refusal(b"/file") == 0
    assert worker.is_known(b"/file")
    worker.elevation = Elevation(uid=0)
    assert worker.refusal(b"/file") == EPERM
    assert not worker.is_known(b"/file")


@pytest.mark.parametrize(
    ("call", "args", "is_fixed"),
    [
        ("setresuid", (2**32 - 1, os.getuid(), 2**32 - 1), True),
        ("setresuid", (2**32 - 1, os.getuid() + 1, 2**32 - 1), False),
        ("setgroups", (0, 0, 0), False),
        ("chroot", (0, 0, 0), False),
    ],
)
def test_who_sets_the_ids_that_it_has_changes_nothing(
    place: Path, call: str, args: tuple[int, ...], is_fixed: bool
) -> None:
    """make(1) does so before each of its commands; any other change has all tasks asked anew."""
    worker = worker_of(BY_NAME)
    worker.shared.are_credentials_fixed = True
    carried_out: list[int] = []

    def plain(worker: Worker, args: tuple[int, ...]) -> None:
        carried_out.append(args[1])

    handler = change(worker.shared, call, "x86_64", plain)
    handler(worker, (*args, 0, 0, 0))  # type: ignore[arg-type]
    assert worker.shared.are_credentials_fixed is is_fixed
    assert worker.is_changing is not is_fixed
    assert carried_out == [args[1]]
