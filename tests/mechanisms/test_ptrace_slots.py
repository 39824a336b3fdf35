"""The page from which held calls take their arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.mechanisms.ptrace.slots import (
    AREA_SIZE,
    CODE_SIZE,
    NAME_SIZE,
    SLOT_SIZE,
    SMALL_SLOT_SIZE,
    Arena,
)
from tests.mechanisms.sandbox import program, run

POLICY = """\
default: permit
rules:
  - permit: fsread
    when: filename match "/*"
  - deny[eacces]: fsread
"""


@pytest.mark.parametrize("abi", ["x86_64", "i386"])
def test_slots_hold_across_births_and_exec(abi: str, tmp_path: Path) -> None:
    """Threads, fork, vfork, clone and exec open from slots that nobody can change or replace."""
    file = tmp_path / "file"
    file.write_text("content")
    ran = run("ptrace", POLICY, [program("slots", abi), file, "1"], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.count("attempts 6") == 2
    assert ran.decided() > 300


def test_no_two_slots_share_a_byte() -> None:
    """Code, small slots, slots and areas lie side by side, and each is given once until it is
    given back."""
    code = b"\xcc" * CODE_SIZE
    arena = Arena(code, slots=5, small_slots=7)
    taken = [(0, CODE_SIZE)]
    for take, size in (
        (arena.take_small, SMALL_SLOT_SIZE),
        (arena.take, SLOT_SIZE),
        (arena.take_area, AREA_SIZE),
    ):
        while (offset := take()) is not None:
            taken.append((offset, size))
    assert len(taken) == 1 + 7 + 5 + 4
    ends = [0, *(offset + size for offset, size in sorted(taken))]
    assert [offset for offset, _ in sorted(taken)] == ends[:-1]
    assert ends[-1] == arena.size
    arena.give(taken[8][0])
    assert (arena.take(), arena.take()) == (taken[8][0], None)
    assert bytes(arena.memory[:CODE_SIZE]) == code


def test_a_name_ends_where_it_ends() -> None:
    """A shorter name leaves nothing of a longer one before it."""
    arena = Arena(b"")
    slot = arena.take()
    assert slot is not None
    for name in (b"x" * (NAME_SIZE - 1), b"/short", b""):
        arena.write_name(slot, name)
        assert arena.name_at(slot) == name


@pytest.mark.parametrize("policy", [POLICY, "default: permit\nrules: []\n"])
@pytest.mark.parametrize("own_filter", [(), ("filter",)], ids=["", "own-filter"])
def test_slots_where_low_memory_is_full(
    policy: str, own_filter: tuple[str, ...], tmp_path: Path
) -> None:
    """A process that has reserved the low 4 GiB makes children by clone3 and opens files.

    A filter of its own that kills for openat2 does not see the tracer's, wherever the slots are.
    """
    file, missing = tmp_path / "file", tmp_path / "missing"
    file.write_text("content")
    ran = run("ptrace", policy, [program("low"), file, missing, *own_filter], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["child 0 2", "clone3 0", "parent 0 2"]
