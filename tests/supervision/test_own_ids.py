"""Which calls on ids leave their caller who it is."""

from __future__ import annotations

import pytest

from enforcer.pin.identity import Identity
from enforcer.supervision.own_ids import keeps_ids

KEEP = 0xFFFF_FFFF
KEEP_LONG = 0xFFFF_FFFF_FFFF_FFFF
KEEP_SHORT = 0xFFFF
JUNK = 7 << 32
PLAIN = Identity(
    uids=(5,) * 4, gids=(6,) * 4, groups=(), effective=0, permitted=0, namespace="user:[1]"
)
SAVED = PLAIN._replace(uids=(5, 5, 0, 5))
LARGE = PLAIN._replace(uids=(1 << 16 | 5,) * 4)


@pytest.mark.parametrize(
    ("call", "abi", "args", "identity", "keeps"),
    [
        ("setresuid", "x86_64", (KEEP, 5, KEEP), PLAIN, True),
        ("setresuid", "x86_64", (KEEP_LONG, JUNK | 5, KEEP), PLAIN, True),
        ("setresgid", "x86_64", (KEEP, 6, KEEP), PLAIN, True),
        ("setresuid32", "i386", (KEEP, 5, KEEP), PLAIN, True),
        ("setreuid", "i386", (KEEP_SHORT, 5), PLAIN, True),
        ("setfsgid", "x86_64", (6,), PLAIN, True),
        ("setuid", "x86_64", (5, 0), PLAIN, True),
        ("setresuid", "x86_64", (KEEP, KEEP, 0), PLAIN, False),
        ("setresuid", "x86_64", (KEEP, 6, KEEP), PLAIN, False),
        ("setresgid", "x86_64", (KEEP, 5, KEEP), PLAIN, False),
        ("setresuid", "x86_64", (KEEP, 5, KEEP), SAVED, False),
        ("setuid", "x86_64", (0xFFFF_FFFE,), SAVED, False),
        ("setuid", "x86_64", (5,), LARGE, False),
        ("setuid", "i386", (1 << 16 | 5,), LARGE, False),
        ("setgroups", "x86_64", (6, 6), PLAIN, False),
        ("capset", "x86_64", (6, 6), PLAIN, False),
        ("landlock_restrict_self", "x86_64", (KEEP, 0), PLAIN, False),
    ],
)
def test_only_ids_that_a_caller_has_everywhere_are_nothing_new(
    call: str, abi: str, args: tuple[int, ...], identity: Identity, keeps: bool
) -> None:
    """Ids are as wide as the call takes them; one of several that it has may still change much."""
    assert keeps_ids(call, abi, (*args, *[9] * (6 - len(args))), identity) is keeps
