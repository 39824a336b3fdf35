"""Hypothesis strategies: arbitrary BPF programs, valid and nearly valid."""

from __future__ import annotations

from hypothesis import strategies as st

from enforcer.cbpf.instruction import BRANCHES, Code, Instruction, Program

_WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 3, 31, 32, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]),
    st.integers(0, 0xFFFF_FFFF),
)
_SCRATCH = frozenset({Code.LD_MEM, Code.LDX_MEM, Code.ST, Code.STX})
_BOUNDED = frozenset({Code.LSH, Code.RSH})
_ENDS = frozenset({Code.RET, Code.RET_A, Code.JA})


@st.composite
def valid_programs(draw: st.DrawFn) -> Program:
    """Programs of every operation that the kernel would load; all scratch words are set first."""
    length = draw(st.integers(0, 25))
    body = [Instruction(Code.ST, word) for word in range(16)]
    for left in range(length, 0, -1):
        code = draw(st.sampled_from(Code))
        if code in BRANCHES:
            jt, jf = draw(st.integers(0, left - 1)), draw(st.integers(0, left - 1))
            body.append(Instruction(code, draw(_WORDS), jt, jf))
        elif code == Code.JA:
            body.append(Instruction(code, draw(st.integers(0, left - 1))))
        else:
            body.append(Instruction(code, draw(_operands(code))))
    return (*body, draw(st.sampled_from([Instruction(Code.RET_A), Instruction(Code.RET, 7)])))


def _operands(code: Code) -> st.SearchStrategy[int]:
    if code == Code.LD:
        return st.integers(0, 15).map(lambda word: 4 * word)
    if code in _SCRATCH:
        return st.integers(0, 15)
    if code in _BOUNDED:
        return st.integers(0, 31)
    return _WORDS.filter(bool) if code == Code.DIV else _WORDS


near_programs = st.lists(
    st.builds(
        Instruction,
        st.one_of(st.sampled_from(Code), st.sampled_from([0x94, 0x9C, 0x28, 0x30, 0x8C, 0xFFFF])),
        st.one_of(st.integers(0, 5), st.sampled_from([16, 31, 32, 60, 62, 64, 0xFFFF_FFFF])),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    min_size=0,
    max_size=6,
).map(tuple)
"""Programs of which the kernel refuses most, for many reasons."""
