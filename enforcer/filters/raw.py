"""A compiled filter: an array of struct sock_filter, as `bwrap --seccomp` and minijail0 take it."""

from __future__ import annotations

from enforcer.arch import native
from enforcer.cbpf.check import InvalidProgram, check
from enforcer.cbpf.instruction import LIMIT, Program, disassemble
from enforcer.filters.model import Filter, Form
from enforcer.policy.problem import PolicyError, Problem

_INSTRUCTION_BYTES = 8


def read_raw(raw: bytes, source: str) -> Filter:
    """The filter in `raw`. Raises PolicyError where this machine's kernel would not load it."""
    big_endian = native().native.big_endian
    if len(raw) > LIMIT * _INSTRUCTION_BYTES:
        raise PolicyError([_problem(source, f"more than {LIMIT} instructions of 8 bytes")])
    try:
        program = disassemble(raw, big_endian=big_endian)
        check(program)
    except (ValueError, InvalidProgram) as error:
        mend = "a compiled filter is nothing but struct sock_filter, 8 bytes each"
        raise PolicyError(
            [_problem(source, f"the kernel would not load it: {error}", mend)]
        ) from error
    return of_programs((program,), source)


def of_programs(programs: tuple[Program, ...], source: str) -> Filter:
    """The filter of programs that are loaded one over the other."""
    return Filter(source=source, form=Form.BPF, abis=native().abis, programs=programs)


def _problem(source: str, message: str, mend: str = "") -> Problem:
    return Problem(source=source, line=1, column=1, message=message, mend=mend)
