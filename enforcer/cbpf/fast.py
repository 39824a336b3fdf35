"""The fast simulator: a program translated once into Python functions, one for each basic block.

It answers like `simulate` (a test holds them equal) at many times the speed, for comparing
compilers over many calls; it does not tell which instructions were visited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from enforcer.cbpf.instruction import BRANCHES, DATA_SIZE, SCRATCH_WORDS, Code, Instruction, Program
from enforcer.cbpf.spec import SeccompData

Words = Sequence[int]
Simulator = Callable[[SeccompData], int]

_TEMPLATES = {
    Code.LD_LEN: f"a = {DATA_SIZE}",
    Code.LDX_LEN: f"x = {DATA_SIZE}",
    Code.LD_IMM: "a = {k}",
    Code.LDX_IMM: "x = {k}",
    Code.LD_MEM: "a = m[{k}]",
    Code.LDX_MEM: "x = m[{k}]",
    Code.ST: "m[{k}] = a",
    Code.STX: "m[{k}] = x",
    Code.ADD: "a = (a + {k}) & 0xFFFFFFFF",
    Code.ADD_X: "a = (a + x) & 0xFFFFFFFF",
    Code.SUB: "a = (a - {k}) & 0xFFFFFFFF",
    Code.SUB_X: "a = (a - x) & 0xFFFFFFFF",
    Code.MUL: "a = (a * {k}) & 0xFFFFFFFF",
    Code.MUL_X: "a = (a * x) & 0xFFFFFFFF",
    Code.DIV: "a = a // {k}",
    Code.DIV_X: "if x == 0: return 0, None, 0, 0\n    a = a // x",
    Code.OR: "a = a | {k}",
    Code.OR_X: "a = a | x",
    Code.AND: "a = a & {k}",
    Code.AND_X: "a = a & x",
    Code.XOR: "a = a ^ {k}",
    Code.XOR_X: "a = a ^ x",
    Code.LSH: "a = (a << {k}) & 0xFFFFFFFF",
    Code.LSH_X: "a = (a << (x & 31)) & 0xFFFFFFFF",
    Code.RSH: "a = a >> {k}",
    Code.RSH_X: "a = a >> (x & 31)",
    Code.NEG: "a = -a & 0xFFFFFFFF",
    Code.TAX: "x = a",
    Code.TXA: "a = x",
}

_TESTS = {
    Code.JEQ: "a == {k}",
    Code.JEQ_X: "a == x",
    Code.JGT: "a > {k}",
    Code.JGT_X: "a > x",
    Code.JGE: "a >= {k}",
    Code.JGE_X: "a >= x",
    Code.JSET: "a & {k}",
    Code.JSET_X: "a & x",
}


def fast_simulator(program: Program) -> Simulator:
    """A function that answers as `simulate(program, data)[0]`. `program` must pass `check`."""
    source = "\n".join(_block(program, start) for start in sorted(_starts(program)))
    namespace: dict[str, object] = {}
    exec(compile(source, "<filter>", "exec"), namespace)
    entry = namespace["b0"]

    def answer(data: SeccompData) -> int:
        words = data.words()
        scratch = [0] * SCRATCH_WORDS
        value, block, a, x = 0, entry, 0, 0
        while block is not None:
            value, block, a, x = block(words, scratch, a, x)  # type: ignore[operator]
        return value

    return answer


def _starts(program: Program) -> set[int]:
    """Where basic blocks begin: at the first instruction and wherever something jumps."""
    starts = {0}
    for index, instruction in enumerate(program):
        if instruction.code in BRANCHES:
            starts |= {index + 1 + instruction.jt, index + 1 + instruction.jf}
        elif instruction.code == Code.JA:
            starts.add(index + 1 + instruction.k)
    return starts


def _block(program: Program, start: int) -> str:
    """The source of the function for the block at `start`: returns (answer, next, a, x)."""
    lines = [f"def b{start}(w, m, a, x):"]
    index = start
    while True:
        instruction = program[index]
        index += 1
        code = instruction.code
        if code == Code.RET:
            lines.append(f"return {instruction.k}, None, 0, 0")
        elif code == Code.RET_A:
            lines.append("return a, None, 0, 0")
        elif code == Code.JA:
            lines.append(_go(index + instruction.k))
        elif code in BRANCHES:
            test = _TESTS[Code(code)].format(k=instruction.k)
            lines.append(f"if {test}: {_go(index + instruction.jt)}")
            lines.append(_go(index + instruction.jf))
        else:
            lines.append(_statement(instruction))
            continue
        return "\n    ".join(lines)


def _go(target: int) -> str:
    return f"return 0, b{target}, a, x"


def _statement(instruction: Instruction) -> str:
    if instruction.code == Code.LD:
        return f"a = w[{instruction.k >> 2}]"
    return _TEMPLATES[Code(instruction.code)].format(k=instruction.k)
