"""Calls in the usual case: at a glance, judged by the same names, and nothing odd taken for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EACCES, EINVAL, ENOENT
from pathlib import Path

import pytest

from enforcer.kernel import openat2 as kernel
from enforcer.pin import View, perform, performing
from enforcer.pin import glance as glancing
from enforcer.pin.glance import GLANCES, by_text, glance
from enforcer.pin.identity import Identity
from enforcer.pin.places import Places
from enforcer.pin.same_objects import SameObjects
from enforcer.pin.view import own_identity
from enforcer.syscalls.arguments import AT_FDCWD
from tests.pin.target import Target, build_tree

CWD = AT_FDCWD & 0xFFFF_FFFF_FFFF_FFFF
NAME, OUTPUT = -1, -2
FORMS: dict[str, tuple[int, ...]] = {
    "stat": (NAME, OUTPUT),
    "lstat": (NAME, OUTPUT),
    "newfstatat": (CWD, NAME, OUTPUT, 0),
    "statx": (CWD, NAME, 0, 0x7FF, OUTPUT),
    "access": (NAME, 4),
    "faccessat": (CWD, NAME, 4),
    "faccessat2": (CWD, NAME, 4, 0),
    "readlink": (NAME, OUTPUT, 100),
    "readlinkat": (CWD, NAME, OUTPUT, 100),
    "mkdir": (NAME, 0o777),
    "mkdirat": (CWD, NAME, 0o777),
    "unlink": (NAME,),
    "unlinkat": (CWD, NAME, 0),
    "rmdir": (NAME,),
}
"""Registers, with places for the name and for what is written."""

USUAL: dict[str, tuple[bytes, int]] = {
    **dict.fromkeys(FORMS, (b"dir/file", 0)),
    "readlink": (b"to_file", 4),
    "readlinkat": (b"to_file", 4),
    "mkdir": (b"dir/made", 0),
    "mkdirat": (b"dir/made", 0),
    "rmdir": (b"empty", 0),
}
LOOKS = [call for call in FORMS if not GLANCES[call].changes]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    build_tree(tree)
    with Target(tree) as target:
        yield target


class Judge:
    """Refuses names with `denied` in them, and keeps what it was asked."""

    def __init__(self, denied: str = "//") -> None:
        self.denied = denied
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, names: tuple[str, ...], missing: int) -> int:
        self.asked.append(names)
        return EACCES if self.denied in names[0] else 0


def registers(target: Target, call: str, name: bytes) -> list[int]:
    target.clear()
    at = {NAME: target.text(name), OUTPUT: target.output}
    given = [at.get(value, value) for value in FORMS[call]]
    return [*given, *[0] * (6 - len(given))]


def glanced(target: Target, view: View, call: str, name: bytes, judge: Judge) -> int | None:
    return glance(GLANCES[call], view, registers(target, call, name), name, by_text(judge))


def test_every_call_has_a_form_here() -> None:
    """No call is left out of the tables above."""
    assert set(FORMS) == set(GLANCES)


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
@pytest.mark.parametrize("call", FORMS)
def test_the_usual_case_takes_a_glance(
    target: Target, tree: Path, call: str, absolute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is resolved step by step, and the canonical name is what is judged."""

    def refuse(*_given: object) -> int:
        raise AssertionError("the thorough way was gone")

    monkeypatch.setattr(performing, "_perform", refuse)
    name, result = USUAL[call]
    full = os.fsencode(tree) + b"/" + name
    judge = Judge()
    args = registers(target, call, full if absolute else name)
    assert perform(target.view(), "x86_64", call, args, judge) == result
    assert judge.asked == [(os.fsdecode(full),)]


@pytest.mark.parametrize("call", LOOKS)
def test_a_missing_name_is_judged_before_it_is_missing(
    target: Target, tree: Path, call: str
) -> None:
    """A refusal tells nothing of what is there; a permitted name is missing as in the kernel."""
    view = target.view()
    judge = Judge("secret")
    assert glanced(target, view, call, b"dir/nothing", judge) == -ENOENT
    assert glanced(target, view, call, b"dir/secret", judge) == -EACCES
    assert judge.asked == [(f"{tree}/dir/nothing",), (f"{tree}/dir/secret",)]


