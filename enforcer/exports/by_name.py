"""A filter in languages that know calls by name only: systemd's, and firejail's two lists."""

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
    AbiTable,
)
from enforcer.condition import LOW_HALF, TRUE, Any, Compare, Not, Operator
from enforcer.exports.rows import calls, note_other_abis, with_default
from enforcer.filters.model import Entry, Filter, Form, filter_of
from enforcer.filters.recover import spec_of
from enforcer.policy.names import errno_name
from enforcer.policy.problem import Problems

_ERRNO = ERRNO(0)
_EPERM = 1


def _by_name(filter: Filter, native: AbiTable, lost: list[str]) -> tuple[bool, dict[str, int]]:
    """(whether the default permits, answers of the calls that differ from it), without registers.

    A call that registers decide is refused, with the answer of the first refusal: that errs to the
    safe side, and is said.
    """
    each = with_default(filter, native, lost)
    permits = each.unknown & ACTION_MASK in (ALLOW, LOG)
    found: dict[str, int] = {}
    for name, clauses in calls(each):
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


def systemd(filter: Filter, native: AbiTable, lost: list[str]) -> str:
    permits, found = _by_name(filter, native, lost)
    default = native.unknown if filter.default is None else filter.default
    lines = ["[Service]", "SystemCallArchitectures=native"]
    allowed = [name for name, answer in found.items() if answer & ACTION_MASK in (ALLOW, LOG)]
    lines += _directives("", allowed)
    # An errno counts behind a `~` only, which takes the call out of an allow list.
    refused = [f"{name}:{_word(answer)}" for name, answer in found.items() if name not in allowed]
    lines += _directives("~", refused)
    if not permits:
        lost.append("@default: systemd permits these calls in every allow list")
        if default & ACTION_MASK == _ERRNO:
            name = errno_name(default & DATA_MASK).upper()
            lines.append(f"SystemCallErrorNumber={name}")
    note_other_abis(filter, native.abi, lost)
    return "\n".join(lines) + "\n"


def _word(answer: int) -> str:
    is_errno = answer & ACTION_MASK == _ERRNO
    return errno_name(answer & DATA_MASK).upper() if is_errno else "kill"


def _directives(sign: str, words: list[str]) -> list[str]:
    return [f"SystemCallFilter={sign}{' '.join(words[n : n + 8])}" for n in range(0, len(words), 8)]


FIREJAIL_KEEPS = ("execve", "execveat", "prctl")


def firejail(filter: Filter, native: AbiTable, lost: list[str]) -> str:
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
    note_other_abis(filter, native.abi, lost)
    return f"{text}\nseccomp.block-secondary\n"


def meant_by_firejail(filter: Filter, source: str) -> Filter:
    """Its two lists, as fseccomp 0.9.72 compiles them (src/include/seccomp.h).

    A list of calls to keep has those in it that firejail needs itself (@default-keep);
    seccomp.block-secondary refuses other ABIs, x32, and personalities other than this one.
    """
    permits, found = _by_name(filter, spec_of(filter).tables[0], [])
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
