"""The kernel's own answers in bulk: one process under one filter makes very many calls.

So that no call does anything, every answer of the filter is first exchanged for an errno of its
own; which of them the kernel gives tells which answer it would have given.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from enforcer.arch import ABIS, native
from enforcer.cbpf.instruction import Code, Program, assemble
from enforcer.cbpf.spec import ERRNO, SeccompData
from harness import process
from harness.build import BuildError, build_source

SOURCE = Path(__file__).resolve().parent / "actor" / "bulk.c"
FIRST_MARK = 3000
"""Errnos from here on are given by no call."""

_HEADER = struct.Struct("=IIII")
_CALL = struct.Struct("=II6Qq")
_UNTOUCHED = 1 << 62
_AS_CALLED = {ABIS["x86_64"].audit_arch: 0, ABIS["i386"].audit_arch: 1}
TIMEOUT_S = 20.0


class BulkError(RuntimeError):
    """The actor could not do its work; the message says how it ended."""


UNFILTERED = frozenset({335, 336})
"""uretprobe and uprobe of x86_64, which the kernel (6.13, 6.18) lets past every filter."""


def is_reachable(data: SeccompData) -> bool:
    """Whether a process of this machine can make this call, and a filter sees it."""
    if data.arch == ABIS["x86_64"].audit_arch and data.nr in UNFILTERED:
        return False
    return data.arch in _AS_CALLED


def marked(program: Program) -> tuple[Program, dict[int, int]]:
    """The program with an errno of its own for each answer, and the answer that each stands for."""
    answers = dict.fromkeys(step.k for step in program if step.code == Code.RET)
    marks = {answer: FIRST_MARK + place for place, answer in enumerate(answers)}
    changed = tuple(
        replace(step, k=ERRNO(marks[step.k])) if step.code == Code.RET else step for step in program
    )
    return changed, {mark: answer for answer, mark in marks.items()}


def kernel_answers(program: Program, calls: Sequence[SeccompData]) -> list[int]:
    """What the kernel answers to each call under `program`. Raises BulkError, BuildError."""
    changed, meaning = marked(program)
    results = make_calls(assemble(changed), calls)
    found: list[int] = []
    for data, result in zip(calls, results, strict=True):
        if -result not in meaning:
            raise BulkError(f"{data}: the kernel gave {result}, which the filter does not give")
        found.append(meaning[-result])
    return found


def make_calls(filter_bytes: bytes, calls: Sequence[SeccompData]) -> list[int]:
    """The raw results of the calls under a filter. Raises BulkError, BuildError."""
    actor = built()
    body = b"".join(
        _CALL.pack(data.nr, _AS_CALLED[data.arch], *data.args, _UNTOUCHED) for data in calls
    )
    head = _HEADER.pack(len(filter_bytes) // 8, len(calls), 0, 0)
    memory = os.memfd_create("harness-fuzz")
    try:
        os.write(memory, head + filter_bytes + body)
        status = process.run_on(
            [actor, str(len(head + filter_bytes + body))], memory, timeout_s=TIMEOUT_S
        )
        raw = os.pread(memory, len(body), len(head) + len(filter_bytes))
    finally:
        os.close(memory)
    results = [_CALL.unpack_from(raw, place)[-1] for place in range(0, len(raw), _CALL.size)]
    if status != -signal.SIGILL or _UNTOUCHED in results:
        begun = results.index(_UNTOUCHED) if _UNTOUCHED in results else len(results)
        raise BulkError(f"the actor ended with {status} at call {begun} of {len(results)}")
    return results


@cache
def built() -> Path:
    """The actor's program. Raises BuildError."""
    return build_source(SOURCE, "x86_64", include=SOURCE.parent)


def unavailable() -> str:
    """Why calls cannot be made here; empty: they can."""
    if native().name != "x86_64":
        return "the actor is written for x86_64"
    try:
        built()
    except BuildError as error:
        return str(error)
    return ""
