"""Building: every attack for every ABI, without a warning, once."""

from __future__ import annotations

import functools
import os
import shlex
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from enforcer.arch import ABIS, native
from harness import build as building
from harness.attack import Attack, load_attacks
from harness.build import WARNINGS, BuildError, Compiler, build, build_source, compiler
from harness.directories import cache_directory
from tests.attacks.laboratory import ROOT

OWN = [abi.name for abi in native().abis]
NATIVE = OWN[0]
ATTACKS = load_attacks(ROOT).values()
CASES = [(attack, abi) for attack in ATTACKS for abi in attack.abis if abi in OWN]
EMPTY = "int main(void) { return 0; }\n"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("attack", "abi"), CASES, ids=[f"{a.name}-{abi}" for a, abi in CASES])
def test_an_attack_builds(attack: Attack, abi: str) -> None:
    """A static executable of the ABI's pointer size."""
    program = build(attack, abi)
    assert program.stat().st_mode & stat.S_IXUSR
    with program.open("rb") as file:
        header = file.read(5)
    assert header == b"\x7fELF" + bytes([ABIS[abi].pointer_size // 4])
    assert b"ld-linux" not in program.read_bytes()[:4096]


@pytest.mark.parametrize(("attack", "abi"), CASES, ids=[f"{a.name}-{abi}" for a, abi in CASES])
def test_an_attack_warns_of_nothing(attack: Attack, abi: str, tmp_path: Path) -> None:
    """-Wall -Wextra -Werror."""
    include = f"-I{ROOT / 'include'}"
    completed = compiler(abi).build(
        attack.program, tmp_path / "out.o", *WARNINGS, "-Werror", "-c", include
    )
    assert completed.status == 0, completed.describe()
    assert completed.stderr == ""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_for_abis_that_can_be_built(attack: Attack) -> None:
    """Every ABI of a manifest is the machine's own or has a target of the cross compiler."""
    assert set(attack.abis) <= set(building.ZIG_TARGETS)


def test_the_same_content_is_built_once(own_cache: Path, tmp_path: Path) -> None:
    """The second build touches nothing; another content, also of a header, is another program."""
    source, header = tmp_path / "one.c", tmp_path / "one.h"
    source.write_text('#include "one.h"\n' + EMPTY)
    header.write_text("#define ONE 1\n")
    first = build_source(source, NATIVE, include=tmp_path)
    stamp = first.stat().st_mtime_ns
    assert first.is_relative_to(own_cache)
    assert build_source(source, NATIVE, include=tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    header.write_text("#define ONE 2\n")
    assert build_source(source, NATIVE, include=tmp_path) != first


def test_builds_at_the_same_time_agree(own_cache: Path, tmp_path: Path) -> None:
    """Eight builders of one program make it once, and none sees half of it."""
    source = tmp_path / "one.c"
    source.write_text(EMPTY)

    def inode(_: int) -> int:
        return build_source(source, NATIVE, include=tmp_path).stat().st_ino

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(inode, range(8)))) == 1
    left = [path.name for path in (own_cache / "interposition-lab" / "attacks").iterdir()]
    assert len([name for name in left if not name.endswith(".lock")]) == 1


def test_a_program_with_a_mistake_is_one_clear_error(own_cache: Path, tmp_path: Path) -> None:
    """The error has the file, the ABI, the command and what the compiler said; nothing is kept."""
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return missing; }\n")
    with pytest.raises(BuildError) as caught:
        build_source(source, NATIVE, include=tmp_path)
    assert all(word in str(caught.value) for word in (str(source), NATIVE, "missing", "-static"))
    assert not list((own_cache / "interposition-lab" / "attacks").glob("wrong-*[!k]"))


