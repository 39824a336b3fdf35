"""Whole files in the other dialect: what the loader makes of both decides alike."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enforcer.call import Call, Value
from enforcer.cli.check import check
from enforcer.cli.convert import convert
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.check import check_policy
from enforcer.policy.convert_file import convert_file
from enforcer.policy.decide import decide
from enforcer.policy.format import format_policies
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_file, parse_systrace, parse_yaml
from enforcer.policy.problem import Severity
from enforcer.policy.translators import Origin, sources
from enforcer.policy.yaml_form import read_documents
from enforcer.syscalls import names, number
from enforcer.syscalls.translate import CONSTANTS
from harness.fuzz.properties.language import HARMLESS
from harness.fuzz.strategies.policies import policies

SHIPPED = Path(__file__).parents[2] / "scenarios" / "policies"
HEAD = "Policy: /bin/x, Emulation: native\n"

SYSTRACE = {
    "removal-denied": 'unlink: filename match "/tmp/keep" then deny\nfswrite: true then permit',
    "old-names": 'open: filename eq "/tmp/keep" then deny\nstat: permit\nfork: permit',
    "removal": 'rmdir: deny[enotdir]\nunlink: permit\nfsread: filename sub "x" then permit log',
    "runtime-named": 'read: fd eq "0" then deny\nprlimit64: deny\ngetrlimit: permit',
    "detached": "detached",
    "nothing": "",
}
STRICT = {
    "asks": "rules:\n  - permit: unlink\n  - deny: read",
    "equivalents-under-an-alias": """
rules:
  - deny: stat
    when: filename eq "/tmp/keep"
  - permit: fsread
    when: filename match "/usr/*"
""",
    "the-same-with-a-default": """
default: permit
rules:
  - deny[eacces]: stat
    when: filename eq "/tmp/keep"
  - deny[enoent]: fsread
    when: filename match "/usr/*"
