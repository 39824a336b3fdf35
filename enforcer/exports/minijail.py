"""A filter as a policy of minijail's, which has few masks and no default with an errno."""

from __future__ import annotations

from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.spec import (
    ACTION_MASK,
    ALLOW,
    DATA_MASK,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRAP,
    AbiTable,
    SpecClause,
)
from enforcer.condition import TRUE, WORD, Compare, Operator
from enforcer.exports.rows import calls, note_other_abis, terms, with_default
from enforcer.filters.model import Filter

_ERRNO = ERRNO(0)


def minijail(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    each = with_default(filter, native, lost)
    words = {KILL_PROCESS: "kill-process", KILL_THREAD: "kill-thread", TRAP: "trap"}
    default = words.get(each.unknown & ACTION_MASK)
    lines = [f"@default {default or 'kill-process'}"]
    if default is None:
        lost.append(f"default: {answer_name(each.unknown)} becomes kill-process")
        each = AbiTable(each.abi, each.calls, unknown=KILL_PROCESS)
    for name, clauses in calls(each):
        line = _minijail_line(clauses)
        if line is None:
            lost.append(f"{name}: its rules need a mask or a `not` that minijail lacks")
        else:
            lines.append(f"{name}: {line}")
    note_other_abis(filter, each.abi, lost)
    return "\n".join(lines) + "\n"


def _minijail_line(clauses: tuple[SpecClause, ...]) -> str | None:
    parts = []
    for clause in clauses:
        found = terms(clause.when)
        if found is None:
            return None
        action = _minijail_action(clause.answer)
        if clause.when == TRUE:
            parts.append(action)
            continue
        atoms = [[_minijail_atom(compare) for compare in term] for term in found]
        if any(atom is None for term in atoms for atom in term):
            return None
        text = " || ".join(" && ".join(map(str, term)) for term in atoms)
        parts.append(text if action == "allow" else f"{text}; {action}")
    return parts[0] if len(parts) == 1 and clauses[0].when == TRUE else f"{{ {', '.join(parts)} }}"


def _minijail_atom(compare: Compare) -> str | None:
    if compare.mask == WORD:
        return f"arg{compare.argument} {compare.operator} {compare.value:#x}"
    if compare.operator is Operator.EQ and compare.value == 0:
        return f"arg{compare.argument} in {~compare.mask & WORD:#x}"
    if compare.operator is Operator.NE and compare.value == 0:
        return f"arg{compare.argument} & {compare.mask:#x}"
    return None


def _minijail_action(answer: int) -> str:
    if answer & ACTION_MASK == _ERRNO:
        return f"return {answer & DATA_MASK}"
    words = {ALLOW: "allow", LOG: "log", KILL_PROCESS: "kill-process", KILL_THREAD: "kill-thread"}
    return words.get(answer & ACTION_MASK, "trap")
