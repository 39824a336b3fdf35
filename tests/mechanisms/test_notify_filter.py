"""What notify's filter sends to the supervisor though the policy permits it by registers."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.call import Action
from enforcer.cbpf.spec import ALLOW, USER_NOTIF, SeccompData, evaluate
from enforcer.condition import holds
from enforcer.mechanisms.notify.filter import build_filter, root_changes
from enforcer.policy.ast import Dialect, Policy
from enforcer.syscalls import number

PERMISSIVE = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)
NEWNS, NEWUSER, NEWPID = 0x2_0000, 0x1000_0000, 0x2000_0000


def answer(abi: str, call: str, *registers: int) -> int:
    """The filter's answer under a policy that permits everything."""
    nr = number(abi, call)
    assert nr is not None
    a, b, c, d, e, f = (*registers, 0, 0, 0, 0, 0, 0)[:6]
    spec = build_filter([PERMISSIVE], [ABIS["x86_64"], ABIS["i386"]])
    return evaluate(spec, SeccompData(nr, ABIS[abi].audit_arch, (a, b, c, d, e, f)))


IDS = ("uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid", "groups")


@pytest.mark.parametrize("abi", ["x86_64", "i386"])
@pytest.mark.parametrize(
    ("call", "registers"),
    [
        ("chroot", ()),
        ("pivot_root", ()),
        ("setns", (3, 0)),
        ("unshare", (NEWNS,)),
        ("unshare", (NEWUSER | NEWPID,)),
        ("unshare", (1 << 40 | NEWUSER,)),
        ("clone", (NEWNS | 17,)),
        ("clone", (NEWUSER | 17,)),
        ("capset", ()),
        ("prctl", (24, 21)),
        ("prctl", (28, 0)),
        *((f"set{ids}", (1,)) for ids in IDS),
        ("pidfd_send_signal", (3, 9)),
        ("pidfd_getfd", (3, 0)),
        ("ioctl", (3, 0x8901)),
        ("ioctl", (3, 0x8902)),
        ("fcntl", (3, 15)),
        ("execve", ()),
        ("execveat", ()),
    ],
)
def test_what_the_supervisor_must_know_of_is_held(
    abi: str, call: str, registers: tuple[int, ...]
) -> None:
    """Changes of root, namespaces and credentials, executions, and calls that may name it."""
    assert answer(abi, call, *registers) == USER_NOTIF


@pytest.mark.parametrize("abi", ["x86_64", "i386"])
@pytest.mark.parametrize(
    ("call", "registers"),
    [
        ("chroot", ()),
        ("pivot_root", ()),
        ("setns", (3, 0)),
        ("unshare", (NEWNS,)),
        ("clone", (NEWNS | 17,)),
    ],
)
def test_after_another_root_nothing_is_taken_as_given(
    abi: str, call: str, registers: tuple[int, ...]
) -> None:
    """Also where the call is held for another reason, as setns is for its pidfd."""
    a, b, c, d, e, f = (*registers, 0, 0, 0, 0, 0, 0)[:6]
    assert holds(root_changes(abi)[call], (a, b, c, d, e, f))


@pytest.mark.parametrize("call", [f"set{ids}32" for ids in IDS])
def test_ids_of_32_bits(call: str) -> None:
    """i386 has two calls for each."""
    assert answer("i386", call, 1) == USER_NOTIF


@pytest.mark.parametrize(
    ("call", "registers"),
    [
        ("unshare", (NEWPID,)),
        ("clone", (17,)),
        ("prctl", (15, 0)),
        ("ioctl", (3, 0x5401)),
        ("fcntl", (3, 3)),
        ("getpid", ()),
    ],
)
def test_the_rest_is_answered_in_the_kernel(call: str, registers: tuple[int, ...]) -> None:
    """What changes nothing for the supervisor costs nobody a look."""
    assert answer("x86_64", call, *registers) == ALLOW


@pytest.mark.parametrize("abi", ["x86_64", "i386"])
def test_clone3_is_absent(abi: str) -> None:
    """Its flags lie in memory, so that nobody could see a new namespace."""
    assert answer(abi, "clone3", 0, 88) == USER_NOTIF


def test_only_the_launchers_abi_greets() -> None:
    """The number of the greeting is one of the first ABI, and unknown to any other."""
    spec = build_filter([PERMISSIVE], [ABIS["x86_64"], ABIS["i386"]])
    assert evaluate(spec, SeccompData(415, ABIS["x86_64"].audit_arch)) == USER_NOTIF
    assert [415 in table.calls for table in spec.tables[:2]] == [True, False]
