"""Our programs, run in a machine of toys, answer as the tree does, and tell what they refused."""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from enforcer.access.kinds import Access, reaches
from enforcer.access.notes import Notes
from enforcer.access.tree import Node, tree_of
from enforcer.kernel.btf import Function, Types
from enforcer.mechanisms.bpf_lsm import layout
from enforcer.mechanisms.bpf_lsm.layout import Mark, Settings, bits
from enforcer.mechanisms.bpf_lsm.marks import Marks, held_at, opened
from enforcer.mechanisms.bpf_lsm.programs import HOOKS, program
from enforcer.mechanisms.bpf_lsm.records import refusals
from enforcer.mechanisms.bpf_lsm.writer import Maps
from enforcer.mechanisms.contract import LaunchError
from enforcer.policy.ast import Policy
from harness.evidence import Attributed
from tests.access.test_reach import NAMES, policies
from tests.mechanisms.ebpf import Toy

ALL = frozenset(Access)
NOTHING = frozenset[Access]()
MAPS = Maps(settings=1, marks=2, names=3, log=4)
ENTRY, OBJECT, TEXT, FILE, PATH, ATTRIBUTES, SUPER = (place << 28 for place in range(1, 8))
STEP = 0x100
PARAMETERS = {
    "path_rename": ("old_dir", "old_dentry", "new_dir", "new_dentry", "flags"),
    "path_link": ("old_dentry", "new_dir", "new_dentry"),
    "file_open": ("file",),
    "mmap_file": ("file__nullable", "reqprot", "prot", "flags"),
    "inode_getattr": ("path",),
    "inode_permission": ("inode", "mask"),
    "inode_setattr": ("idmap", "dentry", "attr"),
    "path_unlink": ("dir", "dentry"),
    "path_mknod": ("dir", "dentry", "mode", "dev"),
    "inode_setxattr": ("idmap", "dentry", "name"),
}
TYPES = Types(
    functions={
        f"bpf_lsm_{hook}": Function(number=1, parameters=names)
        for hook, names in PARAMETERS.items()
    },
    offsets={
        "file": {"f_path": 16, "f_inode": 32, "f_flags": 64, "f_mode": 68},
        "path": {"mnt": 0, "dentry": 8},
        "dentry": {"d_parent": 24, "d_name": 32, "d_inode": 48, "d_sb": 56},
        "qstr": {"name": 8},
        "super_block": {"s_flags": 8},
        "iattr": {"ia_valid": 0},
        "vm_area_struct": {"vm_file": 8},
    },
)
CODE = {hook: program(hook, MAPS, TYPES) for hook in PARAMETERS}


@dataclass
class World:
    """A kernel with the names below a directory, and marks for a tree."""

    top: Path
    tree: Node
    toy: Toy = field(default_factory=Toy)
    marks: Marks = field(default_factory=Marks)
    entries: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.toy.memory[SUPER] = bytes(64)
        self.enter("/", is_root=True)
        root = opened(self.top)
        here, beneath = held_at(self.tree, "/")
        mark = Mark(is_node=True, here=bits(here), beneath=bits(beneath))
        self.marks._note(os.dup(root), mark)
        self.marks.spoken(self.tree, "/", root)
        os.close(root)
        address = {key: OBJECT + key[1] * STEP for key in self.marks.objects}
        self.toy.maps = {
            MAPS.settings: {bytes(4): self.settings().packed()},
            MAPS.marks: {
                struct.pack("=Q", address[key]): found.mark.packed()
                for key, found in self.marks.objects.items()
            },
            MAPS.names: {key: mark.packed() for key, mark in self.marks.by_name.items()},
        }

    def settings(self) -> Settings:
        return Settings(
            group=self.toy.group,
            uid=1000,
            beneath=bits(self.tree.beneath),
            errno=errno.EACCES,
            is_on=True,
        )

    def enter(self, name: str, *, is_root: bool = False) -> int:
        """The directory entry of a name, with those above it."""
        if name in self.entries:
            return self.entries[name]
        place = ENTRY + STEP * len(self.entries)
        self.entries[name] = place
        parent = place if is_root else self.enter(str(Path(name).parent))
        on_disk = Path(f"{self.top}{name}")
        inode = OBJECT + on_disk.stat().st_ino * STEP if on_disk.exists() else 0
        text = TEXT + STEP * len(self.entries)
        self.toy.memory[text] = Path(name).name.encode() + b"\0"
        if inode:
            self.toy.memory[inode] = bytes(64)
        self.toy.memory[place] = struct.pack("=24xQQQQQ", parent, 0, text, inode, SUPER)
        return place

    def run(self, hook: str, *arguments: int) -> int:
        return -self.toy.run(CODE[hook], *arguments)

    def open(self, name: str, mode: int, flags: int = 0) -> int:
        entry = self.enter(name)
        inode = struct.unpack_from("=Q", self.toy.memory[entry], 48)[0]
        file = struct.pack("=16xQQQ24xII", 0, entry, inode, flags, mode)
        self.toy.memory[FILE] = file
        return self.run("file_open", FILE)

    def does(self, kind: Access, name: str) -> int:
        """The errno of an act of a kind on a name, 0 if it is let through."""
        match kind:
            case Access.READ:
                return self.open(name, 1)
            case Access.WRITE:
                return self.open(name, 2)
            case Access.EXECUTE:
                return self.open(name, 1, 0x20)
            case Access.LOOK:
                self.toy.memory[PATH] = struct.pack("=QQ", 0, self.enter(name))
                return self.run("inode_getattr", PATH)
            case Access.CHANGE:
                return self.run("inode_setxattr", 0, self.enter(name), 0)
            case Access.CREATE:
                return self.run("path_mknod", 0, self.enter(name), 0, 0)
            case Access.REMOVE:
                return self.run("path_unlink", 0, self.enter(name))


