"""What filters are given: register conditions, and no more deferred than is needed."""

from __future__ import annotations

import pytest

from enforcer.call import Action
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.residual import Clause, joined, residual


def clauses(text: str, name: str, *, registers: bool = True) -> list[tuple[Condition, str]]:
    """Each clause as its condition and `permit`, `deny 13`, ... or `defer`."""
    return [
        (clause.when, _word(clause))
        for clause in residual(parse_yaml(text, "x"), name, registers=registers)
    ]


def _word(clause: Clause) -> str:
    if clause.decision is None:
        return "defer"
    number = f" {clause.decision.errno}" if clause.decision.errno else ""
    return f"{clause.decision.action}{number}"


def low(argument: int, value: int, mask: int = LOW_HALF) -> Compare:
    return Compare(argument, Operator.EQ, value, mask)


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ("- permit: read", "read", [(TRUE, "permit")]),
        ("- permit: write", "read", [(TRUE, "deny 1")]),
        (
            '- permit: openat\n    when: oflags sub "ro"',
            "openat",
            [(low(2, 0, 3), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: ioctl\n    when: cmd eq "TIOCSTI"',
            "ioctl",
            [(low(1, 0x5412), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: mprotect\n    when: prot nsub "PROT_EXEC"',
            "mprotect",
            [(Not(low(2, 4, 4)), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: fchmod\n    when: mode eq "644"',
            "fchmod",
            [(low(1, 0o644, 0xFFFF), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: close\n    when: fd neq "-1"',
            "close",
            [(Not(low(0, LOW_HALF)), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: close\n    when: fd match "[3-5]"',
            "close",
            [
                (
                    All(
                        (
                            Compare(0, Operator.GE, 3, LOW_HALF),
                            Compare(0, Operator.LE, 5, LOW_HALF),
                        )
                    ),
                    "permit",
                ),
                (TRUE, "deny 1"),
            ],
        ),
        (
            '- permit: kill\n    when: signame inpath "SIGTERM/x"',
            "kill",
            [(low(1, 15), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: fsread\n    when: filename eq "/a"',
            "openat",
            [(low(2, 0, 0x243), "defer"), (TRUE, "deny 1")],
        ),
        ('- permit: fsread\n    when: filename eq "/a"', "openat2", [(TRUE, "defer")]),
        (
            '- permit: openat\n    when: filename eq "/a" and oflags sub "ro"',
            "openat",
            [(low(2, 0, 3), "defer"), (TRUE, "deny 1")],
        ),
        (
            '- permit: openat\n    when: filename eq "/a" or oflags sub "ro"',
            "openat",
            [(low(2, 0, 3), "permit"), (TRUE, "defer")],
        ),
        ("- permit: read\n    if: user = root", "read", [(TRUE, "defer")]),
        ("- permit: read\n    when: not true", "read", [(TRUE, "deny 1")]),
        (
            '- permit: read\n    when: call eq "read" and arg[0] == 3',
            "read",
            [(Compare(0, Operator.EQ, 3), "permit"), (TRUE, "deny 1")],
        ),
        ("- permit: read", "io_uring_setup", [(TRUE, "deny 38")]),
        ("- permit: read", "no_such_call", [(TRUE, "deny 38")]),
        (
            '- permit: openat\n    when: oflags eq "nothing"',
            "openat",
            [(TRUE, "deny 1")],
        ),
        ('- permit: openat\n    when: oflags sub ""', "openat", [(TRUE, "permit")]),
        ('- permit: close\n    when: fd sub ""', "close", [(TRUE, "permit")]),
        ('- permit: close\n    when: fd re "^[0-2]"', "close", [(TRUE, "defer")]),
        ('- permit: close\n    when: fd match "1*"', "close", [(TRUE, "defer")]),
        ('- permit: close\n    when: fd match "1?3?"', "close", [(TRUE, "defer")]),
        ('- permit: close\n    when: fd match "??[13579]"', "close", [(TRUE, "defer")]),
        (
            '- permit: mprotect\n    when: prot eq "PROT_READ|nothing"',
            "mprotect",
            [(TRUE, "deny 1")],
        ),
        ('- permit: accept4\n    when: flags sub "SOCK"', "accept4", [(TRUE, "deny 1")]),
        ('- permit: ioctl\n    when: cmd sub "0x"', "ioctl", [(TRUE, "defer")]),
        ('- permit: ioctl\n    when: cmd re "^T"', "ioctl", [(TRUE, "defer")]),
        ('- permit: mmap\n    when: flags sub "MAP_X|"', "mmap", [(TRUE, "defer")]),
        ('- permit: mmap\n    when: flags re "MAP"', "mmap", [(TRUE, "defer")]),
        ('- permit: mmap\n    when: flags match "M*"', "mmap", [(TRUE, "defer")]),
        (
            '- permit: mprotect\n    when: prot sub "NONE"',
            "mprotect",
            [(low(2, 0, WORD), "permit"), (TRUE, "deny 1")],
        ),
        (
            '- permit: mprotect\n    when: prot match "*EXEC*"',
            "mprotect",
            [(low(2, 4, 4), "permit"), (TRUE, "deny 1")],
        ),
    ],
    ids=lambda value: value.replace("\n   ", "") if isinstance(value, str) else "",
)
def test_clauses(rules: str, name: str, expected: list[tuple[Condition, str]]) -> None:
    """Register comparisons become conditions; memory and ids are deferred where they matter."""
    assert clauses(f"default: deny\nrules:\n  {rules}\n", name) == expected


def test_without_registers() -> None:
    """Where arguments lie in memory, only what looks at none is decided."""
    text = 'default: deny\nrules:\n  - permit: socket\n    when: sockdom eq "AF_UNIX"\n'
    assert clauses(text, "socket", registers=False) == [(TRUE, "defer")]
    assert clauses(text, "connect", registers=False) == [(TRUE, "deny 1")]
    text = "default: deny\nrules:\n  - permit: ioctl\n    when: arg[0] == 1\n  - permit: fsread\n"
    assert clauses(text, "ioctl", registers=False) == [(TRUE, "defer")]
    assert clauses(text, "openat", registers=False) == [(TRUE, "defer")]
    assert clauses(text, "stat", registers=False) == [(TRUE, "permit")]


def test_plain_rules_first() -> None:
    """In the systrace dialect a plain rule answers in the kernel wherever it stands."""
    (policy,) = parse_systrace(
        "Policy: *, Emulation: native\n"
        'native-fsread: filename eq "/a" then deny\n'
        'native-stat: filename eq "/b" then deny\nnative-stat: permit\n',
        "x",
    )
    (clause,) = residual(policy, "stat")
    assert clause.decision is not None
    assert (clause.when, clause.decision.action) == (TRUE, Action.PERMIT)


def test_joining() -> None:
    """Policies that agree on registers are joined; where they differ the supervisor is asked."""
    one = parse_yaml('default: deny\nrules:\n  - permit: openat\n    when: oflags sub "ro"\n', "1")
    two = parse_yaml("default: deny\nrules:\n  - permit: openat\n    when: arg[0] == 3\n", "2")
    three = parse_yaml("default: permit\nrules: []\n", "3")
    assert joined([one], "openat") == residual(one, "openat")
    reading, third = low(2, 0, 3), Compare(0, Operator.EQ, 3)
    assert [(clause.when, _word(clause)) for clause in joined([one, two], "openat")] == [
        (All((reading, third)), "permit"),
        (Any((reading, third)), "defer"),
        (TRUE, "deny 1"),
    ]
    assert [(clause.when, _word(clause)) for clause in joined([one, three], "openat")] == [
        (reading, "permit"),
        (TRUE, "defer"),
    ]
    with pytest.raises(ValueError, match="no policy"):
        joined([], "openat")
