"""The comparison of the model with the kernel's source notices what differs."""

from __future__ import annotations

import pytest

from enforcer.syscalls.compare import EXPECTED, compare, parse_definitions
from enforcer.syscalls.numbers import names

OPENAT = "SYSCALL_DEFINE4(openat, int, dfd, const char __user *, filename, int, flags,\n\t\t{})\n"


def test_definitions_are_read_over_line_ends() -> None:
    """Types and names alternate; a call without arguments has none."""
    text = OPENAT.format("umode_t, mode") + "SYSCALL_DEFINE0(getpid)\n"
    assert list(parse_definitions(text)) == [
        ("openat", ("int", "const char __user *", "int", "umode_t")),
        ("getpid", ()),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OPENAT.format("umode_t, mode"), []),
        (OPENAT.format("int, mode"), ["openat: mode is mode of 16 bits, not int"]),
        (OPENAT.format("char *, m"), ["openat: mode is mode of 16 bits, not char *"]),
        ("SYSCALL_DEFINE1(openat, int, dfd)\n", ["openat: 4 arguments, not 1"]),
        ("SYSCALL_DEFINE1(openat, int, dfd)\n" + OPENAT.format("umode_t, mode"), []),
        ("SYSCALL_DEFINE1(not_a_call, int, dfd)\n", []),
    ],
)
def test_differences(text: str, expected: list[str]) -> None:
    """A call is reported when no definition of its name fits."""
    assert list(compare([text])) == expected


def test_exceptions_are_calls() -> None:
    """What is excepted exists."""
    assert set(EXPECTED) <= names()
