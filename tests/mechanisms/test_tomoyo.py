"""TOMOYO's groups and rules permit what the tree does, and its records become decisions."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from enforcer.access.kinds import Access, reaches
from enforcer.access.notes import Notes
from enforcer.access.tree import Node, tree_of
from enforcer.mechanisms import tomoyo
from enforcer.mechanisms.contract import LaunchError
from enforcer.mechanisms.tomoyo.records import refusals
from enforcer.mechanisms.tomoyo.rules import DOMAIN, KEPT, Told, profiles, told
from enforcer.policy.ast import Policy
from harness.evidence import Attributed
from tests.access.test_reach import NAMES, policies

ALL = frozenset(Access)
READ = frozenset({Access.READ})
SIGNS = {"\\*": "[^/]*", "\\?": "[^/]"}


def part(pattern: str) -> str:
    """A pattern between two slashes as a regular expression (tomoyo_file_matches_pattern)."""
    plain = [""]
    for token in tokens(pattern):
        if token == "\\-":
            plain.append("")
        else:
            plain[-1] += SIGNS.get(token, re.escape(literal(token)))
    return "".join(f"(?!{each}(?:/|$))" for each in plain[1:]) + plain[0]


def tokens(text: str) -> list[str]:
    return re.findall(r"\\[0-3][0-7]{2}|\\.|.", text)


def literal(token: str) -> str:
    return chr(int(token[1:], 8)) if re.fullmatch(r"\\[0-3][0-7]{2}", token) else token[-1]


def fits(pattern: str, name: str) -> bool:
    """Whether a name is one of a pattern's, byte by byte; a directory is never a file."""
    name = name.encode().decode("latin-1")
    if pattern.endswith("/") != name.endswith("/"):
        return False
    parts = ("(?:[^/]+/)+" if each == "\\{\\*\\}" else part(each) for each in pattern.split("/"))
    regular = "/".join(parts).replace("(?:[^/]+/)+/", "(?:[^/]+/)+")
    return re.fullmatch(regular, name) is not None


def permitted(said: Told, name: str) -> set[str]:
    """The names of the groups that a name is in."""
    groups = (line.split(" ", 2) for line in said.groups if line.startswith("path_group"))
    return {group for _, group, pattern in groups if fits(pattern, name)}


@settings(max_examples=60)
@given(policies)
def test_the_groups_are_the_tree(rules: Policy) -> None:
    """On every name, of a file and of a directory; no more, and no less."""
    tree = tree_of(reaches(rules, Notes()))
    said = told(tree, ())
    for name in (*NAMES, "/a/b/new", "/abc", "/a/bc/d/e", "/new"):
        wanted = {f"LAB-{kind.upper()}" for kind in tree.permitted(name)}
        for spelled in {name, name.rstrip("/") + "/"} - {""}:
            assert permitted(said, spelled) == wanted, spelled


@pytest.mark.parametrize("name", ["/a*b", "/a b", "/a\\b", "/a-b", "/a\\-b", "/\u00e9"])
def test_odd_names_mean_themselves(name: str) -> None:
    """What is a sign in patterns is none in a name that the policy gives."""
    child = Node(here=READ, beneath=ALL)
    said = told(Node(here=ALL, beneath=ALL, children={name[1:]: child}), ())
    assert permitted(said, name) == {"LAB-READ"}
    assert permitted(said, "/other") == {f"LAB-{kind.upper()}" for kind in ALL}
    assert all(line.isascii() and line.isprintable() for line in said.groups)


def test_a_file_system_with_names_of_its_own() -> None:
    """What the policy says of /proc is said of procfs's names, or else what it says of the rest."""
    inner = Node(here=READ, beneath=READ)
    spoken = told(Node(here=ALL, beneath=ALL, children={"proc": inner}), ())
    assert permitted(spoken, "proc:/self/status") == {"LAB-READ"}
    unspoken = told(Node(here=ALL, beneath=READ), ())
    assert permitted(unspoken, "proc:/self/status") == {"LAB-READ"}


def test_every_kind_of_access_has_its_rules() -> None:
    """A group that no rule names would permit nothing; a function that is off refuses nothing."""
    said = told(Node(here=ALL, beneath=ALL), [Path("/srv/bin/gate")])
    rules = [line.split() for line in said.rules if line.startswith("file ")]
    named = set(itertools.chain(*rules))
    assert {f"@LAB-{kind.upper()}" for kind in ALL} <= named
    off = {"read", "write", "append"}  # of the function `open`
    acts = {words[1] for words in rules}
    assert acts - off <= set(KEPT)
    assert set(KEPT) - acts == {"open"}
    assert "file execute /srv/bin/gate" in said.rules
    for function in KEPT:
        assert f"3-CONFIG::file::{function}={{ mode=enforcing" in profiles()


RECORD = (
    "#2026/11/26 10:00:00# profile=3 mode=enforcing granted={granted} (global-pid=7) "
    "task={{ pid=7 }} path1={{ uid=0 }}\n" + DOMAIN + "\nfile {act}\n"
)


@pytest.mark.parametrize(
    ("act", "call", "name"),
    [
        ("read /srv/shut/object", "openat", "/srv/shut/object"),
        ("write /srv/shut/object", "creat", "/srv/shut/object"),
        ("create /srv/shut/object 0644", "mknodat", "/srv/shut/object"),
        ("rename /srv/open/a /srv/shut/object", "renameat2", "/srv/shut/object"),
        ("link /srv/shut/object /srv/open/a", "linkat", "/srv/shut/object"),
        ("read /srv/shut/a\\040b", "open", "/srv/shut/a b"),
    ],
)
def test_a_record_is_a_decision(act: str, call: str, name: str) -> None:
    """On each object that it names, by one of the calls that the operation may be of."""
    events = list(refusals(RECORD.format(granted="no", act=act) + "\n\n"))
    assert Attributed(calls=frozenset({call}), denied=name).shown(events)
    assert not Attributed(calls=frozenset({"brk"}), denied=name).shown(events)


def test_what_is_granted_is_no_refusal() -> None:
    """Such a record is passed over."""
    assert not list(refusals(RECORD.format(granted="yes", act="read /srv/shut/object") + "\n\n"))


def test_it_is_switched_on_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the profiles told, without which the kernel panics, and a manager, without whom nobody
    could tell it anything any more. A machine where that failed is not taken for such a one.
    """
    (tmp_path / "self_domain").write_text("<kernel> /agent\n")
    for name in ("profile", "manager"):
        (tmp_path / name).touch()
    done: list[tuple[str, str]] = []

    def switch_on() -> None:
        done.append(((tmp_path / "profile").read_text(), (tmp_path / "manager").read_text()))
        if len(done) == 1:
            raise LaunchError

    monkeypatch.setattr(tomoyo, "TOMOYO", tmp_path)
    monkeypatch.setattr(tomoyo, "_switch_on", switch_on)
    module = tomoyo.Tomoyo()
    with pytest.raises(LaunchError):
        module.settle()
    assert not module.is_on
    module.settle()
    assert module.is_on
    assert done[1] == (profiles(), "<kernel> /agent\n")
