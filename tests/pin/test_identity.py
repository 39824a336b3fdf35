"""Acting as somebody else, where the kernel lets it and where it does not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.kernel import namespaces, procfs
from enforcer.pin.identity import Identity, OutOfReach, act_as, parse_identity
from harness.places.isolation import Isolation, available
from harness.process import fork, wait

NO_CAPABILITIES = "no capabilities"
OTHER_GROUPS = "other groups"


def alone_in_a_user_namespace(body: Callable[[Identity], int]) -> int:
    """What `body` returns in a namespace of one user, without setgroups, as ordinary users get."""

    def child() -> int:
        uid, gid = os.getuid(), os.getgid()
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        fields = procfs.status_fields(procfs.read(os.getpid(), "status"))
        return body(parse_identity(fields, str(Path("/proc/self/ns/user").readlink())))

    return os.waitstatus_to_exitcode(wait(fork(child)))


@pytest.mark.skipif(available() is Isolation.PLAIN, reason="the kernel permits no user namespace")
@pytest.mark.parametrize(
    ("who", "result"), [(NO_CAPABILITIES, 0), (OTHER_GROUPS, -errno.EPERM)], ids=str
)
def test_groups_are_set_only_where_they_differ(who: str, result: int) -> None:
    """A task that merely has fewer rights is acted for; one with other groups is not."""

    def body(own: Identity) -> int:
        assert own.effective
        if who == NO_CAPABILITIES:
            identity = own._replace(effective=0)
        else:
            identity = own._replace(groups=(*own.groups, own.gids[0]))

        def act() -> int:
            line = next(
                text
                for text in Path("/proc/thread-self/status").read_text().splitlines()
                if text.startswith("CapEff")
            )
            return int(line.split()[1], 16)

        try:
            return int(act_as(identity, own, act) != result)
        except OutOfReach:
            return int(result != -errno.EPERM)

    assert alone_in_a_user_namespace(body) == 0
