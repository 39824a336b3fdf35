"""audit: what is told of a run, by which object, and what its rules are made of."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from enforcer.arch import ABIS
from enforcer.kernel.audit import MOST_CALLS, Field, List, Message, Rule, rules_for
from enforcer.mechanisms.audit import MECHANISM, OBJECTS, _told
from enforcer.mechanisms.audit.records import key_of, told, words
from enforcer.mechanisms.contract import Extent, Inexpressible, LaunchError, Options
from enforcer.policy.parser import parse_yaml
from harness.evidence import Attributed, unwitnessed, witnessed

X86_64 = ABIS["x86_64"]
ABI_PAIR = (X86_64, ABIS["i386"])
LOGIN, GATE, PROGRAM = 4242, "/srv/bin/gate", "/srv/bin/program"
DENIED, ALLOWED = "/srv/shut/object", "/srv/open/object"
OBJECTS_OF = {("00:1c", 11): DENIED, ("00:1c", 12): ALLOWED}


def event(
    serial: int,
    name: str,
    inode: int,
    *,
    call: int = 257,
    exe: str = PROGRAM,
    login: int = LOGIN,
    success: str = "yes",
    arch: str = "c000003e",
) -> list[tuple[int, str]]:
    """The records of one call, as Linux 6.1 writes them."""
    stamp = f"audit(1795785480.218:{serial}): "
    head = (
        f"arch={arch} syscall={call} success={success} exit=3 a0=ffffff9c a1=7ffd a2=0 a3=0 "
        f"items=1 ppid=1 pid=77 auid={login} uid=9 gid=9 euid=9 suid=9 fsuid=9 egid=9 sgid=9 "
        f'fsgid=9 tty=(none) ses=4294967295 comm="program" exe="{exe}" subj=unconfined key=(null)'
    )
    path = (
        f"item=0 name={name} inode={inode} dev=00:1c mode=0100644 ouid=9 ogid=9 rdev=00:00 "
        "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
    )
    return [
        (Message.SYSCALL, stamp + head),
        (Message.CWD, stamp + 'cwd="/srv/dir"'),
        (Message.PATH, stamp + path),
        (Message.END_OF_EVENT, stamp),
    ]


SPELLINGS = [
    (f'"{DENIED}"', 11, DENIED),
    ('"lnk"', 11, DENIED),
    ("(null)", 11, DENIED),
    (f'"{DENIED}"', 12, ALLOWED),  # the name was changed before the kernel read it
    ("2F7372762F6F70656E2F6F626A656374", 11, DENIED),
    ('"there"', 99, "/srv/dir/there"),
    ('"/srv/other"', 99, "/srv/other"),
    ("2F612062", 99, "/a b"),
]


@pytest.mark.parametrize(("name", "inode", "object_"), SPELLINGS)
def test_an_object_is_told_by_its_inode(name: str, inode: int, object_: str) -> None:
    """Whatever it was called; what nobody knows, by the name that it was called by."""
    done, before = told(event(1, name, inode), LOGIN, OBJECTS_OF, GATE)
    assert [each["values"] for each in done] == [{"object": [object_]}]
    assert (done[0]["call"], done[0]["pid"], before) == ("openat", 77, 0)


NOT_TOLD: list[list[tuple[int, str]]] = [
    event(1, f'"{DENIED}"', 11, login=1),
    event(1, f'"{DENIED}"', 11, success="no"),
    [(Message.USER, "audit(1795785480.218:1): text")],
    [(1305, "audit(1795785480.218:1): op=add_rule list=4 res=1")],
    [(Message.SYSCALL, "no serial success=yes")],
]


@pytest.mark.parametrize("records", NOT_TOLD)
def test_what_is_not_the_runs_is_left_out(records: list[tuple[int, str]]) -> None:
    """Other tasks, what failed, and what is no call."""
    assert told(records, LOGIN, OBJECTS_OF, GATE) == ([], 0)


def test_calls_are_named_by_their_gate() -> None:
    """A number means another call on another ABI; a ring's operations are its own call's."""
    ring = "audit(1.1:3): uring_op=18 success=yes exit=5 items=1 ppid=1 pid=77 uid=9 gid=9"
    path = event(3, '"lnk"', 11)[2][1].replace("1795785480.218", "1.1")
    records = [
        *event(1, '"lnk"', 11, call=5, arch="40000003"),
        *event(2, '"lnk"', 11, call=999),
        (Message.URING, ring),
        (Message.PATH, path),
    ]
    done, _ = told(records, LOGIN, OBJECTS_OF, GATE)
    assert [each["call"] for each in done] == ["open", "number 999", "io_uring_enter"]
    assert all(each["values"] == {"object": [DENIED]} for each in done)


def test_a_name_forges_no_field() -> None:
    """Of two fields of a name the first counts, and a text in quotes is one field."""
    found = words('auid=7 comm="x auid=8 success=yes" auid=9')
    assert found == {"auid": "7", "comm": '"x auid=8 success=yes"'}


class Read:
    """Records that were read, and how many were lost."""

    def __init__(self, records: Sequence[tuple[int, str]], lost: int = 0) -> None:
        self._all = list(records), lost

    def all(self) -> tuple[list[tuple[int, str]], int]:
        return self._all


class Late(Read):
    """No end came."""

    def all(self) -> tuple[list[tuple[int, str]], int]:
        raise TimeoutError


SEEN = (
    {
        "event": "start",
        OBJECTS: [[device, inode, name] for (device, inode), name in OBJECTS_OF.items()],
        "gate": GATE,
        "target": 3,
    },
)
GATES = event(1, f'"{DENIED}"', 11, exe=GATE)
ACT = Attributed(calls=frozenset({"openat"}), denied=DENIED)


def test_what_was_read_is_told_behind_a_witness() -> None:
    """The gate's own open shows that records come; it is no act of the program's."""
    events = _told(Read([*GATES, *event(2, '"lnk"', 11)]), LOGIN, SEEN)  # type: ignore[arg-type]
    assert witnessed(events)
    assert ACT.told(events) == 1
    assert not ACT.shown(events)


@pytest.mark.parametrize(
    ("records", "lost", "why"),
    [(event(2, '"lnk"', 11), 0, "nothing is told of its gate"), (GATES, 3, "lost 3 records")],
)
def test_without_the_gates_record_nothing_is_witnessed(
    records: list[tuple[int, str]], lost: int, why: str
) -> None:
    """Rules that are not there, and a kernel that loses records, are no log."""
    events = _told(Read(records, lost), LOGIN, SEEN)  # type: ignore[arg-type]
    assert not witnessed(events)
    assert why in unwitnessed(events)


def test_records_without_an_end_are_no_records() -> None:
    """Whoever reads may be behind; that is our failure."""
    with pytest.raises(LaunchError):
        _told(Late([]), LOGIN, SEEN)  # type: ignore[arg-type]


def test_an_object_is_known_as_records_print_it(tmp_path: Path) -> None:
    """dev=MAJOR:MINOR with two hexadecimal digits at least."""
    device, inode = key_of(tmp_path.stat())
    assert inode == tmp_path.stat().st_ino
    major, minor = device.split(":")
    assert min(len(major), len(minor)) >= 2
    assert device == device.lower()


def test_a_rule_is_packed_as_the_kernel_reads_it() -> None:
    """struct audit_rule_data: 1,040 bytes without texts, a bit for each call."""
    plain, ring = rules_for(LOGIN, {X86_64.audit_arch: [2, 257]})
    data = plain.pack()
    assert len(data) == 1040
    assert struct.unpack_from("@3I", data) == (List.EXIT, 2, 2)
    mask = struct.unpack_from("@64I", data, 12)
    assert {i for i in range(MOST_CALLS) if mask[i // 32] >> i % 32 & 1} == {2, 257}
    fields = struct.unpack_from("@64I", data, 12 + 256)
    values = struct.unpack_from("@64I", data, 12 + 512)
    assert (fields[:2], values[:2]) == ((Field.LOGIN, Field.ARCH), (LOGIN, X86_64.audit_arch))
    assert (ring.where, ring.calls) == (List.URING_EXIT, frozenset(range(MOST_CALLS)))
    assert Rule(where=List.EXIT, fields={}, calls=frozenset()).pack()[12:] == bytes(1028)


COVERS = [
    ("permit", f'permit: fsread\n    when: filename eq "{DENIED}"\n    log: true', Extent.FULL),
    ("permit", "permit: openat\n    log: true", Extent.FULL),
    (
        "permit",
        'permit: fsread\n    when: filename match "/srv/*"\n    log: true',
        Extent.PARTIAL,
    ),
    ("permit", f'deny[eacces]: fsread\n    when: filename eq "{DENIED}"', Extent.NONE),
    ("permit", "kill: openat", Extent.NONE),
]


@pytest.mark.parametrize(("default", "rule", "extent"), COVERS)
def test_only_what_is_permitted_and_logged_is_kept(default: str, rule: str, extent: Extent) -> None:
    """Nothing is denied."""
    policy = parse_yaml(f"default: {default}\nrules:\n  - {rule}\n", "x")
    assert MECHANISM.cover(policy, ABI_PAIR)[0].extent is extent


@pytest.mark.parametrize(
    "text",
    [
        "default: permit\nrules: []\n",
        "default: deny[eperm]\nrules:\n  - permit: openat\n    log: true\n",
    ],
)
def test_other_policies_are_not_taken(text: str) -> None:
    """One that asks for no line, and one that denies by default."""
    with pytest.raises(Inexpressible):
        MECHANISM.compile([parse_yaml(text, "x")], ABI_PAIR, Options())


def test_rules_are_made_for_every_abi() -> None:
    """By its own numbers; the calls of an alias each."""
    text = f"default: permit\nrules:\n  - {COVERS[0][1]}\n"
    plan = MECHANISM.compile([parse_yaml(text, "x")], ABI_PAIR, Options())
    numbers = plan.data["numbers"]
    assert isinstance(numbers, dict)
    assert {*numbers} == {"x86_64", "i386"}
    assert {2, 257, 437} <= {*numbers["x86_64"]}
    assert {5, 295, 437} <= {*numbers["i386"]}
    assert plan.data["names"] == [DENIED]
    assert "-F arch=i386" in MECHANISM.describe(plan)
