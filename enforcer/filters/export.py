"""A policy of ours, or a filter of others, in the languages of others, and what is lost.

Only what a language can say is written; every rule that it cannot is named. A static filter sees
registers, so what hangs on memory is what `cover` of the backend seccomp says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import assemble
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
from enforcer.condition import (
    LOW_HALF,
    TRUE,
    WORD,
    All,
    Any,
    Compare,
    Condition,
    Not,
    Operator,
    simplify,
)
from enforcer.filters.model import Entry, Filter, Form, filter_of
from enforcer.filters.raw import read_raw
from enforcer.filters.read import read_text
from enforcer.policy.names import errno_name
from enforcer.policy.problem import Problems
from enforcer.syscalls import table

_ERRNO = ERRNO(0)
_EPERM = 1


class Target(StrEnum):
    """What is written."""

    BPF = "bpf"
    BWRAP = "bwrap"
    DOCKER = "docker"
    MINIJAIL = "minijail"
    SYSTEMD = "systemd"
    FIREJAIL = "firejail"


@dataclass(frozen=True, kw_only=True)
class Export:
    """The file's content, and what it does not keep, one line each."""

    content: bytes
    lost: tuple[str, ...]


def export(filter: Filter, target: Target) -> Export:
    """The filter in that language. ValueError where it has programs only, and text is wanted."""
    if target in (Target.BPF, Target.BWRAP):
        return _compiled(filter)
    if filter.spec is None:
        raise ValueError(f"{filter.source} is a program; it can be exported to bpf and bwrap only")
    lost: list[str] = []
    text = _WRITERS[target](filter, filter.spec.tables[0], lost)
    return Export(content=text.encode(), lost=tuple(dict.fromkeys(lost)))


def meant(filter: Filter, target: Target, made: Export, source: str) -> Filter:
    """What the exported text means to whoever takes it; `filter` is what it was made of.

    Raises PolicyError.
    """
    match target:
        case Target.BPF | Target.BWRAP:
            return read_raw(made.content, source)
        case Target.FIREJAIL:
            return _meant_by_firejail(filter, source)
        case Target.DOCKER | Target.MINIJAIL | Target.SYSTEMD:
            return read_text(made.content.decode(), source, Form(target.value))
    assert_never(target)


def _meant_by_firejail(filter: Filter, source: str) -> Filter:
    """Its two lists, as fseccomp 0.9.72 compiles them (src/include/seccomp.h).

    A list of calls to keep has those in it that firejail needs itself (@default-keep);
    seccomp.block-secondary refuses other ABIs, x32, and personalities other than this one.
    """
    assert filter.spec is not None
    permits, found = _by_name(filter, filter.spec.tables[0], [])
    kills = {KILL_PROCESS: KILL_THREAD}
    entries = [
        Entry(call=name, answer=kills.get(answer, answer), source=source)
        for name, answer in found.items()
    ]
    if not permits:
        kept = {entry.call for entry in entries if entry.answer == ALLOW}
        names = sorted({*FIREJAIL_KEEPS, *(name for name in found if name in kept)})
        entries = [Entry(call=name, answer=ALLOW, source=source) for name in names]
    refused = _ERRNO | _EPERM
    own = Any((Compare(0, Operator.EQ, 0), Compare(0, Operator.EQ, LOW_HALF)))
    other = Entry(call="personality", when=Not(own), answer=refused, source=source)
    return filter_of(
        [other, *entries],
        source=source,
        form=Form.SYSTEMD,
        abis=filter.abis[:1],
        default=ALLOW if permits else refused,
        foreign=refused,
        problems=Problems(source, ""),
    )


def _compiled(filter: Filter) -> Export:
    if len(filter.programs) > 1:
        raise ValueError(f"{filter.source} is {len(filter.programs)} filters; dump writes each")
    content = assemble(filter.programs[0], big_endian=filter.big_endian)
    return Export(content=content, lost=())


def _calls(each: AbiTable) -> Iterator[tuple[str, tuple[SpecClause, ...]]]:
    """The calls by name whose answer is not the default's alone."""
    for name, nr in sorted(table(each.abi.name).items()):
        clauses = _needed(each.calls.get(nr, ()), each.unknown)
        if clauses:
            yield name, clauses


def _needed(clauses: tuple[SpecClause, ...], default: int) -> tuple[SpecClause, ...]:
    found = []
    for clause in clauses:
        found.append(SpecClause(simplify(clause.when), clause.answer, clause.origin))
        if found[-1].when == TRUE:
            break
    while found and found[-1].answer == default:
        found.pop()
    return tuple(found)


def _with_default(filter: Filter, each: AbiTable, lost: list[str]) -> AbiTable:
    """The table with the policy's own default, as far as that is another one."""
    default = each.unknown if filter.default is None else filter.default
    if default != each.unknown:
        lost.append(
            f"numbers of no call: {answer_name(each.unknown)} becomes {answer_name(default)}"
        )
    listed = {
        nr: each.calls.get(nr, ()) or (SpecClause(TRUE, each.unknown),)
        for nr in (*each.calls, *table(each.abi.name).values())
    }
    return AbiTable(each.abi, listed, unknown=default)


