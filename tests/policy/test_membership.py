"""Membership that only memory can tell: openat2 by its flags, bind by its address."""

from __future__ import annotations

import pytest

from enforcer.policy.membership import (
    belongs_by_memory,
    is_path_of_address,
    is_reading,
    path_of_sockaddr,
)


@pytest.mark.parametrize(
    ("oflags", "reads"),
    [
        ("ro", True),
        ("ron", True),
        ("roa", True),
        ("rona", True),
        ("roc", False),
        ("rot", False),
        ("ronact", False),
        ("wo", False),
        ("rw", False),
        ("rwn", False),
        ("woa", False),
        ("", False),
    ],
)
def test_reading_alone(oflags: str, reads: bool) -> None:
    """Access mode ro, and nothing is created (c) or cut (t)."""
    assert is_reading(oflags) is reads

    def text(translator: str, index: int) -> str | None:
        return oflags if (translator, index) == ("oflags", 0) else None

    assert belongs_by_memory("openat2", "fsread", text) is reads
    assert belongs_by_memory("openat2", "fswrite", text) is not reads


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/run/x", "/run/x"),
        ("x", "x"),
        ("./@x", "./@x"),
        ("./inet-[1.2.3.4]:5", "./inet-[1.2.3.4]:5"),
        ("/run/inet-[x", "/run/inet-[x"),
        ("/run/@x", "/run/@x"),
        ("Inet-[x", "Inet-[x"),
        ("inet-x", "inet-x"),
        ("-[x", "-[x"),
        ("\n", "\n"),
        ("", ""),
        ("@x", ""),
        ("@", ""),
        ("inet-[1.2.3.4]:5", ""),
        ("inet6-[::1]:5", ""),
        ("unix-[]", ""),
        ("unspec-[]", ""),
        ("ieee802154_x-[00]", ""),
        ("family999-[01]", ""),
    ],
)
def test_paths_of_addresses(address: str, path: str) -> None:
    """Only the address of a socket in the file system is a path, and binding it writes."""
    assert path_of_sockaddr(address) == path

    def text(translator: str, index: int) -> str | None:
        return address if (translator, index) == ("sockaddr", 0) else None

    assert belongs_by_memory("bind", "fswrite", text) is (path != "")


@pytest.mark.parametrize(("name", "alias"), [("openat2", "fsread"), ("bind", "fswrite")])
def test_what_cannot_be_read_is_unknown(name: str, alias: str) -> None:
    """Neither a member nor none."""
    assert belongs_by_memory(name, alias, lambda translator, index: None) is None


@pytest.mark.parametrize(
    ("name", "translator", "expected"),
    [
        ("bind", "filename", True),
        ("bind", "sockaddr", False),
        ("connect", "filename", False),
        ("openat", "filename", False),
        ("rename", "filename", False),
        ("read", "filename", False),
        ("read", "call", False),
    ],
)
def test_the_path_of_an_address(name: str, translator: str, expected: bool) -> None:
    """Only bind's file name lies in its address."""
    assert is_path_of_address(name, translator) is expected