def test_without_a_compiler_the_error_says_how_to_get_one(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither cc nor ziglang: one sentence, with both ways out."""
    monkeypatch.setattr(building, "_candidates", lambda abi: iter(()))
    with pytest.raises(BuildError, match=r"install gcc.*ziglang"):
        building.compiler.__wrapped__("i386")


def test_a_compiler_that_cannot_link_is_passed_over(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `cc -m32` without the 32-bit C library: the next one serves."""
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    working = compiler(NATIVE)
    monkeypatch.setattr(
        building, "_candidates", lambda abi: iter((Compiler(command=(str(broken),)), working))
    )
    assert building.compiler.__wrapped__(NATIVE) == working


def _words() -> str:
    """How a shell calls a compiler that works here."""
    return f'{shlex.join(compiler(NATIVE).command)} "$@"'


def _script(path: Path, text: str) -> Compiler:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Compiler(command=(str(path),))


def test_a_compiler_that_is_not_needed_is_not_tried(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zig's C library takes half a minute, for nothing where cc works."""
    working = compiler(NATIVE)

    def two() -> Iterator[Compiler]:
        yield working
        raise AssertionError("the second was asked for")

    monkeypatch.setattr(building, "_candidates", lambda abi: two())
    assert compiler.__wrapped__(NATIVE) == working


def test_a_compiler_that_failed_is_tried_again(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said is told; nothing of it stays when the disk has room again."""
    once = _script(
        tmp_path / "cc", f"mkdir '{tmp_path}/full' || exec {_words()}; echo full >&2; exit 1"
    )
    monkeypatch.setattr(building, "_candidates", lambda abi: iter((once,)))
    monkeypatch.setattr(building, "compiler", functools.cache(compiler.__wrapped__))
    with pytest.raises(BuildError, match=r"(?s)no compiler.*full"):
        building.compiler(NATIVE)
    assert building.compiler(NATIVE) == once


def test_compilers_are_tried_by_one_at_a_time(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody meets another's first build of a C library half done."""
    busy = tmp_path / "busy"
    alone = _script(tmp_path / "cc", f"mkdir '{busy}' && {_words()} && rmdir '{busy}'")
    monkeypatch.setattr(building, "_candidates", lambda abi: iter((alone,)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: compiler.__wrapped__(NATIVE), range(4)))
    assert found == [alone] * 4


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME, else ~/.cache."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_directory() == Path("/home/somebody/.cache/interposition-lab")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath("/elsewhere"))
    assert cache_directory() == Path("/elsewhere/interposition-lab")


def test_installations_do_not_share_what_zig_keeps(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler is told of a directory that belongs to its own installation."""
    told = tmp_path / "told"
    script = f'printf "%s\\n" "$ZIG_GLOBAL_CACHE_DIR" >> {shlex.quote(str(told))}'
    compiler_of_ours = Compiler(command=("sh", "-c", script))
    for prefix in ("/one", "/other", "/one"):
        monkeypatch.setattr("sys.prefix", prefix)
        compiler_of_ours.build(tmp_path / "x.c", tmp_path / "x")
    first, other, again = told.read_text().splitlines()
    assert first == again != other
    assert Path(first).is_dir()
    assert Path(first).is_relative_to(own_cache)


def test_what_takes_long_to_build_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a compiler that builds its C library, and each ABI has its turn; those whose
    compilers are there, or nowhere, are not awaited.
    """
    begun, built, last = threading.Event(), threading.Event(), threading.Event()
    tried: list[str] = []

    def slow(abi: str) -> Compiler:
        tried.append(abi)
        if abi == "none":
            raise BuildError("no compiler")
        if abi == "slow":
            begun.set()
            built.wait()
        if abi == "last":
            last.set()
        return Compiler(command=("true",))

    monkeypatch.setattr(building, "compiler", slow)
    assert building.awaited(["here", "none", "here"]) == frozenset()
    monkeypatch.setattr(building, "_AT_HAND_S", 0.0)
    assert building.awaited(["slow", "last"]) >= {"last"}
    begun.wait()
    assert tried == ["here", "none", "slow"]
    built.set()
    last.wait()
    assert tried[-1] == "last"
