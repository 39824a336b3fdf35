"""A filter as a profile of Docker's, which has no order among the rules of one call."""

from __future__ import annotations

import json

from enforcer.cbpf.spec import (
    ACTION_MASK,
    ALLOW,
    DATA_MASK,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    AbiTable,
    SpecClause,
)
from enforcer.condition import TRUE, WORD, Compare, Operator
from enforcer.exports.rows import calls, note_other_abis, terms, with_default
from enforcer.filters.model import Filter

_ERRNO = ERRNO(0)


def docker(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    each = with_default(filter, native, lost)
    entries: list[dict[str, object]] = []
    plain: dict[int, list[str]] = {}
    for name, clauses in calls(each):
        if len(clauses) == 1 and clauses[0].when == TRUE:
            plain.setdefault(clauses[0].answer, []).append(name)
            continue
        rows = [_docker_rows(name, clause) for clause in clauses]
        # libseccomp has no order: an answer may be told apart from the default only.
        if any(row is None for row in rows) or {c.answer for c in clauses} - {each.unknown} != {
            clauses[0].answer
        }:
            lost.append(f"{name}: its rules have an order, or a `not`, that the format lacks")
            answers = [clause.answer for clause in clauses]
            refusals = [answer for answer in answers if answer & ACTION_MASK not in (ALLOW, LOG)]
            if refusals and each.unknown & ACTION_MASK in (ALLOW, LOG):
                plain.setdefault(refusals[0], []).append(name)
            continue
        entries += [row for found in rows if found for row in found]
    listed = [{"names": names, **_docker_action(answer)} for answer, names in plain.items()]
    top = _docker_action(each.unknown)
    note_other_abis(filter, each.abi, lost)
    document = {
        "defaultAction": top["action"],
        **({"defaultErrnoRet": top["errnoRet"]} if "errnoRet" in top else {}),
        "syscalls": [*listed, *entries],
    }
    return json.dumps(document, indent=2) + "\n"


def _docker_rows(name: str, clause: SpecClause) -> list[dict[str, object]] | None:
    found = terms(clause.when)
    if found is None:
        return None
    rows = []
    for comparisons in found:
        if len({each.argument for each in comparisons}) < len(comparisons):
            return None  # one comparison of a register in each entry
        args = [_docker_argument(each) for each in comparisons]
        if any(arg is None for arg in args):
            return None
        rows.append({"names": [name], "args": args, **_docker_action(clause.answer)})
    return rows


def _docker_argument(compare: Compare) -> dict[str, object] | None:
    plain = {"index": compare.argument, "value": compare.value}
    if compare.mask == WORD:
        return {**plain, "op": f"SCMP_CMP_{compare.operator.name}"}
    if compare.operator is not Operator.EQ:
        return None
    return {
        "index": compare.argument,
        "value": compare.mask,
        "valueTwo": compare.value,
        "op": "SCMP_CMP_MASKED_EQ",
    }


def _docker_action(answer: int) -> dict[str, object]:
    words = {ALLOW: "ALLOW", LOG: "LOG", KILL_PROCESS: "KILL_PROCESS", KILL_THREAD: "KILL_THREAD"}
    if answer & ACTION_MASK == _ERRNO:
        return {"action": "SCMP_ACT_ERRNO", "errnoRet": answer & DATA_MASK}
    return {"action": f"SCMP_ACT_{words.get(answer & ACTION_MASK, 'TRAP')}"}
