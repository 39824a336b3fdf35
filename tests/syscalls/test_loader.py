"""The model's notation: what each word of a line says, and which lines are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.syscalls import loader
from enforcer.syscalls.loader import ModelError
from enforcer.syscalls.model import REGISTER_KINDS, TRANSLATOR_OF, Argument, Follow, Kind

CACHED = (loader._source, loader.syscall, loader.modelled, loader.varies, loader.aliases)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file to be read in place of the model."""
    path = tmp_path / "model.txt"
    monkeypatch.setattr(loader, "_SOURCE", path)
    for each in CACHED:
        each.cache_clear()
    yield path
    for each in CACHED:
        each.cache_clear()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("open x:floppy", "open: x: no such kind: floppy"),
        ("open x:path(y)", "open: x: no such word: y"),
        ("open x:path(maybe)", "open: x: no such word: maybe"),
        ("open x:fd | wild", "open: no such attribute: wild"),
        ("open a:fd b:fd c:fd d:fd e:fd f:fd g:fd", "open: 7 registers"),
        ("open@arm x:fd", "open: no line for all ABIs"),
        ("open x:fd\nopen x:cmd", "open: two lines"),
        ("open@arm x:fd\nopen@arm,i386 x:cmd", "open: two lines"),
    ],
)
def test_lines_that_are_refused(model: Path, line: str, said: str) -> None:
    """With the call and what is wrong."""
    model.write_text(line + "\n")
    with pytest.raises(ModelError, match=f"^{said}$"):
        loader.syscall("open")


def test_what_is_no_call(model: Path) -> None:
    """Comments and empty lines are none; an unknown name is a KeyError."""
    model.write_text("# open x:fd\n\nclose fd:fd\n")
    assert loader.modelled() == {"close"}
    with pytest.raises(KeyError):
        loader.syscall("open")


def test_lines_of_some_abis(model: Path) -> None:
    """They hold for those, the line without for all others."""
    model.write_text("open@arm,i386 x:fd\nopen x:cmd\n")
    kinds = {abi: loader.syscall("open", abi).arguments[0].kind for abi in ("arm", "i386", "x32")}
    assert kinds == {"arm": Kind.FD, "i386": Kind.FD, "x32": Kind.COMMAND}
    assert loader.syscall("open").arguments[0].kind is Kind.COMMAND
    assert loader.varies("open")


def test_equivalents(model: Path) -> None:
    """`=` both ways, `>` one way; lines add up, and no call is its own."""
    model.write_text("a\nb\nc\nd\n= a b\n= b c\n> a d\n")
    found = {name: loader.syscall(name).equivalents for name in "abcd"}
    assert found == {
        "a": frozenset("bd"),
        "b": frozenset("ac"),
        "c": frozenset("b"),
        "d": frozenset(),
    }


def test_aliases(model: Path) -> None:
    """By any line and in any way."""
    model.write_text(
        "a x:oflags | fsopen(x)\nb | fsopen()\nc | fsread\nd | fswrite()\ne | caller\n"
        "f@arm | fsread\nf\n"
    )
    assert loader.aliases() == {
        "fsread": frozenset("abcf"),
        "fswrite": frozenset("abd"),
    }
    assert [each.alias for each in loader.syscall("a").aliases] == ["fsread", "fswrite"]


def test_words_of_paths(model: Path) -> None:
    """All of them on one argument, in any order."""
    model.write_text(
        "a d:fd f:flags p:path(creates,d,f?AT_EMPTY_PATH,f+AT_SYMLINK_FOLLOW,entry,null,empty)\n"
    )
    assert loader.syscall("a").arguments[2] == Argument(
        index=2,
        name="p",
        kind=Kind.PATH,
        dirfd=0,
        follow=Follow.IF_FLAG,
        follow_argument=1,
        follow_flag=0x400,
        empty_flag=0x1000,
        creates=True,
        parent=True,
        empty=True,
        null=True,
    )


def test_a_descriptor_may_be_a_name(model: Path) -> None:
    """Which its object has; no other kind of argument in a register takes a word."""
    model.write_text("a d:fd(named) e:fd\nb d:fd(shown)\nc m:mode(named)\n")
    call = loader.syscall("a")
    assert [(each.named, each.is_name) for each in call.arguments] == [(True,) * 2, (False,) * 2]
    assert call.translators == ("fd", "filename", "fd")
    for name, word in (("b", "shown"), ("c", "named")):
        with pytest.raises(ModelError, match=f"{name}: .: no such word: {word}"):
            loader.syscall(name)


@pytest.mark.parametrize(
    ("abi", "places"),
    [(None, [0, 1, 2, 3]), ("x86_64", [0, 1, 2, 3]), ("i386", [0, 1, 3, 5]), ("arm", [0, 2, 4, 6])],
)
def test_pairs_of_registers(model: Path, abi: str | None, places: list[int]) -> None:
    """A 64-bit number takes two of a 32-bit ABI, on arm an even one and the next."""
    model.write_text("a w:fd x:off64 y:off64\n")
    found = loader.syscall("a", abi).arguments
    assert [each.index for each in found] == places[:3]
    model.write_text("a w:fd x:off64 y:off64 z:u32\n")
    for each in CACHED:
        each.cache_clear()
    if places[3] > 5:
        with pytest.raises(ModelError, match="a: 7 registers"):
            loader.syscall("a", abi)
    else:
        assert [each.index for each in loader.syscall("a", abi).arguments] == places


def test_widths(model: Path) -> None:
    """A slash gives the bits that count; masks follow."""
    model.write_text("a b:uid/16 c:flags/64 d:u32 e:u64 f:mode g:fd\n")
    found = loader.syscall("a").arguments
    assert [each.width for each in found] == [16, 64, 32, 64, 16, 32]
    assert [each.width32 for each in found] == [True, False, True, False, True, True]
    assert [each.mask for each in found] == [
        0xFFFF,
        2**64 - 1,
        0xFFFF_FFFF,
        2**64 - 1,
        0xFFFF,
        0xFFFF_FFFF,
    ]


TRANSLATORS = {
    "fd": "fd",
    "oflags": "oflags",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "pid": "pidname",
    "signal": "signame",
    "cmd": "cmd",
    "prot": "prot",
    "flags": "flags",
    "sockdom": "sockdom",
    "socktype": "socktype",
    "path": "filename",
    "string": "string",
    "sockaddr": "sockaddr",
    "argv": "argv",
}


def test_translators_of_kinds() -> None:
    """Every kind that rules speak of has its translator; memory is no register."""
    assert {kind.value: name for kind, name in TRANSLATOR_OF.items()} == TRANSLATORS
    memory = {"pointer", "path", "string", "sockaddr", "argv", "struct"}
    assert {kind.value for kind in Kind} - {kind.value for kind in REGISTER_KINDS} == memory


@pytest.mark.parametrize(
    ("layout", "translators"),
    [
        ("open_how", ("oflags", "mode")),
        ("clone_args", ("flags",)),
        ("msghdr", ("sockaddr",)),
        ("mmsghdr", ("sockaddr",)),
        ("mmap_arg_struct", ("prot", "flags", "fd")),
        ("sched_attr", ()),
    ],
)
def test_translators_within_structs(model: Path, layout: str, translators: tuple[str, ...]) -> None:
    """What rules see of a struct that the kernel reads."""
    model.write_text(f"a w:sig x:struct({layout})\n")
    assert loader.syscall("a").translators == ("signame", *translators)
