"""What a command is given to judge: a policy of ours, a filter of others, or a process."""

from __future__ import annotations

import re
from pathlib import Path

from enforcer.arch import native
from enforcer.cbpf.compiler import FilterTooLarge, compile_filter
from enforcer.filters.model import Filter, Form
from enforcer.filters.process import read_process
from enforcer.filters.read import form_of, read_filter
from enforcer.mechanisms.filter_spec import spec_from_policies
from enforcer.mechanisms.seccomp import UNDECIDED, final_answer
from enforcer.policy.ast import Policy
from enforcer.policy.decide import default_decision
from enforcer.policy.load import load_policies
from enforcer.policy.problem import PolicyError, Problem

_PROCESS = re.compile(r"pid:(\d{1,10})\Z")


def read_operand(text: str, form: str | None = None) -> Filter:
    """The filter that `text` names: a file, or `pid:NUMBER`. Raises PolicyError.

    A policy of ours becomes the filter that the backend seccomp would load, which denies what
    memory would have to be read for. `A+B` is both over one process, A the newer.
    """
    if "+" in text and not Path(text).exists():
        return stacked(tuple(read_operand(each, form) for each in text.split("+")), text)
    process = _PROCESS.match(text)
    if process:
        return read_process(int(process[1]))
    path = Path(text)
    if form_of(path, form) is not None:
        return read_filter(path, form)
    return filter_of_policies(load_policies(path, form=form), text)


def stacked(filters: tuple[Filter, ...], source: str) -> Filter:
    """The filters over one process, the newest first: what each permits is what all permit."""
    abis = {abi.name: abi for each in filters for abi in each.abis}
    programs = tuple(program for each in filters for program in each.programs)
    return Filter(source=source, form=Form.BPF, abis=tuple(abis.values()), programs=programs)


def filter_of_policies(policies: tuple[Policy, ...], source: str) -> Filter:
    """The static filter of policies on this machine. Raises PolicyError."""
    abis = native().abis
    default = final_answer(default_decision(policies[0])) if policies else None
    try:
        spec = spec_from_policies(policies, abis, defer=UNDECIDED, answer=final_answer)
        program = compile_filter(spec)
    except (FilterTooLarge, ValueError) as error:
        raise PolicyError([Problem(source=source, line=1, column=1, message=str(error))]) from None
    return Filter(
        source=source, form=Form.BPF, abis=abis, programs=(program,), spec=spec, default=default
    )