def terms(condition: Condition) -> list[tuple[Compare, ...]] | None:
    """The condition as alternatives of comparisons that hold together; None: it is none."""
    match condition:
        case Compare():
            return [(condition,)]
        case All(members):
            found: list[tuple[Compare, ...]] = [()]
            for member in members:
                inner = terms(member)
                if inner is None or len(found) * len(inner) > _MOST_TERMS:
                    return None
                found = [(*left, *right) for left in found for right in inner]
            return found
        case Any(members):
            every: list[tuple[Compare, ...]] = []
            for member in members:
                inner = terms(member)
                if inner is None:
                    return None
                every += inner
            return every
        case _:
            return None


_MOST_TERMS = 64


def _docker(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    each = _with_default(filter, native, lost)
    entries: list[dict[str, object]] = []
    plain: dict[int, list[str]] = {}
    for name, clauses in _calls(each):
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
    _other_abis(filter, each.abi, lost)
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


def _other_abis(filter: Filter, native: Abi, lost: list[str]) -> None:
    others = [abi.name for abi in filter.abis if abi.name != native.name]
    if others:
        lost.append(
            f"{', '.join(others)}: written for {native.name} only, which refuses the others"
        )


def _minijail(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    each = _with_default(filter, native, lost)
    words = {KILL_PROCESS: "kill-process", KILL_THREAD: "kill-thread", TRAP: "trap"}
    default = words.get(each.unknown & ACTION_MASK)
    lines = [f"@default {default or 'kill-process'}"]
    if default is None:
        lost.append(f"default: {answer_name(each.unknown)} becomes kill-process")
        each = AbiTable(each.abi, each.calls, unknown=KILL_PROCESS)
    for name, clauses in _calls(each):
        line = _minijail_line(clauses)
        if line is None:
            lost.append(f"{name}: its rules need a mask or a `not` that minijail lacks")
        else:
            lines.append(f"{name}: {line}")
    _other_abis(filter, each.abi, lost)
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


def _by_name(filter: Filter, native: AbiTable, lost: list[str]) -> tuple[bool, dict[str, int]]:
    """(whether the default permits, answers of the calls that differ from it), without registers.

    A call that registers decide is refused, with the answer of the first refusal: that errs to the
    safe side, and is said.
    """
    each = _with_default(filter, native, lost)
    permits = each.unknown & ACTION_MASK in (ALLOW, LOG)
    found: dict[str, int] = {}
    for name, clauses in _calls(each):
        answers = [clause.answer for clause in clauses]
        if clauses[-1].when != TRUE:
            answers.append(each.unknown)
        refusals = [answer for answer in answers if answer & ACTION_MASK not in (ALLOW, LOG)]
        if len(set(answers)) > 1:
            lost.append(f"{name}: depends on registers, and is refused whatever they hold")
        if refusals:
            if permits or refusals[0] != each.unknown:
                found[name] = refusals[0]
        elif not permits:
            found[name] = ALLOW
    return permits, found


def _systemd(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    permits, found = _by_name(filter, native, lost)
    default = native.unknown if filter.default is None else filter.default
    lines = ["[Service]", "SystemCallArchitectures=native"]
    words = []
    for name, answer in found.items():
        if answer & ACTION_MASK in (ALLOW, LOG):
            words.append(name)
        elif answer & ACTION_MASK == _ERRNO:
            words.append(f"{name}:{errno_name(answer & DATA_MASK).upper()}")
        else:
            words.append(f"{name}:kill")
    sign = "~" if permits else ""
    lines += [
        f"SystemCallFilter={sign}{' '.join(words[n : n + 8])}" for n in range(0, len(words), 8)
    ]
    if not permits:
        lost.append("@default: systemd permits these calls in every allow list")
        if default & ACTION_MASK == _ERRNO:
            name = errno_name(default & DATA_MASK).upper()
            lines.append(f"SystemCallErrorNumber={name}")
    _other_abis(filter, native.abi, lost)
    return "\n".join(lines) + "\n"


FIREJAIL_KEEPS = ("execve", "execveat", "prctl")


def _firejail(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    permits, found = _by_name(filter, native, lost)
    if permits:
        words = []
        for name, answer in found.items():
            is_errno = answer & ACTION_MASK == _ERRNO
            said = errno_name(answer & DATA_MASK).upper() if is_errno else "kill"
            if not is_errno and answer != KILL_THREAD:
                lost.append(f"{name}: {answer_name(answer)} becomes KILL_THREAD")
            words.append(f"{name}:{said}")
        text = f"seccomp.drop {','.join(words)}"
    else:
        kept = [name for name, answer in found.items() if answer == ALLOW]
        lost += [f"{name}: refused as all others" for name in found if name not in kept]
        lost += [
            f"{name}: firejail permits it in every list of calls to keep"
            for name in FIREJAIL_KEEPS
            if name not in kept
        ]
        text = f"seccomp.keep {','.join(kept)}"
    lost.append("personality: firejail permits PER_LINUX and the query at most")
    _other_abis(filter, native.abi, lost)
    return f"{text}\nseccomp.block-secondary\n"


_WRITERS: Mapping[Target, Callable[[Filter, AbiTable, list[str]], str]] = {
    Target.DOCKER: _docker,
    Target.MINIJAIL: _minijail,
    Target.SYSTEMD: _systemd,
    Target.FIREJAIL: _firejail,
}
