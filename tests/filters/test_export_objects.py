"""Policies on names as Landlock's configuration and AppArmor's profile, and what is lost there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from enforcer.call import Action, Call, Value
from enforcer.cli import cli
from enforcer.exports.export import ObjectTarget, export_objects
from enforcer.kernel import landlock
from enforcer.kernel.landlock import FileRight, NetRight, Scope
from enforcer.kernel.seccomp import no_new_privs
from enforcer.policy.ast import Policy
from enforcer.policy.decide import decide
from enforcer.policy.load import load_policies
from harness import process

POLICY = """\
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "{open}/*" or filename eq "{open}"
  - deny[eacces]: [fsread, fswrite]
  - permit: connect
    when: sockaddr eq "inet-[127.0.0.1]:80"
  - deny[eacces]: connect
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").mkdir()
    for name in ("open", "shut"):
        (tmp_path / name / "file").write_text(name)
    path = tmp_path / "p.yaml"
    path.write_text(POLICY.format(open=tmp_path / "open"))
    return path


def policy(file: Path) -> Policy:
    (found,) = load_policies(file)
    return found


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def document(file: Path, target: ObjectTarget) -> Mapping[str, list[Mapping[str, list[object]]]]:
    """The configuration with the keys of its JSON form."""
    text = export_objects([policy(file)], target).content.decode()
    if target is ObjectTarget.LANDLOCK:
        found: Mapping[str, list[Mapping[str, list[object]]]] = json.loads(text)
        return found
    return {
        _camel(key): [{_camel(name): value for name, value in each.items()} for each in tables]
        for key, tables in tomllib.loads(text).items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


LEARNED = """\
Policy: /bin/x, Emulation: native
    native-openat: filename eq "{open}/file" and oflags eq "ro" then permit
    native-openat: filename eq "{shut}/file" and oflags eq "woa" then permit
    native-openat: filename eq "/<non-existent filename>: /none" and oflags eq "ro" then permit
    native-openat: filename eq "{open}" and not oflags eq "rw" then permit
"""


def test_what_was_learned_is_kept_by_name(file: Path) -> None:
    """Rules say more of a call than its name: the name is kept, with the access, and it is told."""
    path = file.with_name("learned.systrace")
    path.write_text(LEARNED.format(open=file.parent / "open", shut=file.parent / "shut"))
    made = export_objects([policy(path)], ObjectTarget.LANDLOCK)
    assert "permits too much: does not look at oflags" not in "".join(made.lost), "a `not` stays"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    made = export_objects([policy(path)], ObjectTarget.LANDLOCK)
    given = {
        name: {*each["allowedAccess"]}
        for each in json.loads(made.content)["pathBeneath"]
        for name in each["parent"]
    }
    read, written = (str(file.parent / name / "file") for name in ("open", "shut"))
    assert set(given) == {read, written}
    assert ("read_file" in given[read], "write_file" in given[read]) == (True, False)
    assert "write_file" in given[written]
    assert f"{path}:2: partial, permits too much: does not look at oflags" in made.lost


def test_both_forms_say_the_same(file: Path) -> None:
    """JSON and TOML are one document; its words are those of the format."""
    found = document(file, ObjectTarget.LANDLOCK)
    assert found == document(file, ObjectTarget.LANDLOCK_TOML)
    (ruleset,) = found["ruleset"]
    assert {"read_file", "write_file", "read_dir", "refer"} <= set(ruleset["handledAccessFs"])
    assert "resolve_unix" not in ruleset["handledAccessFs"]
    assert found["netPort"] == [{"allowedAccess": ["connect_tcp"], "port": [80]}]
    assert [each["parent"] for each in found["pathBeneath"]] == [[str(file.parent / "open")]]


def flags_of(words: list[object]) -> FileRight:
    found = FileRight(0)
    for word in words:
        found |= FileRight[str(word).upper()]
    return found


def restrict(found: Mapping[str, list[Mapping[str, list[object]]]]) -> None:
    """Put the caller under the configuration, right by right as it is written."""
    (ruleset,) = found["ruleset"]
    nets = {NetRight[str(word).upper()] for word in ruleset.get("handledAccessNet", ())}
    scopes = {Scope[str(word).upper()] for word in ruleset.get("scoped", ())}
    made = landlock.create_ruleset(
        flags_of(ruleset.get("handledAccessFs", [])),
        NetRight(sum(nets)),
        Scope(sum(scopes)),
    )
    for each in found.get("pathBeneath", ()):
        for path in each["parent"]:
            descriptor = os.open(str(path), os.O_PATH)
            landlock.permit_beneath(made, descriptor, flags_of(each["allowedAccess"]))
    for each in found.get("netPort", ()):
        for port in each["port"]:
            landlock.permit_port(made, int(str(port)), NetRight.CONNECT_TCP)
    no_new_privs()
    landlock.restrict_self(made)


def _opened(path: Path, flags: int) -> int:
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return error.errno or 0
    return 0


def _connected(port: int) -> int:
    with socket.socket() as made:
        made.settimeout(5)
        code = made.connect_ex(("127.0.0.1", port))
    return 0 if code == errno.ECONNREFUSED else code


def no_landlock() -> str:
    try:
        return "" if landlock.version() >= 6 else "Landlock ABI 6 is needed for scopes"
    except OSError as error:
        return os.strerror(error.errno or 0)


@pytest.mark.parametrize("target", [ObjectTarget.LANDLOCK, ObjectTarget.LANDLOCK_TOML])
def test_the_kernel_answers_as_decide(file: Path, target: ObjectTarget) -> None:
    """Under what was exported, loaded as its format says, opens and connects are as decided."""
    if reason := no_landlock():
        pytest.skip(f"Landlock: {reason}")
    found, mine = document(file, target), policy(file)
    acts: list[tuple[Call, Callable[[], int]]] = []
    for name in ("open", "shut"):
        path = file.parent / name / "file"
        for flags, words in ((os.O_RDONLY, "ro"), (os.O_WRONLY, "wo"), (os.O_RDWR, "rw")):
            values = (
                Value(translator="filename", text=str(path)),
                Value(translator="oflags", text=words),
            )
            call = Call(name="openat", abi="x86_64", args=(0, 0, flags, 0, 0, 0), values=values)
            acts.append((call, lambda path=path, flags=flags: _opened(path, flags)))  # type: ignore[misc]
    for port in (80, 81):
        address = Value(translator="sockaddr", text=f"inet-[127.0.0.1]:{port}")
        call = Call(name="connect", abi="x86_64", args=(0,) * 6, values=(address,))
        acts.append((call, lambda port=port: _connected(port)))  # type: ignore[misc]

    read_end, write_end = os.pipe()

    def confined() -> int:
        restrict(found)
        os.write(write_end, json.dumps([act() for _, act in acts]).encode())
        return 0

    child = process.fork(confined)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answers = json.loads(pipe.read())
    process.wait(child)
    decisions = [decide(mine, call) for call, _ in acts]
    assert answers == [each.errno if each.action is Action.DENY else 0 for each in decisions]
    assert 0 in answers
    assert errno.EACCES in answers


def test_a_directory_by_its_bare_name_is_not_permitted(tmp_path: Path) -> None:
    """The format permits hierarchies only, so that it is left out, which is said."""
    path = tmp_path / "p.yaml"
    path.write_text(
        f'default: permit\nrules:\n  - permit: fsread\n    when: filename eq "{tmp_path}"\n'
        "  - deny[eacces]: fsread\n"
    )
    made = export_objects([policy(path)], ObjectTarget.LANDLOCK)
    (only,) = json.loads(made.content)["pathBeneath"]
    assert only == {"allowedAccess": ["refer"], "parent": ["/"]}
    assert f"{tmp_path}: a directory without what is in it cannot be permitted" in made.lost


def test_what_is_lost_is_said(file: Path) -> None:
    """Rule by rule with its line; several policies, and nothing to keep, are one error."""
    done = run("export", file, "--to", "landlock-toml")
    assert done.exit_code == 0
    assert f"lost: {file}:5: " in done.stderr
    assert "no right for" in done.stderr
    plain = file.with_name("q.yaml")
    plain.write_text("default: permit\nrules:\n  - deny[eperm]: ptrace\n")
    done = run("export", plain, "--to", "landlock")
    assert (done.exit_code, "Landlock keeps nothing of it" in done.stderr) == (2, True)
    done = run("export", f"{plain}+{plain}", "--to", "landlock")
    assert (done.exit_code, "the policy of one file" in done.stderr) == (2, True)
    plain.write_text("policy: /a\nrules: []\n---\npolicy: /b\nrules: []\n")
    done = run("export", plain, "--to", "apparmor")
    assert (done.exit_code, "2 policies in it" in done.stderr) == (2, True)


def test_apparmor_takes_the_profile(file: Path, tmp_path: Path) -> None:
    """Its parser compiles it; the permitted tree is in it, and nothing names the denied one."""
    text = export_objects([policy(file)], ObjectTarget.APPARMOR).content.decode()
    assert f'"{file.parent}/open{{,/}}" mrwlk' in text
    assert f'"{file.parent}/shut' not in text
    if shutil.which("apparmor_parser") is None:
        pytest.skip("apparmor_parser is not installed")
    unknown = {word for word in SINCE_4_0 if not parsed(f"profile x {{ {word}, }}", tmp_path)}
    lines = [line for line in text.splitlines() if line.strip(" ,") not in unknown]
    assert parsed("\n".join(lines), tmp_path)
    assert not parsed("\n".join(lines).replace("mrwlk", "mrwlkz"), tmp_path)


SINCE_4_0 = ("mqueue", "io_uring", "userns")
"""Kinds of rules that older parsers do not know."""


def parsed(text: str, directory: Path) -> bool:
    path = directory / "profile"
    path.write_text(text + "\n")
    words = ["apparmor_parser", "-Q", "-K", "-o", str(directory / "binary"), str(path)]
    return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0