@contextmanager
def world(tree: Node, *made: str) -> Iterator[World]:
    """With the files `made`, and the directories above them."""
    with tempfile.TemporaryDirectory() as directory:
        for name in made:
            path = Path(directory + name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch()
        found = World(Path(directory), tree)
        try:
            yield found
        finally:
            found.marks.close()


@settings(max_examples=25, deadline=None)
@given(policies)
def test_what_is_there_is_judged_as_the_tree_says(said: Policy) -> None:
    """Every kind of access to every name, spoken of or not, there already or not."""
    tree = tree_of(reaches(said, Notes()))
    with world(tree, "/a/b/c", "/a/c", "/b/a", "/ab", "/a/bc/d") as here:
        for name in (*NAMES[1:], "/a/b/new", "/abc", "/a/bc/d", "/new"):
            permitted = tree.permitted(name)
            for kind in Access:
                assert (here.does(kind, name) == 0) == (kind in permitted), (name, kind)


@settings(max_examples=15, deadline=None)
@given(policies)
def test_where_nothing_is_yet_no_more_is_permitted(said: Policy) -> None:
    """Of names that come later, all that is not told apart is denied."""
    tree = tree_of(reaches(said, Notes()))
    with world(tree) as here:
        for name in (*NAMES[1:], "/a/b/new", "/new"):
            let = {kind for kind in Access if here.does(kind, name) == 0}
            assert let <= tree.permitted(name), name


SHUT = Node(
    here=ALL,
    beneath=ALL,
    children={"shut": Node(here=ALL, beneath=ALL - {Access.READ, Access.EXECUTE})},
)


def test_a_denied_object_is_denied_under_every_name() -> None:
    """A link from before leads to the same object, whatever its own name."""
    with world(SHUT, "/shut/object", "/open/other") as here:
        os.link(here.top / "shut/object", here.top / "open/link")
        assert here.does(Access.READ, "/open/link") == 0
        here.marks.there(here.tree, here.top)
        # `there` names what is below the root of the tree; here that is a directory of the test.
        inode = (here.top / "shut/object").stat()
        own = replace(Mark(), own=bits(here.tree.permitted("/shut/object")), named=1)
        key = struct.pack("=Q", OBJECT + inode.st_ino * STEP)
        here.toy.maps[MAPS.marks][key] = own.packed()
        here.marks.names[1:] = ["/shut/object"]
        assert here.does(Access.READ, "/open/link") == errno.EACCES
        (event,) = refusals(here.toy.log[-1:], here.marks.names)
        assert event["values"] == {"object": ["/shut/object"]}


def test_every_name_of_an_object_counts(tmp_path: Path) -> None:
    """What is permitted of it is what is permitted under each of them; names are no part of it."""
    denied = {"a": frozenset({Access.READ}), "b": frozenset({Access.WRITE}), "open": ALL}
    for name in denied:
        (tmp_path / name).mkdir()
    (tmp_path / "a/object").touch()
    (tmp_path / "b/object").touch()
    os.link(tmp_path / "a/object", tmp_path / "b/link")
    os.link(tmp_path / "b/object", tmp_path / "a/link")
    os.link(tmp_path / "a/object", tmp_path / "open/link")
    children = {name: Node(here=ALL, beneath=kinds) for name, kinds in denied.items()}
    inner = Node(here=ALL, beneath=ALL, children=children)
    for part in reversed(tmp_path.parts[1:]):
        inner = Node(here=ALL, beneath=ALL, children={part: inner})
    marks = Marks()
    marks.there(inner, tmp_path)
    found = [each.mark for each in marks.objects.values()]
    assert [mark.own for mark in found] == [bits(frozenset({Access.CREATE, Access.REMOVE}))] * 2
    assert all(marks.names[mark.named].startswith(str(tmp_path)) for mark in found)
    marks.close()


def test_no_object_comes_under_a_weaker_rule() -> None:
    """By renames and links, also in an exchange; within one directory all is permitted."""
    with world(SHUT, "/shut/object", "/open/other") as here:
        shut, other = here.enter("/shut/object"), here.enter("/open/other")
        new, beside = here.enter("/open/new"), here.enter("/shut/new")
        assert here.run("path_rename", 0, shut, 0, new, 0) == errno.EACCES
        assert here.run("path_link", shut, 0, new) == errno.EACCES
        assert here.run("path_rename", 0, other, 0, beside, 0) == 0
        assert here.run("path_rename", 0, other, 0, shut, 2) == errno.EACCES
        assert here.run("path_rename", 0, other, 0, new, 0) == 0
        assert here.run("path_rename", 0, shut, 0, beside, 0) == 0
        (event, *_) = refusals(here.toy.log, here.marks.names)
        line = Attributed(calls=frozenset({"renameat2"}), denied="/shut/object")
        assert line.shown([event])


def test_code_is_read_only_where_rules_let_it_be() -> None:
    """A mapping that can be executed is judged where a rule speaks of the place."""
    with world(SHUT, "/shut/object", "/open/other") as here:
        for name, refused in (("/shut/object", errno.EACCES), ("/open/other", 0)):
            here.toy.memory[FILE] = struct.pack("=16xQQ", 0, here.enter(name))
            assert here.run("mmap_file", FILE, 0, 4, 0) == refused
            assert here.run("mmap_file", FILE, 0, 1, 0) == 0
        assert here.run("mmap_file", 0, 0, 4, 0) == 0


@pytest.mark.parametrize(
    ("valid", "kind"),
    [
        (1 << 3, Access.WRITE),
        (1, Access.CHANGE),
        (1 | 1 << 9, None),
        (1 << 3 | 1 << 9, Access.WRITE),
    ],
    ids=["size", "mode", "the kernel's own", "size of a program"],
)
def test_attributes_are_told_apart(valid: int, kind: Access | None) -> None:
    """A length is content, the rest are attributes; what the kernel changes itself is neither."""
    for denied in (Access.WRITE, Access.CHANGE):
        tree = Node(here=ALL, beneath=ALL, children={"a": Node(here=ALL - {denied}, beneath=ALL)})
        with world(tree, "/a") as here:
            here.toy.memory[ATTRIBUTES] = struct.pack("=I", valid)
            answer = here.run("inode_setattr", 0, here.enter("/a"), ATTRIBUTES)
            assert answer == (errno.EACCES if kind is denied else 0)


def test_access_asks_the_object_itself() -> None:
    """No entry is known there."""
    tree = Node(here=ALL, beneath=ALL, children={"a": Node(here=ALL - {Access.LOOK}, beneath=ALL)})
    with world(tree, "/a") as here:
        inode = OBJECT + (here.top / "a").stat().st_ino * STEP
        assert here.run("inode_permission", inode, 0x14) == errno.EACCES
        assert here.run("inode_permission", inode, 0x4) == 0


@pytest.mark.parametrize(("who", "value"), [("group", 8), ("uid", 0)])
def test_nobody_else_is_confined(who: str, value: int) -> None:
    """Another group, or another user in the group; nothing of them is told either."""
    with world(SHUT, "/shut/object") as here:
        assert here.does(Access.READ, "/shut/object") == errno.EACCES
        here.toy.log.clear()
        setattr(here.toy, who, value)
        assert here.does(Access.READ, "/shut/object") == 0
        assert not here.toy.log


def test_confinement_begins_with_the_gate() -> None:
    """When it is executed, not read, and by nothing else."""
    with world(SHUT, "/shut/object", "/gate") as here:
        inode = OBJECT + (here.top / "gate").stat().st_ino * STEP
        key = struct.pack("=Q", inode)
        here.toy.maps[MAPS.marks][key] = Mark(is_gate=True).packed()
        off = replace(here.settings(), is_on=False).packed()
        here.toy.maps[MAPS.settings] = {bytes(4): bytearray(off)}
        for kind, name, is_on in (
            (Access.EXECUTE, "/shut/object", False),
            (Access.READ, "/gate", False),
            (Access.EXECUTE, "/gate", True),
        ):
            assert here.does(kind, name) == 0
            assert (here.does(Access.READ, "/shut/object") != 0) == is_on, (kind, name)


def test_what_root_looks_at_is_marked() -> None:
    """While marks are made, and by nobody else."""
    mark = Mark(own=5)
    with world(SHUT, "/open/other") as here:
        inode = OBJECT + (here.top / "open/other").stat().st_ino * STEP
        key = struct.pack("=Q", inode)
        for uid, marking in ((1000, True), (0, False), (0, True)):
            settings = replace(here.settings(), mark=mark if marking else None)
            here.toy.maps[MAPS.settings] = {bytes(4): settings.packed()}
            here.toy.uid = uid
            here.does(Access.LOOK, "/open/other")
            assert (here.toy.maps[MAPS.marks].get(key) == mark.packed()) == (uid == 0 and marking)


def test_what_cannot_be_read_is_refused() -> None:
    """An entry whose memory is gone, and one that lies deeper than anybody goes."""
    deep = "/open" + "/d" * (layout.DEEPEST + 2)
    with world(SHUT, "/open/other") as here:
        assert here.does(Access.READ, deep) == errno.EACCES
        assert here.does(Access.READ, deep.removesuffix("/d/d/d/d")) == 0
        assert here.run("path_unlink", 0, 0xBAD << 40) == errno.EACCES


def test_a_file_system_of_nobodys_is_read_but_not_executed() -> None:
    """Memory files have no place; where not everything may be executed, they may not."""
    tree = Node(here=ALL, beneath=ALL - {Access.READ, Access.EXECUTE})
    with world(tree) as here:
        here.toy.maps[MAPS.marks].clear()
        here.toy.maps[MAPS.marks][bytes(8)] = Mark().packed()
        assert here.does(Access.READ, "/new") == errno.EACCES
        here.toy.memory[SUPER] = struct.pack("=QQ", 0, 1 << 31) + bytes(48)
        assert here.does(Access.READ, "/new") == 0
        assert here.does(Access.EXECUTE, "/new") == errno.EACCES


def test_a_mounted_directory_that_is_spoken_of_has_one_mark() -> None:
    """The rule's, and what it says of names in it holds."""
    tree = Node(here=ALL, beneath=ALL, children={"shut": Node(here=ALL, beneath=NOTHING)})
    with tempfile.TemporaryDirectory() as directory:
        inside = Path(directory, "shut")
        inside.mkdir()
        (inside / "object").touch()
        marks = Marks()
        marks._note(opened(inside), Mark(is_node=True, here=3, beneath=3))
        top = opened(Path(directory))
        node = replace(tree.children["shut"], children={"object": Node(here=ALL, beneath=ALL)})
        marks.spoken(replace(tree, children={"shut": node}), "/", top)
        os.close(top)
        shut, found = (path.stat() for path in (inside, inside / "object"))
        mark = marks.objects[shut.st_dev, shut.st_ino].mark
        assert (mark.here, mark.beneath, bool(mark.directory)) == (layout.ALL, 0, True)
        assert marks.objects[found.st_dev, found.st_ino].mark.spoken
        marks.close()


def test_a_name_that_has_no_room_is_said() -> None:
    """Rather than judged by its beginning."""
    tree = Node(here=ALL, beneath=ALL, children={"n" * 60: Node(here=NOTHING, beneath=NOTHING)})
    with pytest.raises(LaunchError, match="60 bytes"), world(tree):
        pass


def test_every_hook_has_calls() -> None:
    """What is refused there can be told of."""
    assert set(PARAMETERS) <= set(HOOKS)
