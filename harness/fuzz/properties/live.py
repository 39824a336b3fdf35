"""Live: a program of calls under a backend gives, call by call, what `decide` says."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from hypothesis import strategies as st

from enforcer.call import Action
from enforcer.condition import LOW_HALF, WORD, Operator, holds
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
from enforcer.policy.decide import decide
from enforcer.policy.residual import residual
from harness.fuzz import bulk
from harness.fuzz.cases import EDGES, LiveCase
from harness.fuzz.live import (
    CHANGED_MODE,
    RARE,
    LiveCall,
    Translator,
    in_world,
    make_world,
    modes,
    program,
    run,
    same_kind,
)
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import call_text, decision_text, policy_text
from harness.fuzz.strategies.boundaries import registers_near

WIDE = 30
"""How many times more calls a campaign makes than a test."""

DEFAULT_BACKEND = MechanismName.PTRACE
BY_REGISTERS = frozenset({MechanismName.SECCOMP.value})
"""Backends that see registers only; what hangs on memory cannot be compared there."""

_paths = st.builds(
    TextSymbol,
    translator=st.just("filename"),
    operator=st.sampled_from(
        (TextOperator.EQ, TextOperator.NEQ, TextOperator.MATCH, TextOperator.INPATH)
    ),
    operand=st.sampled_from(("/w/a", "/w/b", "/w/sub/c", "/w/sub/*", "/w/*", "/w/link", "/w")),
)
_registers = st.builds(
    RegisterSymbol,
    argument=st.integers(0, 2),
    operator=st.sampled_from(Operator),
    value=st.one_of(st.sampled_from(EDGES), st.sampled_from((0, 1, 2, 0x5412))),
    mask=st.sampled_from((WORD, WORD, LOW_HALF, 3)),
)


@st.composite
def live_cases(draw: st.DrawFn) -> LiveCase:
    """Rules on paths for calls with paths, on registers for the others."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        by_path = draw(st.booleans())
        names = ("openat", "open", "access", "faccessat", "chmod", "fchmodat", "fsread", "fswrite")
        plain = ("ioctl", "fcntl", "lseek", "getppid", "openat")
        denies = draw(st.integers(0, 3)) > 0
        when: Expression = draw(_paths) if by_path else draw(_registers)
        found.append(
            Rule(
                calls=(draw(st.sampled_from(names if by_path else plain)),),
                when=when,
                action=Action.DENY if denies else Action.PERMIT,
                errno=draw(st.sampled_from(RARE)) if denies else 0,
            )
        )
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=tuple(found), default=Action.PERMIT)
    return LiveCase(policy, draw(st.integers(0, 0xFFFF)), 400)


def check_live(case: LiveCase, tally: Tally) -> None:
    """A denied call gives the policy's errno and does nothing; any other what it gives bare."""
    backend = tally.backend or DEFAULT_BACKEND
    count = case.count * WIDE if tally.wide else case.count
    calls = program(case.seed, count, registers_near(case.policy))
    with tempfile.TemporaryDirectory(prefix="harness-fuzz-") as scratch:
        bare, confined = (Path(scratch).resolve() / name / "w" for name in ("bare", "confined"))
        for root in (bare, confined):
            make_world(root)
        policy = in_world(case.policy, confined)
        translator = Translator(confined)
        judged = [(call, translator.call(call)) for call in calls]
        expected = run(calls, bare, "none", None)
        started = time.monotonic()
        got = run(calls, confined, backend, policy)
        tally.counts["milliseconds under the backend"] += int((time.monotonic() - started) * 1000)
        changed: set[int] = set()
        for (call, meant), usual, result in zip(judged, expected, got, strict=True):
            tally.counts["calls made"] += 1
            if backend in BY_REGISTERS and _defers(policy, call):
                tally.counts["not comparable"] += 1
                continue
            tally.decisions += 1
            decision = decide(policy, meant)
            permitted = decision.action is Action.PERMIT
            if permitted and usual >= 0 and "chmod" in call.name:
                changed.add(Path(meant.values[0].text or "").stat().st_ino)
            if same_kind(result, usual) if permitted else result == -decision.errno:
                continue
            bare_text = f"; bare: {usual}" if permitted else ""
            raise Mismatch(
                policy=policy_text(policy),
                call=f"{call_text(meant)} named {call.path!r}",
                expected=f"{decision_text(decision)}{bare_text}",
                got=f"{result} ({backend})",
                signature=f"live, {backend}, {call.name}",
            )
        if backend not in BY_REGISTERS:
            _check_tree(case, confined, changed, backend)


def _defers(policy: Policy, call: LiveCall) -> bool:
    clauses = residual(policy, call.name)
    return next(each.decision for each in clauses if holds(each.when, call.args)) is None


def _check_tree(case: LiveCase, root: Path, changed: set[int], backend: str) -> None:
    seen = {inode for inode, mode in modes(root).items() if mode == CHANGED_MODE}
    if seen == changed:
        return
    names = {path.lstat().st_ino: path.name for path in root.rglob("*")}
    raise Mismatch(
        policy=policy_text(case.policy),
        call="chmod and fchmodat",
        expected=f"changed: {sorted(names.get(inode, '?') for inode in changed)}",
        got=f"changed: {sorted(names.get(inode, '?') for inode in seen)} ({backend})",
        signature=f"live, {backend}, tree",
    )


LIVE = Property(
    name="live",
    claim="a program of calls under a backend (--backend) does what decide says, call by call",
    group="live",
    cases=live_cases(),
    check=check_live,
    available=bulk.unavailable,
)
