"""Cleaning a name changes nothing that the kernel could see otherwise."""

from __future__ import annotations

import pytest

from enforcer.pin import lexical


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        (b"/a/b", b"/a/b"),
        (b"/a//b", b"/a/b"),
        (b"//a/b", b"/a/b"),
        (b"/a/./b", b"/a/b"),
        (b"/./a", b"/a"),
        (b"a/././b", b"a/b"),
        (b"./a", b"a"),
        (b"/a/.b", b"/a/.b"),
        (b".a", b".a"),
        (b"/a/...", b"/a/..."),
        (b"..a/b", b"..a/b"),
        (b"/a/b..", b"/a/b.."),
        (b"\xff/\n", b"\xff/\n"),
    ],
)
def test_a_clean_name_keeps_its_meaning(name: bytes, clean: bytes) -> None:
    """Only doubled slashes and inner dots go."""
    assert lexical(name) == clean


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"/",
        b"//",
        b".",
        b"..",
        b"/.",
        b"/..",
        b"./",
        b"a/",
        b"a/.",
        b"a/..",
        b"a/../b",
        b"../a",
    ],
)
def test_a_name_that_needs_steps_is_left_alone(name: bytes) -> None:
    """Ends that mean a directory, and everything with `..`, are for the kernel to walk."""
    assert lexical(name) is None
