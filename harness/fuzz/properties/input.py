"""Input: whatever bytes come in, loaders say what is wrong and where, and readers fail closed."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from enforcer.kernel.mapped import address_of
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.format import NotExpressible
from enforcer.policy.load import load_policies
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.problem import PolicyError, Problem
from enforcer.supervision.memory import UnreadableMemory, read_bytes, read_string
from harness.attack import ManifestError, load_attack
from harness.fuzz.cases import BytesCase, MemoryCase, TextCase
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import policy_text
from harness.fuzz.strategies.near_valid import near_valid
from harness.scenario import Known, ScenarioError, load_scenario

PAGE = mmap.PAGESIZE
_PAGES = 3
"""Mapped pages that a read can lie in; what follows them cannot be read."""

_WORDS = (
    *(b"Policy: /bin/ls, Emulation: native\n", b"native-", b"open", b"fsread", b":", b" "),
    *(b"permit", b"deny[", b"enoent", b"]", b"filename", b" eq ", b'"', b"/etc", b"\n", b"not "),
    *(b" and ", b"(", b")", b" then ", b"log", b" as ", b"root", b", if ", b"user = ", b"#"),
    *(b"arg[1]", b"== ", b"0x1", b"rules:\n", b"  - permit: [read]\n", b"    when: ", b"- "),
    *(b"default: ", b"&a ", b"*a ", b"!!python/name:os ", b"<<: *a", b"{", b"}", b"\t", b"|\n"),
    *(b"title: x\n", b"attack: race/path-race\n", b"policy: ", b"expect:\n", b"  default: held\n"),
    *(b"name: x\n", b"effect: read\n", b"abis: [x86_64]\n", b"limits: {timeout_s: 1e999}\n"),
    *(
        b"\xff",
        b"\xed\xa0\x80",
        b"\0",
        b"\xe2\x80\xa8",
        b"\r",
        b"0o7",
        b"1_0",
        b".inf",
        b"2026-01-01",
    ),
)
raw = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(_WORDS), max_size=25).map(b"".join),
).map(BytesCase)


def check_loaders(case: BytesCase, tally: Tally) -> None:
    """Policies in both forms, scenarios and manifests: read, or refused with places."""
    with tempfile.TemporaryDirectory(prefix="harness-fuzz-") as scratch:
        directory = Path(scratch) / "fuzzed"
        directory.mkdir()
        for suffix in ("systrace", "yaml"):
            path = directory / f"x.{suffix}"
            path.write_bytes(case.data)
            tally.decisions += 1
            try:
                load_policies(path)
            except PolicyError as error:
                _placed(error.problems, case)
        path = directory / "x.yaml"
        tally.decisions += 2
        try:
            load_scenario(path, directory.parent, Known(attacks={}, backends=("none",)))
        except ScenarioError as error:
            _placed(error.problems, case)
        try:
            load_attack(path)
        except ManifestError as error:
            _placed(error.problems, case)


def _placed(problems: Iterable[Problem], case: BytesCase) -> None:
    found = tuple(problems)
    lines = len(case.data.splitlines()) + case.data.count(b"\r") + 8
    for problem in found:
        if problem.message and 1 <= problem.line <= lines and problem.column >= 1:
            str(problem)
            continue
        raise Mismatch(call=repr(case.data), expected="a place", got=repr(problem))
    if not found:
        raise Mismatch(call=repr(case.data), expected="a problem", got="none")


def check_near_valid(case: TextCase, tally: Tally) -> None:
    """Every error has a place in the text; what is read all the same is read again as printed."""
    tally.decisions += 1
    try:
        found = _read(case.text, case.dialect)
    except PolicyError as error:
        lines = [*case.text.split("\n"), ""]
        for problem in error.problems:
            at, column = problem.line - 1, problem.column - 1
            if problem.message and 0 <= at < len(lines) and 0 <= column <= len(lines[at]) + 1:
                str(problem)
                continue
            raise Mismatch(policy=case.text, expected="a place", got=repr(problem)) from None
        if not error.problems:
            raise Mismatch(policy=case.text, expected="a problem", got="none") from None
        tally.counts["refused"] += 1
        return
    for policy in found:
        try:
            printed = policy_text(policy)
        except NotExpressible:
            tally.counts["not to be printed"] += 1  # a path with a quotation mark
            continue
        again = _read(printed, policy.dialect)
        if again != (policy,):
            raise Mismatch(policy=case.text, expected=repr(policy), got=f"{again!r} from {printed}")


def _read(text: str, dialect: Dialect) -> tuple[Policy, ...]:
    if dialect is Dialect.SYSTRACE:
        return parse_systrace(text, "x")
    return (parse_yaml(text, "x"),)


def check_memory(case: MemoryCase, tally: Tally) -> None:
    """A string and bytes are read as they lie in memory up to its very end, or not at all."""
    region, start = _pages()
    size = _PAGES * PAGE
    offset = case.offset % size
    region[:size] = b"\x78" * size
    text = case.text[: size - offset]
    region[offset : offset + len(text)] = text
    address = case.base or start + offset
    tally.decisions += 2
    content = b"" if case.base else region[offset:size]
    limit = case.limit
    _compare(case, _string(content, limit), lambda: read_string(os.getpid(), address, limit))
    whole: bytes | None = content[:limit] if len(content) >= limit else None
    _compare(case, whole, lambda: read_bytes(os.getpid(), address, limit))


def _string(content: bytes, limit: int) -> bytes | None:
    end = content.find(b"\0", 0, limit)
    return content[:end] if end >= 0 else None


def _compare(case: MemoryCase, expected: bytes | None, read: object) -> None:
    assert callable(read)
    got: bytes | None
    try:
        got = read()
    except UnreadableMemory:
        got = None
    if got != expected:
        raise Mismatch(
            call=f"{case}",
            expected="unreadable" if expected is None else repr(expected),
            got="unreadable" if got is None else repr(got),
            signature="memory",
        )


@cache
def _pages() -> tuple[mmap.mmap, int]:
    """Pages whose last one ends where nothing is mapped readable."""
    return address_of(_PAGES)


memory_cases = st.builds(
    MemoryCase,
    text=st.one_of(
        st.binary(max_size=300),
        st.integers(0, 4200).map(lambda length: b"y" * length + b"\0"),
        st.integers(0, 600).map(lambda length: b"y" * length),
    ),
    offset=st.one_of(
        st.integers(0, _PAGES * PAGE - 1),
        st.integers(1, 320).map(lambda back: _PAGES * PAGE - back),
        st.integers(-3, 3).map(lambda step: PAGE + step),
    ),
    limit=st.one_of(st.integers(1, 4096), st.sampled_from((1, 255, 256, 257, 4095, 4096))),
    base=st.sampled_from((0, 0, 0, 0, 1, 0xFFFF_FFFF_FFFF_F000, 0xFFFF_FFFF_FFFF_FFFF, 1 << 63)),
)

LOADERS = Property(
    name="loaders",
    claim="raw bytes are read or refused with places by every loader",
    group="input",
    cases=raw,
    check=check_loaders,
)
MEMORY = Property(
    name="memory",
    claim="strings and bytes are read exactly up to the end of memory, or fail closed",
    group="input",
    cases=memory_cases,
    check=check_memory,
)
NEAR_VALID = Property(
    name="near-valid",
    claim="a policy with one slip is read, or refused with a place for every error",
    group="language",
    cases=near_valid(),
    check=check_near_valid,
)
