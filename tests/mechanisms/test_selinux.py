"""SELinux's types permit what the tree does, in the kernel's form; records become decisions."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings

from enforcer.access.kinds import Access, reaches
from enforcer.access.notes import Notes
from enforcer.access.tree import Node, tree_of
from enforcer.mechanisms.selinux.labels import DOMAIN, OTHERS, Labels, context
from enforcer.mechanisms.selinux.policydb import Policy as Binary
from enforcer.mechanisms.selinux.records import refusals
from enforcer.policy.ast import Policy
from harness.evidence import Attributed
from tests.access.test_reach import NAMES, policies

ALL = frozenset(Access)
SIGNS = {
    Access.LOOK: "getattr",
    Access.READ: "read",
    Access.WRITE: "write",
    Access.CREATE: "create",
    Access.REMOVE: "unlink",
    Access.CHANGE: "setattr",
    Access.EXECUTE: "execute",
}


def permitted(said: Binary, kind: str) -> set[Access]:
    """What the domain may do with a file of a type."""
    rules = said.allowed.get((DOMAIN, kind, "file"), set())
    return {access for access, sign in SIGNS.items() if sign in rules}


def made(said: Binary, name: str) -> str:
    """The type of what the domain makes, all the way from the root directory."""
    kind = "n0"
    for part in name.strip("/").split("/"):
        usual = said.becomes.get((DOMAIN, kind, "dir"), kind)
        kind = said.becomes_named.get((DOMAIN, kind, "dir", part), usual)
    return kind


@settings(max_examples=60)
@given(policies)
def test_types_are_the_tree(rules: Policy) -> None:
    """Of what is there when a run begins, and of what the target makes itself."""
    tree = tree_of(reaches(rules, Notes()))
    labels = Labels(tree)
    said = labels.policy()
    for name in (*NAMES[1:], "/a/b/new", "/abc", "/a/bc/d", "/new"):
        assert permitted(said, labels.type_of(name)) == tree.permitted(name), name
        assert permitted(said, made(said, name)) == tree.permitted(name), name


@settings(max_examples=30)
@given(policies)
def test_a_directory_is_changed_only_where_a_name_may_be(rules: Policy) -> None:
    """Names come and go where the tree lets any."""
    tree = tree_of(reaches(rules, Notes()))
    labels = Labels(tree)
    said = labels.policy()
    for path, node in tree.walk():
        every = node.beneath.union(*(child.here for child in node.children.values()))
        number = labels.numbers[path]
        inside = said.allowed[DOMAIN, f"n{number}", "dir"]
        assert ("add_name" in inside) == bool(every & {Access.CREATE, Access.REMOVE})


NOTHING = Node(here=frozenset(), beneath=frozenset())
TREE = Node(here=ALL, beneath=ALL, children={"shut": NOTHING, "a b": NOTHING})


def test_the_target_gets_out_by_no_label() -> None:
    """It gives no object another label, itself no other domain, and the kernel no policy."""
    said = Labels(TREE).policy()
    rules = {
        each for (domain, *_), some in said.allowed.items() if domain == DOMAIN for each in some
    }
    assert not rules & {"relabelfrom", "relabelto", "dyntransition", "transition", "load_policy"}
    # What no class names is permitted to everybody.
    for where in said.classes.keys() - {"process", "security"}:
        assert {"relabelfrom", "relabelto"} <= set(said.classes[where])
    assert "transition" in said.allowed[OTHERS, DOMAIN, "process"]


def test_everybody_else_may_do_anything() -> None:
    """With every type, as long as a run lasts."""
    said = Labels(TREE).policy()
    for where, names in said.classes.items():
        for kind in said.types:
            assert said.allowed[OTHERS, kind, where] == set(names)


class Reader:
    """A policy in binary, read front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def words(self, count: int) -> tuple[int, ...]:
        self.at += 4 * count
        return struct.unpack_from(f"<{count}I", self.data, self.at - 4 * count)

    def text(self, size: int) -> str:
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def bitmap(self) -> set[int]:
        unit, highest, count = self.words(3)
        found = set()
        for _ in range(count):
            start, bits = struct.unpack_from("<IQ", self.data, self.at)
            self.at += 12
            found |= {start + bit for bit in range(unit) if bits >> bit & 1}
        assert highest % unit == 0
        assert max(found, default=-1) < highest or not found
        return found

    def range(self) -> None:
        assert self.words(2) == (1, 1)
        self.bitmap()

    def named(self, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Symbols: the length of a name, `count` further words, the name."""
        for _ in range(self.words(2)[1]):
            size, *rest = self.words(1 + count)
            yield self.text(size), tuple(rest)

    def context(self) -> int:
        user, role, kind = self.words(3)
        assert (user, role) == (1, 1)
        self.range()
        return kind


def decoded(data: bytes) -> Mapping[tuple[str, str, str], set[str]]:
    """What is allowed, of a policy all of whose bytes are of known meaning."""
    read = Reader(data)
    assert read.words(2) == (0xF97CFF8C, 8)
    assert read.text(8) == "SE Linux"
    assert read.words(4) == (30, 4, 8, 7)
    assert read.bitmap() == {5}
    assert read.bitmap() == set()
    assert read.words(2) == (0, 0)
    classes = []
    for name, (_, _, _, count, _) in read.named(5):
        permissions = []
        for _ in range(count):
            size, _ = read.words(2)
            permissions.append(read.text(size))
        classes.append((name, permissions))
        assert not any(read.words(5))
    for name, _ in read.named(2):
        assert (name, read.bitmap()) == ("object_r", {0})
        read.bitmap()
    types = [name for name, _ in read.named(3)]
    for _ in read.named(2):
        read.bitmap()
        read.range()
        read.words(1)
        read.bitmap()
    assert not any(read.words(6))
    found: dict[tuple[str, str, str], set[str]] = {}
    for _ in range(read.words(1)[0]):
        domain, kind, where, what, value = struct.unpack_from("<HHHHI", read.data, read.at)
        read.at += 12
        if what == 1:
            name, permissions = classes[where - 1]
            some = {each for bit, each in enumerate(permissions) if value >> bit & 1}
            found[types[domain - 1], types[kind - 1], name] = some
    assert not any(read.words(3))
    for _ in range(read.words(1)[0]):
        read.text(read.words(1)[0])
        read.words(4)
    for _ in range(read.words(1)[0]):
        read.words(1)
        read.context()
    assert not any(read.words(4))
    for _ in range(read.words(1)[0]):
        read.text(read.words(2)[1])
        read.context()
    assert read.words(1) == (0,)
    for _ in range(read.words(1)[0]):
        read.text(read.words(1)[0])
        for _ in range(read.words(1)[0]):
            read.text(read.words(1)[0])
            read.words(1)
            read.context()
    assert read.words(1) == (0,)
    for number in range(len(types)):
        assert read.bitmap() == {number}
    assert read.at == len(data)
    return found


def test_the_binary_says_what_the_policy_does() -> None:
    """Read by somebody who knows the format only."""
    said = Labels(TREE).policy()
    wanted = {key: some for key, some in said.allowed.items() if some}
    assert decoded(said.binary()) == wanted


@pytest.mark.skipif(not shutil.which("checkpolicy"), reason="checkpolicy is not installed")
def test_the_librarys_reader_takes_it(tmp_path: Path) -> None:
    """libsepol, which reads what the kernel does."""
    binary = tmp_path / "policy"
    binary.write_bytes(Labels(TREE).policy().binary())
    command = ["checkpolicy", "-b", "-C", "-o", str(tmp_path / "text"), str(binary)]
    subprocess.run(command, check=True, capture_output=True)
    text = (tmp_path / "text").read_text()
    assert "(typetransition lab_t n0 dir shut n2)" in text


AVC = (
    'audit: type=1400 audit(1.2:3): avc:  denied  {{ {permissions} }} for  pid=7 comm="program" '
    "{told} scontext=u:object_r:lab_t tcontext={type} tclass={where} permissive=0"
)


@pytest.mark.parametrize(
    ("permissions", "told", "kind", "where", "call", "name"),
    [
        ("read", 'path="/shut" dev="tmpfs" ino=9', "n2", "file", "openat", "/shut"),
        ("read", 'name="link" dev="tmpfs" ino=5', "b0", "file", "openat", "/shut/object"),
        ("read", 'name="new" dev="tmpfs" ino=77', "b2", "file", "openat", "/shut/new"),
        ("create", 'name="shut"', "n2", "file", "creat", "/shut"),
        ("add_name", 'name="new"', "n2", "dir", "mkdir", "/shut/new"),
        ("unlink", 'name="object" dev="tmpfs" ino=5', "b2", "file", "unlinkat", "/shut/object"),
        (
            "execute",
            f'name={b"a b".hex().upper()} dev="tmpfs" ino=8',
            "n1",
            "file",
            "execve",
            "/a b",
        ),
    ],
)
def test_a_record_is_a_decision(
    permissions: str, told: str, kind: str, where: str, call: str, name: str
) -> None:
    """On the object, by the name that it had when the run began or that its type tells."""
    line = AVC.format(permissions=permissions, told=told, type=context(kind), where=where)
    events = list(refusals(["other", line], Labels(TREE), {5: "/shut/object"}))
    assert Attributed(calls=frozenset({call}), denied=name).shown(events)
    assert not Attributed(calls=frozenset({"brk"}), denied=name).shown(events)
    granted = line.replace("denied", "granted")
    assert not list(refusals([granted], Labels(TREE), {}))
