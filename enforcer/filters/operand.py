"""What a command is given to judge: a policy of ours, a filter of others, or a process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from enforcer.arch import native
from enforcer.cbpf.compiler import FilterTooLarge, compile_filter
from enforcer.filters.combine import intersection, union
from enforcer.filters.model import Filter, Form
from enforcer.filters.process import read_process
from enforcer.filters.read import form_of, read_filter
from enforcer.mechanisms.filter_spec import spec_from_policies
from enforcer.mechanisms.seccomp import UNDECIDED, final_answer
from enforcer.policy.ast import Policy
from enforcer.policy.decide import default_decision
from enforcer.policy.load import load_policies
from enforcer.policy.problem import PolicyError, Problem

UNION = "|"
INTERSECTION = "+"
_PROCESS = re.compile(r"pid:(\d{1,10})\Z")


def is_operand(text: str) -> bool:
    """Whether the text is more than the name of a file: a process, or several put together."""
    if _PROCESS.match(text):
        return True
    return any(sign in text for sign in (UNION, INTERSECTION)) and not _is_there(text)


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False  # a name that is too long, or none


def read_operand(text: str, form: str | None = None) -> Filter:
    """The filter that `text` names: a file, or `pid:NUMBER`. Raises PolicyError.

    A policy of ours becomes the filter that the backend seccomp would load, which denies what
    memory would have to be read for. `A+B` is both over one process, A the newer: what both permit;
    `A|B` is one filter that permits what either does. `+` binds closer.
    """
    if is_operand(text):
        for sign, together in ((UNION, union), (INTERSECTION, intersection)):
            parts = text.split(sign)
            if len(parts) > 1:
                return _together(parts, text, form, together)
    process = _PROCESS.match(text)
    if process:
        return read_process(int(process[1]))
    path = Path(text)
    if form_of(path, form) is not None:
        return read_filter(path, form)
    return filter_of_policies(load_policies(path, form=form), text)


def _together(
    parts: Sequence[str],
    text: str,
    form: str | None,
    together: Callable[[Sequence[Filter], str], Filter],
) -> Filter:
    if not all(parts):
        raise PolicyError(
            [_problem(text, "a file is missing beside `+` or `|`", "write A+B, or 'A|B'")]
        )
    filters = [read_operand(each, form) for each in parts]
    try:
        return together(filters, text)
    except (FilterTooLarge, ValueError) as error:
        raise PolicyError([_problem(text, f"they cannot be put together: {error}")]) from None


def filter_of_policies(policies: tuple[Policy, ...], source: str) -> Filter:
    """The static filter of policies on this machine. Raises PolicyError."""
    abis = native().abis
    default = final_answer(default_decision(policies[0])) if policies else None
    try:
        spec = spec_from_policies(policies, abis, defer=UNDECIDED, answer=final_answer)
        program = compile_filter(spec)
    except (FilterTooLarge, ValueError) as error:
        raise PolicyError([_problem(source, str(error))]) from None
    return Filter(
        source=source, form=Form.BPF, abis=abis, programs=(program,), spec=spec, default=default
    )


def _problem(source: str, message: str, mend: str = "") -> Problem:
    return Problem(source=source, line=1, column=1, message=message, mend=mend)
