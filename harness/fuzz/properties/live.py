"""Live: a program of calls under a backend gives, call by call, what `decide` says."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import strategies as st

from enforcer.call import Action
from enforcer.condition import LOW_HALF, WORD, Operator
from enforcer.mechanisms.contract import MechanismName
from enforcer.policy.ast import (
    Dialect,
    Expression,
    Policy,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
)
from harness.fuzz.cases import LiveCase
from harness.fuzz.cell import cell, unavailable
from harness.fuzz.live import ERRNOS, smallest
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import policy_text
from harness.fuzz.strategies.register_rules import EDGES
from harness.fuzz.strategies.worlds import worlds
from harness.fuzz.wire import to_json

COUNT = 300
WIDE = 10
"""How many times more calls a campaign makes than a test."""

DEFAULT_BACKEND = MechanismName.PTRACE
BY_NAME = (
    *("openat", "open", "openat2", "access", "faccessat", "chmod", "fchmodat", "fsread", "fswrite"),
    *("fsread", "fswrite", "rename", "renameat2", "link", "symlink", "unlink", "mkdirat"),
    *("truncate", "readlink", "newfstatat", "stat"),
)
BY_REGISTER = (
    *("ioctl", "fcntl", "lseek", "getppid", "openat", "socket", "ftruncate", "madvise", "dup"),
    *("fchmod", "sendto"),
)
PLAIN = ("mkdir", "fchdir", "socketpair", "fsread", "fswrite", "chdir", "connect", "clone", "dup")

_paths = st.builds(
    TextSymbol,
    translator=st.just("filename"),
    operator=st.sampled_from(
        (TextOperator.EQ, TextOperator.EQ, TextOperator.NEQ, TextOperator.MATCH)
    ),
    operand=st.sampled_from(
        (
            *("/w/a", "/w/b", "/w/sub/c", "/w/sub/*", "/w/link", "/w", "/w/sub", "/w/sub/deep/*"),
            *("/w/new", "/w/sub/new", "/w/empty/*", "/w/sub/deep", "/w/fifo"),
        )
    ),
)
_registers = st.builds(
    RegisterSymbol,
    argument=st.integers(0, 2),
    operator=st.sampled_from(Operator),
    value=st.one_of(st.sampled_from(EDGES), st.sampled_from((0, 1, 2, 3, 4, 0x5412))),
    mask=st.sampled_from((WORD, WORD, LOW_HALF, 3)),
)


@st.composite
def live_cases(draw: st.DrawFn) -> LiveCase:
    """Rules on paths for calls with paths, on registers for the others, plain ones for any."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        sort = draw(st.integers(0, 6))
        names = BY_NAME if sort < 4 else BY_REGISTER if sort < 6 else PLAIN
        denies = draw(st.integers(0, 3)) > 0
        when: Expression | None = None
        if sort < 6:
            when = draw(_paths) if sort < 4 else draw(_registers)
        found.append(
            Rule(
                calls=(draw(st.sampled_from(names)),),
                when=when,
                action=Action.DENY if denies else Action.PERMIT,
                errno=draw(st.sampled_from(ERRNOS)) if denies else 0,
            )
        )
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=tuple(found), default=Action.PERMIT)
    return LiveCase(policy, draw(worlds), draw(st.integers(0, 0xFFFF)), COUNT)


def check_live(case: LiveCase, tally: Tally) -> None:
    """A denied call gives the policy's errno and does nothing; any other what it gives bare."""
    backend = tally.backend or DEFAULT_BACKEND.value
    if tally.wide and not case.steps:
        case = replace(case, count=case.count * WIDE)
    answer = cell().ask({"work": "differential", "case": to_json(case), "backend": backend})
    tally.decisions += cast("int", answer["compared"])
    tally.counts["calls made"] += cast("int", answer["calls"])
    tally.counts["milliseconds under the backend"] += cast("int", answer["milliseconds"])
    for reason, count in cast("dict[str, int]", answer["apart"]).items():
        tally.apart[reason] += count
    if breach := cast("dict[str, str]", answer["breach"]):
        raise Mismatch(policy=policy_text(case.policy), **breach)


def smallest_live(case: LiveCase, tally: Tally) -> LiveCase:
    """The least program that breaks the property in the same way."""
    backend = tally.backend

    def signature(tried: LiveCase) -> str:
        if tally.is_late():
            return ""
        try:
            check_live(tried, Tally(backend=backend))
        except Mismatch as mismatch:
            return mismatch.signature
        return ""

    if tally.wide and not case.steps:
        case = replace(case, count=case.count * WIDE)
    wanted = signature(case)
    return smallest(case, lambda tried: signature(tried) == wanted) if wanted else case


LIVE = Property(
    name="live",
    claim="a program of calls under a backend (--backend) does what decide says, call by call",
    group="live",
    cases=live_cases(),
    check=check_live,
    available=unavailable,
    smallest=smallest_live,
    runs_calls=True,
)
