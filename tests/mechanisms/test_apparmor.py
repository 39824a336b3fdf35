"""AppArmor's profile permits what the tree does, and its records become decisions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from enforcer.access.kinds import Access, reaches
from enforcer.access.notes import Notes
from enforcer.access.tree import Node, tree_of
from enforcer.arch import native
from enforcer.kernel import kernel_log
from enforcer.mechanisms.apparmor import MECHANISM, compiled
from enforcer.mechanisms.apparmor.profile import PROFILE, profile
from enforcer.mechanisms.apparmor.records import refusals
from enforcer.mechanisms.contract import Extent, Inexpressible, Options
from enforcer.mechanisms.preparing import Met, Stage
from enforcer.mechanisms.security_module import programs_of, tree_of_plan
from enforcer.policy.ast import Policy
from harness.backends.life import stage_of
from harness.evidence import Attributed, unwitnessed, witnessed
from harness.places.layout import Layout
from tests.access.test_reach import NAMES, policies
from tests.access.test_tree import policy

ALL = frozenset(Access)
READ = frozenset({Access.READ})
LETTERS = {Access.READ: "r", Access.WRITE: "w", Access.EXECUTE: "x"}
RULE = re.compile(r'^  "(?P<pattern>(?:[^"\\]|\\.)*)" (?P<letters>\w+),$', re.M)


def regular(pattern: str) -> str:
    """An AppArmor pattern as a regular expression (apparmor.d(5), globbing)."""
    found = ""
    for token in re.findall(r"\\.|\[(?:\\.|[^\]])*\]|\*\*|.", pattern):
        if token in ("**", "*", "?"):
            found += {"**": ".*", "*": "[^/]*", "?": "[^/]"}[token]
        elif token in "{},":
            found += {"{": "(?:", "}": ")", ",": "|"}[token]
        else:
            found += token if token[0] in "\\[" else re.escape(token)
    return found


def letters(text: str, name: str) -> set[str]:
    """The permissions that a profile gives to a name, as AppArmor spells names."""
    found = RULE.finditer(text)
    return set().union(*(m["letters"] for m in found if re.fullmatch(regular(m["pattern"]), name)))


@settings(max_examples=100)
@given(policies)
def test_the_profile_permits_what_the_tree_does(said: Policy) -> None:
    """On every name, of a file and of a directory; no more, and no less."""
    tree = tree_of(reaches(said, Notes()))
    text = profile(tree, ())
    for name in (*NAMES, "/a/b/new", "/abc", "/a/bc/d", "/new"):
        wanted = {letter for kind, letter in LETTERS.items() if kind in tree.permitted(name)}
        for spelled in {name, name.rstrip("/") + "/"}:
            assert letters(text, spelled) & {*LETTERS.values()} == wanted, (spelled, text)


ODD = ("/a*b", "/a[b", "/a?", '/a"b', "/a b", "/a\\b", "/a{b}", "/a^b", "/a]b", "/a-b", "/a@{b}")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_mean_themselves(name: str) -> None:
    """What is a sign in patterns is none in a name that the policy gives, nor in what is beside."""
    child = Node(here=READ, beneath=ALL)
    text = profile(Node(here=ALL, beneath=ALL, children={name[1:]: child}), ())
    assert "w" not in letters(text, name)
    assert "r" in letters(text, name)
    assert {"r", "w"} <= letters(text, name + "x") & letters(text, name[:-1] + "%")


def test_the_first_programs_run_whatever_is_said() -> None:
    """The gate and the target, for nothing could be started otherwise."""
    text = profile(Node(here=frozenset(), beneath=frozenset()), [Path("/srv/bin/gate")])
    assert letters(text, "/srv/bin/gate") >= {"r", "m", "x"}
    assert "w" not in letters(text, "/srv/bin/gate")
    assert not letters(text, "/srv/bin/other")


@pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="apparmor_parser is not installed")
def test_the_parser_takes_it() -> None:
    """Every odd name, and everything beside files."""
    nothing = Node(here=frozenset(), beneath=frozenset())
    children = {name[1:]: nothing for name in ODD}
    text = profile(Node(here=ALL, beneath=ALL, children=children), ())
    # An older parser knows no rule for these.
    known = re.sub(r"^  (?:mqueue|io_uring|userns),\n", "", text, flags=re.M)
    done = subprocess.run(
        ["apparmor_parser", "-Q", "-K", "-o", os.devnull],
        input=known,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


DENIED = (
    'audit: type=1400 audit(1.2:3): apparmor="DENIED" operation="{operation}" class="file" '
    'profile="interposition-lab" name={name} pid=7 comm="program" requested_mask="r"'
)


@pytest.mark.parametrize(
    ("operation", "name", "calls"),
    [
        ("open", '"/srv/shut/object"', {"openat"}),
        ("mknod", '"/srv/shut/object"', {"mknodat", "openat"}),
        ("rename_dest", '"/srv/shut/object"', {"renameat2"}),
        ("open", b"/srv/shut/object".hex().upper(), {"openat2"}),
        ("link", '"/srv/open/new" target="/srv/shut/object"', {"linkat"}),
        ("chmod", '"/srv/shut/object"', {"fchmodat", "fchmod"}),
        ("chown", '"/srv/shut/object"', {"fchownat", "fchown"}),
    ],
)
def test_a_record_is_a_decision(operation: str, name: str, calls: set[str]) -> None:
    """On the object that it names, by one of the calls that the operation may be of."""
    events = list(refusals(["other", DENIED.format(operation=operation, name=name)]))
    for call in calls:
        line = Attributed(calls=frozenset({call}), denied="/srv/shut/object")
        assert line.shown(events)
    assert not Attributed(calls=frozenset({"read"}), denied="/srv/shut/object").shown(events)
    assert not Attributed(calls=frozenset(calls), denied="/srv/shut/obj").shown(events)


def test_what_is_permitted_is_no_refusal() -> None:
    """Records of other kinds are passed over."""
    line = DENIED.format(operation="open", name='"/srv/shut/object"')
    assert not list(refusals([line.replace("DENIED", "ALLOWED")]))


def stage(root: Path) -> Stage:
    """A run whose denied object is there."""
    layout = Layout(root=root)
    layout.denied_directory.mkdir()
    layout.denied.write_text("secret")
    return stage_of(layout, uid=0, gid=0, walled=True)


@pytest.mark.parametrize(
    ("current", "answer", "missing"),
    [
        (f"{PROFILE} (enforce)", 13, ""),
        (f"{PROFILE} (complain)", 13, "confinement"),
        ("unconfined", 13, "confinement"),
        (f"{PROFILE} (enforce)", 0, "goes through"),
    ],
)
def test_no_profile_no_witness(
    current: str, answer: int, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own word and a refused probe, both or none; the log begins behind the gate."""
    where = stage(tmp_path)
    said = policy(f'deny[eacces]: fsread, when: filename eq "{where.denied}"')
    plan = MECHANISM.compile([said], native().abis[:1], Options(partial=True))
    (probe,) = MECHANISM.probes(plan, where)
    assert probe == f"read:{where.denied}"
    records = [DENIED.format(operation="open", name='"/srv/shut/object"')]
    monkeypatch.setattr(type(MECHANISM), "confinement", lambda self, plan, pid: current)
    monkeypatch.setattr(kernel_log, "audited", lambda _: [records.pop()])
    plan = replace(plan, data={**plan.data, "records": 0})
    events = MECHANISM.witness(plan, where, Met(pid=7, answers={probe: answer}))
    assert witnessed(events) is not bool(missing)
    assert missing in unwitnessed(events)
    assert not records


def test_a_profile_is_compiled_once_for_a_case(tmp_path: Path) -> None:
    """Runs that are forked behind it have it; another text is another profile."""
    asked: list[str] = []

    def run(command: Sequence[str], stdin: str) -> str:
        asked.append(stdin)
        Path(command[-1]).write_text(f"{len(asked)} compiled")
        return ""

    where = stage(tmp_path)
    said = policy(f'deny[eacces]: fsread, when: filename eq "{where.denied}"')
    plan = MECHANISM.compile([said], native().abis[:1], Options(partial=True))
    MECHANISM.foresee(plan, where, run)
    told = MECHANISM.told(tree_of_plan(plan), programs_of(where))
    assert (compiled(told, run), asked) == (b"1 compiled", [told])
    assert compiled("another", run) == b"2 compiled"


def test_two_policies_are_not_one() -> None:
    """Which program runs makes no difference to it, and it says so."""
    one, other = policy("deny[eacces]: mkdir"), policy("deny[eacces]: rmdir")
    with pytest.raises(Inexpressible) as caught:
        MECHANISM.compile([one, other], native().abis[:1], Options())
    assert caught.value.covers[-1].extent is Extent.NONE
