"""The fast simulator: a program decoded once, each step holding the steps that may follow it.

It answers like `simulate` (a test and a property hold them equal) at several times the speed, for
comparing compilers over many calls; it does not tell which instructions were visited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from enforcer.cbpf.instruction import Code, Program
from enforcer.cbpf.simulate import run
from enforcer.cbpf.spec import SeccompData

Simulator = Callable[[SeccompData], int]

_Step = tuple[int, int, "_Step", "_Step"]
"""Kind, constant, and the steps behind it: if it holds, and if it does not."""

_NOWHERE = cast(_Step, ())
"""Where a step leads behind which nothing is looked up."""

_LOAD, _AT_LEAST, _EQUAL, _ABOVE, _RETURN, _MASK, _ANY_BIT = range(7)

_KINDS = {
    Code.LD: _LOAD,
    Code.AND: _MASK,
    Code.JEQ: _EQUAL,
    Code.JGE: _AT_LEAST,
    Code.JGT: _ABOVE,
    Code.JSET: _ANY_BIT,
    Code.RET: _RETURN,
}
_USUAL = frozenset({*_KINDS, Code.JA})
"""What compilers of filters emit. A program with any other operation is left to `simulate`."""


def fast_simulator(program: Program) -> Simulator:
    """A function that answers as `simulate(program, data)[0]`. `program` must pass `check`."""
    if not _USUAL.issuperset(instruction.code for instruction in program):
        return lambda data: run(program, data.words())[0]
    first = _decoded(program)

    def answer(data: SeccompData) -> int:
        words = data.words()
        a, step = 0, first
        while True:
            kind, k, yes, no = step
            if kind == _AT_LEAST:
                step = yes if a >= k else no
            elif kind == _EQUAL:
                step = yes if a == k else no
            elif kind == _LOAD:
                a, step = words[k], yes
            elif kind == _RETURN:
                return k
            elif kind == _ABOVE:
                step = yes if a > k else no
            elif kind == _MASK:
                a, step = a & k, yes
            else:
                step = yes if a & k else no

    return answer


def _decoded(program: Program) -> _Step:
    """The first step. Jumps lead forward, so that the last instruction is decoded first."""
    steps: list[_Step] = []
    for instruction in reversed(program):
        code, k = instruction.code, instruction.k
        if code == Code.JA:
            steps.append(steps[-1 - k])
        elif code == Code.RET:
            steps.append((_RETURN, k, _NOWHERE, _NOWHERE))
        elif code == Code.LD:
            steps.append((_LOAD, k >> 2, steps[-1], _NOWHERE))
        else:
            yes, no = steps[-1 - instruction.jt], steps[-1 - instruction.jf]
            steps.append((_KINDS[Code(code)], k, yes, no))
    return steps[-1]
