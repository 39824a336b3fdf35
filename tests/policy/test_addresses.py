"""Rules on addresses: what check says of them, and how they are decided without a text."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.call import Call, Value
from enforcer.cli.explain import explain
from enforcer.policy.check import check_policy
from enforcer.policy.decide import decide
from enforcer.policy.decider import Decider
from enforcer.policy.parser import parse_yaml


@pytest.mark.parametrize(
    ("call", "operand", "said"),
    [
        ("connect", "inet6-[::ffff:127.0.0.1]:80", 'write "inet-[127.0.0.1]:80"'),
        ("bind", "inet6-[0::1]:80", 'write "inet6-[::1]:80"'),
        ("connect", "inet-[0.0.0.0]:80", 'write "inet-[127.0.0.1]:80"'),
        ("sendto", "inet6-[::]:80", 'write "inet6-[::1]:80"'),
        ("bind", "inet-[0.0.0.0]:80", ""),
        ("connect", "inet-[127.0.0.1]:80", ""),
    ],
)
def test_addresses_that_rules_never_see(call: str, operand: str, said: str) -> None:
    """A rule on a spelling that is judged as another never holds: check names the other."""
    text = f'rules:\n  - permit: {call}\n    when: sockaddr eq "{operand}"\n'
    problems = check_policy(parse_yaml(text, "x"), text)
    assert [problem.mend for problem in problems] == ([said] if said else [])


@pytest.mark.parametrize("filename", ["", None])
def test_an_address_without_text(filename: str | None) -> None:
    """Rules on addresses refuse it; rules on names do not where it is said to be no path."""
    values = [Value(translator="sockaddr", text=None)]
    if filename is not None:
        values.append(Value(translator="filename", text=filename))
    call = Call(name="bind", abi="x86_64", args=(0,) * 6, values=tuple(values))
    texts = {value.translator: (value.text,) for value in values}
    for rule, number in (
        ('fswrite\n    when: filename match "/x/*"', 14 if filename is None else 0),
        ("fswrite", 14 if filename is None else 0),
        ('bind\n    when: sockaddr eq "/x"', 14),
    ):
        policy = parse_yaml(f"default: permit\nrules:\n  - deny[exdev]: {rule}\n", "x")
        assert decide(policy, call).errno == number
        assert Decider(policy).decide("bind", call.args, texts).errno == number


@pytest.mark.parametrize("written", ["inet6-[::ffff:127.0.0.1]:80", "inet-[0.0.0.0]:80"])
def test_explain_sees_addresses_as_a_run_does(written: str, tmp_path: Path) -> None:
    """However an address is given to explain, it is judged by the text that it has in a run."""
    file = tmp_path / "a.yaml"
    file.write_text('rules:\n  - deny: connect\n    when: sockaddr eq "inet-[127.0.0.1]:80"\n')
    result = CliRunner().invoke(explain, [str(file), "connect", "3", written])
    assert "connect: deny[eperm]" in result.stdout
    assert "yes ('inet-[127.0.0.1]:80')" in result.stdout
