"""What a sandbox is told of a policy: no more is permitted, and every loss stands at its rule."""

from __future__ import annotations

import pytest

from enforcer.access.kinds import Access
from enforcer.arch import native
from enforcer.mechanisms.contract import Extent
from enforcer.policy.ast import Policy
from enforcer.policy.parser import parse_yaml
from harness.backends import backend, external_names
from harness.backends.external import External
from harness.backends.fitting import Right, Rights, fit

ABIS = native().abis
READ = frozenset({Access.LOOK, Access.READ, Access.EXECUTE})
MOUNTS = Rights(
    everything=False,
    adds=False,
    grants=(
        Right(access=READ, words=("ro",)),
        Right(access=frozenset(Access), words=("rw",)),
    ),
    denials=(Right(access=frozenset(Access), words=("hide",), directories=True),),
    calls=("deny",),
    call_errno=1,
)
DENIALS = Rights(
    everything=True,
    adds=False,
    grants=(),
    denials=(
        Right(access=frozenset({Access.WRITE}), words=("read-only",)),
        Right(access=frozenset(Access), words=("hide",)),
    ),
)
LANDLOCK = Rights(everything=False, adds=True, grants=MOUNTS.grants)


def policy(*rules: str) -> Policy:
    """A policy that permits everything else."""
    lines = "\n".join(f"  - {rule}" for rule in rules)
    return parse_yaml(f"policy: /bin/true\ndefault: permit\nrules:\n{lines}\n", "test")


WRITES = policy(
    '{permit: fswrite, when: filename match "/srv/open/*"}',
    '{"deny[eacces]": fswrite}',
)
HIDDEN = policy('{"deny[eacces]": [fsread, fswrite], when: filename match "/srv/shut/*"}')
ONE_FILE = policy('{"deny[eacces]": [fsread, fswrite], when: filename eq "/srv/shut/object"}')
EXECUTION = policy(
    '{permit: [execve, execveat], when: filename match "/usr/*"}',
    '{"deny[eacces]": [execve, execveat]}',
)
CALL = policy('{"deny[eperm]": mkdir}')
LATE_CALL = policy('{permit: mkdir, when: filename match "/srv/*"}', '{"deny[eperm]": mkdir}')
REGISTERS = policy('{"deny[eperm]": ioctl, when: "arg[1] == 5"}')


@pytest.mark.parametrize(
    ("asked", "rights", "told"),
    [
        (WRITES, MOUNTS, (("/", ("ro",)), ("/srv/open", ("rw",)))),
        (WRITES, LANDLOCK, (("/", ("ro",)), ("/srv/open", ("rw",)))),
        (HIDDEN, MOUNTS, (("/", ("rw",)), ("/srv/shut", ("hide",)))),
        (HIDDEN, DENIALS, (("/srv/shut", ("hide",)),)),
    ],
)
def test_every_path_gets_the_widest_grant_that_fits(
    asked: Policy, rights: Rights, told: object
) -> None:
    """Above comes first, and what a directory has from above is not said again."""
    fitted = fit(asked, ABIS, rights)
    assert fitted.told == told
    assert Extent.NONE not in {cover.extent for cover in fitted.covers}


@pytest.mark.parametrize(
    ("asked", "rights", "rule", "because"),
    [
        (HIDDEN, LANDLOCK, 0, "read cannot be denied at /srv/shut"),
        (ONE_FILE, MOUNTS, 0, "read cannot be denied at /srv/shut/object"),
        (EXECUTION, MOUNTS, 1, "execution alone cannot be denied at /"),
        (REGISTERS, MOUNTS, 0, "no say in ioctl"),
    ],
)
def test_what_cannot_be_kept_is_said_at_its_rule(
    asked: Policy, rights: Rights, rule: int, because: str
) -> None:
    """Nothing is dropped in silence: that rule has no cover, with the reason."""
    fitted = fit(asked, ABIS, rights)
    cover = next(cover for cover in fitted.covers if cover.rule == rule)
    assert (cover.extent, because in cover.reason) == (Extent.NONE, True)


@pytest.mark.parametrize(("asked", "calls"), [(CALL, {"mkdir": 1}), (LATE_CALL, {})])
def test_a_call_is_denied_whole_where_no_rule_permits_it(
    asked: Policy, calls: dict[str, int]
) -> None:
    """A filter by name is told of a call only that is never permitted."""
    assert fit(asked, ABIS, MOUNTS).calls == calls


@pytest.mark.parametrize("name", external_names())
def test_every_description_keeps_a_write_policy_or_says_why(name: str) -> None:
    """Each shipped description can be read, and gives a reason for whatever it does not keep."""
    found = backend(name)
    assert isinstance(found, External)
    assert found.definition.name == name
    assert found.refusals
    covers = found.cover(WRITES, ABIS)
    assert [cover.rule for cover in covers] == [0, 1, None]
    assert all(cover.reason for cover in covers if cover.extent is not Extent.FULL)