""",
    "template": "default: deny\ninclude: [linux-runtime]\nrules:\n  - permit: [fsread, fork]",
    "killed": "default: kill\nrules:\n  - permit: [open, stat, fsread]",
    "denied": "default: deny[enosys]\nrules:\n  - permit: [unlink, rename, exit]",
}

WORDS = (0, CONSTANTS["AT_REMOVEDIR"], CONSTANTS["CLONE_NEWUSER"], 2**64 - 1)
TEXTS = {
    "filename": ("/tmp/keep", "/usr/x"),
    "sockaddr": ("/tmp/keep", "inet-[127.0.0.1]:80"),
    "oflags": ("ro", "wonact"),
    "flags": ("0", "CLONE_NEWUSER"),
}
ABIS = ("x86_64", "i386")


@cache
def all_calls() -> tuple[Call, ...]:
    """Every call of the tables with boundary values in all registers, and texts of every kind."""
    return tuple(_all_calls())


def _all_calls() -> Iterator[Call]:
    for name in sorted(names()):
        abi = next((abi for abi in ABIS if number(abi, name) is not None), None)
        if abi is None:
            continue
        inside = [each.translator for each in sources(name, abi) if each.origin is Origin.MEMORY]
        for word, place in product(WORDS, range(2 if inside else 1)):
            values = tuple(
                Value(translator=each, text=TEXTS.get(each, ("x", "y"))[place], exists=True)
                for each in inside
            )
            yield Call(name=name, abi=abi, args=(word,) * 6, values=values)


def assert_alike(before: Policy, after: Policy, where: str) -> None:
    for call in all_calls():
        one, other = decide(before, call), decide(after, call)
        shown = f"{where}\n{call}\n{one}\n{other}"
        assert (one.action, one.errno, one.log) == (other.action, other.errno, other.log), shown


def assert_kept(text: str, dialect: Dialect) -> tuple[str, ...]:
    """The notes on a conversion, after which what is loaded decides as what was loaded before."""
    is_old = dialect is Dialect.SYSTRACE
    parsed = parse_systrace(text, "x") if is_old else (parse_yaml(text, "x"),)
    ((converted, notes),) = convert_file(parsed, None)
    if all(note.startswith(HARMLESS) for note in notes):
        written = format_policies([converted], converted.dialect)
        again = (parse_yaml(written, "x"),) if is_old else parse_systrace(written, "x")
        (before,), (after,) = prepared(parsed), prepared(again)
        assert_alike(before, after, f"{text}\n{written}")
    return notes


@pytest.mark.parametrize("name", SYSTRACE)
def test_systrace_as_loaded(name: str) -> None:
    """What the loader adds to a systrace policy stands in the YAML that it becomes."""
    lines = SYSTRACE[name].splitlines()
    rules = [line if line == "detached" else f"native-{line}" for line in lines]
    assert_kept(HEAD + "\n".join(rules), Dialect.SYSTRACE)


@pytest.mark.parametrize("name", STRICT)
def test_strict_as_loaded(name: str) -> None:
    """To the systrace policy that a strict one becomes the loader adds nothing."""
    assert_kept(STRICT[name], Dialect.STRICT)


@pytest.mark.parametrize("default", ["permit", "deny[enosys]", "kill", "ask"])
def test_a_default_is_one_line(default: str, tmp_path: Path) -> None:
    """Not a rule for every call; it is read back as it was."""
    new, old, back = (tmp_path / name for name in ("a.yaml", "a.systrace", "b.yaml"))
    new.write_text(f"default: {default}\nrules:\n  - permit: [io_setup, close]\n")
    for source, target in ((new, old), (old, back)):
        target.write_text(CliRunner().invoke(convert, [str(source)]).stdout)
    stated = [] if default == "ask" else [f"default: {default}"]
    assert old.read_text().splitlines()[1:][: len(stated)] == stated
    assert len(old.read_text().splitlines()) < (70 if default == "ask" else 5)
    (before,), (after,) = parse_file(new), parse_file(back)
    assert (before.default, before.default_errno) == (after.default, after.default_errno)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.systrace")), ids=lambda path: path.stem)
def test_shipped_policies_as_loaded(path: Path) -> None:
    """The systrace policies of the scenarios decide alike in YAML."""
    assert_kept(path.read_text(), Dialect.SYSTRACE)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.sampled_from(Dialect).flatmap(policies))
def test_any_policy_as_loaded(policy: Policy) -> None:
    """Any policy decides alike once converted, written, read and loaded, or a note says not."""
    assume(not any(each.severity is Severity.ERROR for each in check_policy(policy)))
    assert_kept(format_policies([policy], policy.dialect), policy.dialect)


MANY = HEAD + "native-read: permit\nPolicy: /bin/y, Emulation: native\nnative-write: permit\n"


def test_several_policies_are_one_file_both_ways(tmp_path: Path) -> None:
    """What convert writes of a file with two policies check reads, and convert again."""
    old, new, back = (tmp_path / name for name in ("a.systrace", "b.yaml", "c.systrace"))
    old.write_text(MANY)
    for source, target in ((old, new), (new, back)):
        result = CliRunner().invoke(convert, [str(source)])
        assert result.exit_code == 0, result.output
        target.write_text(result.stdout)
        assert "in order, 2 policies" in CliRunner().invoke(check, [str(target)]).stdout
        canonical = tmp_path / f"again{target.suffix}"
        canonical.write_text(CliRunner().invoke(check, ["--format", str(target)]).stdout)
        assert parse_file(canonical) == parse_file(target)
    assert [policy.binary for policy in parse_file(new)] == ["/bin/x", "/bin/y"]
    for before, after in zip(prepared(parse_file(old)), prepared(parse_file(back)), strict=True):
        assert_alike(before, after, back.read_text())


def test_mistakes_in_later_documents_have_their_lines() -> None:
    """Every document is read, and its mistakes are shown where they are in the file."""
    text = "rules: []\n---\nrules:\n  - permit: raed\n---\n- 1\n"
    policies_read, problems = read_documents(text, "x", CONSTANTS)
    assert len(policies_read) == 2
    assert [(problem.line, problem.message) for problem in problems.found] == [
        (6, "a policy is a mapping")
    ]


def test_documents_of_both_dialects_need_a_choice(tmp_path: Path) -> None:
    """A file in which each policy would become something else is refused, with what to do."""
    file = tmp_path / "a.yaml"
    file.write_text("rules: []\n---\ndialect: systrace\nrules: []\n")
    result = CliRunner().invoke(convert, [str(file)])
    assert result.exit_code == 2
    assert "--to" in result.output
    assert CliRunner().invoke(convert, [str(file), "--to", "strict"]).exit_code == 0