@pytest.mark.parametrize("call", FORMS)
def test_a_refusal_leaves_no_effect(target: Target, tree: Path, call: str) -> None:
    """What is denied is neither written to the task nor done."""
    name, _ = USUAL[call]
    before = sorted(tree.rglob("*"))
    assert glanced(target, target.view(), call, name, Judge("tree")) == -EACCES
    assert sorted(tree.rglob("*")) == before
    assert not any(target.written())


ODD = {
    "empty": b"",
    "link-to-nothing-on-the-way": b"dangling/x",
    "file-on-the-way": b"file/x",
    "long": b"x" * 4096,
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("call", FORMS)
def test_odd_names_are_left_alone(target: Target, call: str, name: str) -> None:
    """Nobody is asked about a name that may not be the canonical one, and nothing is done."""
    judge = Judge()
    assert glanced(target, target.view(), call, ODD[name], judge) is None
    assert judge.asked == []


SPLIT = (
    b".",
    b"..",
    b"dir/",
    b"dir/.",
    b"dir//.//",
    b"dir/..",
    b"to_dir/",
    b"to_dir/.",
    b"file/",
    b"file/.",
    b"nothing/.",
    b"dir/../file",
    b"to_dir/../file",
    b"to_dir/../dir/file",
    b"dir/..//./file",
    b"dir/../dir/../file",
    b"dir/../nothing",
    b"dir/../nothing/more",
    b"dir/../nothing/.",
    b"dir/../to_file",
    b"dir/../to_dir/.",
    b"nothing/../file",
    b"file/../file",
    b"dangling/../file",
    b"/proc/self/.",
    b"/proc/self/../self/comm",
    b"/proc/self/../../etc/../etc/passwd",
    b"/proc/self/cwd/../file",
    b"to_file",
    b"to_dir",
    b"to_dir/file",
    b"to_dir/../to_dir/file",
    b"to_dir/nothing",
    b"dangling",
    b"/proc/self",
    b"/proc/self/comm",
    b"/proc/self/exe",
    b"/proc/self/cwd",
    b"/proc/self/cwd/file",
    b"/dev/fd/0",
)
"""Spellings that the kernel walks to a directory, or by links."""


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
@pytest.mark.parametrize("name", SPLIT, ids=os.fsdecode)
@pytest.mark.parametrize("call", ["newfstatat", "lstat", "access"])
def test_a_name_by_way_of_a_directory_is_judged_as_by_the_thorough_way(
    target: Target, tree: Path, call: str, name: bytes, absolute: bool
) -> None:
    """By the same name and with the same end, or not at all."""
    if absolute and name[:1] != b"/":
        name = os.fsencode(tree) + b"/" + name
    at_once, walking = Judge(), Judge()
    args = registers(target, call, name)
    result = glance(GLANCES[call], target.view(), args, name, by_text(at_once))
    seen = target.written()
    if result is None:
        assert at_once.asked == []
        return
    args = registers(target, call, name)
    walked = performing.perform_walking(target.view(), "x86_64", call, args, walking, {})
    assert (result, at_once.asked) == (walked, walking.asked)
    assert seen == target.written()


@pytest.mark.parametrize("name", [b"dir/../file", b"to_dir/../dir/file", b"to_dir/.", b"dir/"])
def test_a_name_by_way_of_a_directory_takes_a_glance(
    target: Target, tree: Path, name: bytes
) -> None:
    """Compilers look at their files by names like these."""
    judge = Judge()
    assert glanced(target, target.view(), "newfstatat", name, judge) == 0
    assert judge.asked == [(os.path.realpath(tree / os.fsdecode(name)),)]


@pytest.mark.parametrize("name", [b"dir/../file", b"dir/", b"dir/.", b"dir/../dir/made"])
@pytest.mark.parametrize("call", [call for call in FORMS if call not in LOOKS or "link" in call])
def test_an_entry_is_named_by_its_last_part(target: Target, call: str, name: bytes) -> None:
    """What changes or reads an entry is left alone where that is not a plain one."""
    judge = Judge()
    assert glanced(target, target.view(), call, name, judge) is None
    assert judge.asked == []


@pytest.mark.parametrize("name", [b"/proc/self/.", b"/proc/self/../self/comm", b"/proc/self/fd/."])
def test_procfs_is_left_alone_where_its_links_may_be_on_the_way(
    target: Target, name: bytes
) -> None:
    """They lead to whoever walks, who is the supervisor here."""
    judge = Judge()
    assert glanced(target, target.view(), "stat", name, judge) is None
    assert judge.asked == []


FOLLOWED = [call for call in LOOKS if not GLANCES[call].never]


@pytest.mark.parametrize("name", [b"to_file", b"to_dir/file", b"to_dir"])
@pytest.mark.parametrize("call", FOLLOWED)
def test_what_links_lead_to_is_judged_by_its_own_name(
    target: Target, tree: Path, call: str, name: bytes
) -> None:
    """Every look at a program or library by its usual name is one."""
    judge = Judge()
    assert glanced(target, target.view(), call, name, judge) == 0
    assert judge.asked == [(os.path.realpath(tree / os.fsdecode(name)),)]
    refusing = Judge(os.path.realpath(tree / os.fsdecode(name)))
    assert glanced(target, target.view(), call, name, refusing) == -EACCES
    assert not any(target.written())


@pytest.mark.parametrize("call", ["lstat", "readlink"])
def test_a_link_by_way_of_a_link_is_judged_by_its_own_name(
    target: Target, tree: Path, call: str
) -> None:
    """It is followed on the way, and not at the end."""
    (tree / "dir" / "inner").symlink_to("file")
    judge = Judge()
    assert glanced(target, target.view(), call, b"to_dir/inner", judge) in (0, 4)
    assert judge.asked == [(f"{tree}/dir/inner",)]


@pytest.mark.parametrize("call", [call for call in FORMS if GLANCES[call].changes])
def test_an_entry_beyond_a_link_is_left_alone(target: Target, call: str) -> None:
    """Its directory is named by the thorough way alone."""
    judge = Judge()
    assert glanced(target, target.view(), call, b"to_dir/file", judge) is None
    assert judge.asked == []


def test_what_may_have_been_unlinked_is_left_alone(target: Target, tree: Path) -> None:
    """The kernel ends the name of such an object as a file's may end."""
    (tree / "gone (deleted)").write_text("there")
    (tree / "to_gone").symlink_to("gone (deleted)")
    judge = Judge()
    assert glanced(target, target.view(), "stat", b"to_gone", judge) is None
    assert judge.asked == []


ODD_REGISTERS: dict[str, tuple[int, int]] = {
    "newfstatat": (3, 0x1000),
    "statx": (2, 0x1000),
    "access": (1, 8),
    "faccessat": (2, 8),
    "faccessat2": (3, 0x200),
    "readlink": (2, 0),
    "readlinkat": (3, 0xFFFF_FFFF),
    "unlinkat": (2, 0x100),
}


@pytest.mark.parametrize("call", ODD_REGISTERS)
def test_odd_registers_are_left_alone(target: Target, call: str) -> None:
    """Flags that mean more, and what the kernel refuses before it looks at the name."""
    name, _ = USUAL[call]
    args = registers(target, call, name)
    place, value = ODD_REGISTERS[call]
    args[place] = value
    judge = Judge()
    assert glance(GLANCES[call], target.view(), args, name, by_text(judge)) is None
    assert judge.asked == []


class Dropped(View):
    """A task with other ids than its supervisor."""

    def identity(self) -> Identity:
        return own_identity()._replace(uids=(1, 1, 1, 1))


@pytest.mark.parametrize("call", FORMS)
def test_other_rights_are_left_to_those_who_take_them_on(target: Target, call: str) -> None:
    """A glance is made with the supervisor's own rights."""
    view = Dropped(target.pid, target.pid, fixed_root=True)
    judge = Judge()
    name, _ = USUAL[call]
    assert glanced(target, view, call, name, judge) is None
    assert judge.asked == []


def test_another_name_of_a_denied_object_is_left_alone(target: Target, tree: Path) -> None:
    """A hard link of a name that is denied by equality is judged by both."""
    view = target.view()
    view.same_objects = SameObjects([f"{tree}/hard"], Places())
    judge = Judge("hard")
    assert glanced(target, view, "stat", b"file", judge) is None
    args = registers(target, "stat", b"file")
    assert perform(view, "x86_64", "stat", args, judge) == -EACCES


@pytest.mark.parametrize("call", FORMS)
def test_names_of_another_root_are_left_alone(target: Target, tree: Path, call: str) -> None:
    """Where a task may have other mounts the kernel's names are not what rules speak of."""
    judge = Judge()
    name, _ = USUAL[call]
    view = target.view(fixed_root=False)
    for text in (name, os.fsencode(tree) + b"/" + name):
        assert glanced(target, view, call, text, judge) is None
    assert judge.asked == []


def test_a_flag_beyond_a_c_int_is_not_one(target: Target) -> None:
    """The kernel takes the lower half of the register."""
    args = registers(target, "newfstatat", b"to_file")
    args[3] = 1 << 32 | 0x100
    refusal = by_text(Judge())
    assert glance(GLANCES["newfstatat"], target.view(), args, b"to_file", refusal) == 0


@pytest.mark.parametrize(
    ("name", "result"),
    [(b"to_dir", 3), (b"dir", -EINVAL), (b"dir/sub", -EINVAL), (b"to_dir/sub", -EINVAL)],
)
def test_a_directory_is_told_from_a_link_to_one(
    target: Target, tree: Path, name: bytes, result: int
) -> None:
    """readlink reads the link at the end, and follows those on the way.

    Once followed: a link whose time of access is still to be written is left alone in any case.
    """
    assert (tree / "to_dir").is_dir()
    assert glanced(target, target.view(), "readlink", name, Judge()) == result


def test_a_link_that_is_known_is_asked_about_once(
    target: Target, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First it might be a directory; what takes its place is seen for what it is."""
    asked: list[int] = []

    def openat2(dirfd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
        asked.append(flags)
        return kernel.openat2(dirfd, path, flags, mode, resolve)

    monkeypatch.setattr(glancing, "openat2", openat2)
    monkeypatch.setattr(glancing, "_links", glancing._Links())
    name, directory = os.fsencode(tree / "to_file"), os.fsencode(tree)
    view = target.view()
    for name_read, result, calls in (
        (name, 4, 2),
        (directory, -EINVAL, 1),
        (name, 4, 1),
    ):
        asked.clear()
        assert glanced(target, view, "readlink", name_read, Judge()) == result
        assert len(asked) == calls
    (tree / "to_file").unlink()
    assert glanced(target, view, "readlink", name, Judge()) == -ENOENT
    (tree / "to_file").mkdir()
    for _ in "ab":
        assert glanced(target, view, "readlink", name, Judge()) == -EINVAL


def test_after_a_link_another_is_expected(
    target: Target, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of many links is asked about once; what is none after all is seen for what it is."""
    asked: list[int] = []

    def openat2(dirfd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
        asked.append(flags)
        return kernel.openat2(dirfd, path, flags, mode, resolve)

    monkeypatch.setattr(glancing, "openat2", openat2)
    monkeypatch.setattr(glancing, "_links", glancing._Links())
    for number in range(3):
        (tree / f"link{number}").symlink_to("file")
    view = target.view()
    for name, result, calls in (
        ("link0", 4, 2),
        ("link1", 4, 1),
        ("missing", -ENOENT, 1),
        (".", -EINVAL, 1),
        ("link2", 4, 2),
    ):
        asked.clear()
        place = os.fsencode(tree / name)
        assert glanced(target, view, "readlink", place, Judge()) == result, name
        assert len(asked) == calls, name


class Bound:
    """Everything is some denied object under another name."""

    def of(self, fd: int) -> tuple[str, ...]:
        return ("/denied",)


def test_a_directory_with_other_names_is_left_alone(target: Target) -> None:
    """Binds give directories other names, which readlink must be judged by too."""
    view = target.view()
    view.same_objects = Bound()
    judge = Judge()
    assert glanced(target, view, "readlink", b"dir", judge) is None
    assert judge.asked == []


def test_who_wants_to_know_of_missing_directories_walks(target: Target, tree: Path) -> None:
    """A glance does not tell whether the directory of a name is missing too."""
    view = target.view()
    view.tells_missing = True
    assert not (tree / "nowhere/x").exists()  # and is known not to
    assert glanced(target, view, "readlink", b"nowhere/x", Judge()) is None


def test_a_call_that_the_kernel_refuses_is_refused(target: Target) -> None:
    """readlink of what is no link is EINVAL, not the ENOENT of an empty name."""
    assert glanced(target, target.view(), "readlink", b"file", Judge()) == -EINVAL
