"""Compilers of others that print a filter: kafel's own tool, and minijail's compiler in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from enforcer.arch import native
from enforcer.cbpf.instruction import Code, Instruction, Program, disassemble
from harness import process
from harness.runtimes.known import minijail_constants

KAFEL = "dump_policy_bpf"
MINIJAIL = "compile_seccomp_policy.py"
PATIENCE_S = 20.0


class Refused(Exception):
    """The compiler takes no such profile; what it said."""


def by_kafel(path: Path) -> Program:
    """By kafel's own tool, which prints the initialisers of a C array. Raises Refused."""
    done = process.run((KAFEL, "-c", str(path)), timeout_s=PATIENCE_S)
    if done.status != 0:
        raise Refused(done.stderr.strip())
    return tuple(parse_step(line) for line in done.stdout.splitlines() if line.startswith("BPF_"))


def by_minijail(path: Path) -> Program:
    """By minijail's compiler in Python. Raises Refused."""
    constants, out = path.with_name("constants.json"), path.with_name("compiled.bpf")
    constants.write_text(minijail_constants())
    words = (MINIJAIL, "--arch-json", str(constants), str(path), str(out))
    done = process.run(words, timeout_s=PATIENCE_S)
    if done.status != 0:
        raise Refused(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no words")
    return disassemble(out.read_bytes(), big_endian=native().native.big_endian)


_OFFSETS = {"nr": 0, "arch": 4, "instruction_pointer": 8} | {
    f"args[{n}]": 16 + 8 * n for n in range(6)
}
_OFFSET = re.compile(r"offsetof\(struct seccomp_data, ([a-z_0-9\[\]]+)\)")
_WORDS: Mapping[str, int] = {
    **{f"BPF_{word}": 0 for word in ("LD", "W", "IMM", "K", "JA", "ADD")},
    **{"BPF_LDX": 1, "BPF_ST": 2, "BPF_STX": 3, "BPF_ALU": 4, "BPF_JMP": 5, "BPF_RET": 6},
    **{"BPF_MISC": 7, "BPF_TAX": 0, "BPF_TXA": 0x80, "BPF_X": 8, "BPF_A": 0x10},
    **{"BPF_ABS": 0x20, "BPF_MEM": 0x60, "BPF_LEN": 0x80, "BPF_AND": 0x50, "BPF_OR": 0x40},
    **{"BPF_JEQ": 0x10, "BPF_JGT": 0x20, "BPF_JGE": 0x30, "BPF_JSET": 0x40},
    **{"SECCOMP_RET_KILL_PROCESS": 0x8000_0000, "SECCOMP_RET_KILL": 0, "sizeof(__u32)": 4},
    **{
        "SECCOMP_RET_TRAP": 0x3_0000,
        "SECCOMP_RET_ERRNO": 0x5_0000,
        "SECCOMP_RET_TRACE": 0x7FF0_0000,
    },
    **{"SECCOMP_RET_USER_NOTIF": 0x7FC0_0000},
    **{"SECCOMP_RET_LOG": 0x7FFC_0000, "SECCOMP_RET_ALLOW": 0x7FFF_0000},
}
"""linux/bpf_common.h, linux/filter.h and linux/seccomp.h, as far as seccomp takes them."""


def parse_step(line: str) -> Instruction:
    """`BPF_STMT(code, k),` or `BPF_JUMP(code, k, jt, jf),`. Raises ValueError, KeyError."""
    inner = _OFFSET.sub(lambda found: str(_OFFSETS[found[1]]), line)
    parts = inner.partition("(")[2].rpartition(")")[0].split(", ")
    code, k, jt, jf = map(_joined, (*parts, "0", "0")[:4])
    return Instruction(Code(code), k, jt, jf)


def _joined(text: str) -> int:
    """Words and numbers joined by `|`, or by `+` where no bit is in both."""
    total = 0
    for word in text.replace("+", "|").split("|"):
        known = _WORDS.get(word.strip())
        total |= int(word.strip().rstrip("u"), 0) if known is None else known
    return total
