"""Importers: whatever a filter of others holds, it is read whole or refused with places."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from enforcer.cbpf.check import check
from enforcer.filters.model import Filter, Form
from enforcer.filters.raw import read_raw
from enforcer.filters.read import read_text
from enforcer.policy.problem import PolicyError
from harness.fuzz.cases import FilterTextCase
from harness.fuzz.property import Mismatch, Property, Tally

MUTATIONS = 40
"""Texts that are made of one by its seed: drawing each costs more than reading it."""

_SEEDS: Mapping[Form, tuple[str, ...]] = {
    Form.DOCKER: (
        '{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,\n"archMap": [{"architecture": '
        '"SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],\n'
        '"syscalls": [\n{"names": ["read", "clone"], "action": "SCMP_ACT_ALLOW", "args": '
        '[{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},\n'
        '{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, '
        '"op": "SCMP_CMP_GT"}], "includes": {"caps": ["CAP_CHOWN"], "minKernel": "4.8"}, '
        '"excludes": {"arches": ["s390"]}}\n]}\n',
        '{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": '
        '["SCMP_ARCH_X86"], "syscalls": [{"name": "mkdir", "action": "SCMP_ACT_TRACE", '
        '"errnoRet": 7}, {"names": ["kill"], "action": "SCMP_ACT_KILL"}]}}}\n',
    ),
    Form.MINIJAIL: (
        "read: 1\n{open, close}: { arg0 in ~O_WRONLY|(1|2) && arg1 != 3; return EPERM, trap }\n"
        "@default kill\nwrite[arch=arm,x86_64]: arg0 & 5 || arg1 == \\\n 7; return 1\n",
        "@denylist\n# words\nkill: arg1 == SIGKILL\nclone: return ENOSYS\n@frequency ./x\n",
        "@include ./missing.policy\nioctl: arg1 == TIOCSTI\nsocket: arg0 == AF_INET\n",
    ),
    Form.KAFEL: (
        "#define ONE 0b1\nPOLICY a { ALLOW { read, write(a, b) { a == ONE|2, !(b < 4) } } }\n"
        "POLICY b { USE a, ERRNO(5) { SYSCALL[9] } }\nUSE b DEFAULT KILL\n",
        "ALLOW { write { (fd & 0xf0) == 0x10 && 1 < fd }, read ON { arm, x86_64 } },\n"
        "TRAP(3) { kill } // words\nDEFAULT USER_NOTIF /* more */\n",
        '#include "missing.kafel"\nKILL_PROCESS { mkdir } DEFAULT ALLOW\n',
    ),
    Form.SYSTEMD: (
        "[Service]\nSystemCallFilter=~read:EPERM kill \\\n mkdir\nSystemCallErrorNumber=EPERM\n"
        "SystemCallArchitectures=native x86\nSystemCallLog=write\n",
        "; words\nSystemCallFilter=read write\nSystemCallFilter=~write\nSystemCallErrorNumber=\n",
        "read\nwrite\n# words\nopenat\n",
    ),
}
_PIECES = (
    *("-1", "18446744073709551616", "null", "true", "1e9", "{}", "[]", '""', "0x", "((", "~", "@"),
    *("arg6", "arg", "4096", "\0", "\n", "\r", "\t", "\\", '"', "'", "\u2028", "\u0660", "\xb2"),
    *("\ud800", "1" * 50, "(" * 60, "[" * 300, "!" * 60, "/*", "//", "#", "~~", "USE a, USE a"),
)


def check_importers(case: FilterTextCase, tally: Tally) -> None:
    """The text, and others that are made of it: each read whole, or one error for a mistake."""
    chance = random.Random(case.seed)
    form = Form(case.form)
    text = case.text
    for number in range(case.count + 1):
        _try(text, form, tally)
        base = text if number % 4 else case.text
        text = _changed(base, chance.choice(_every()), chance)


def _every() -> tuple[str, ...]:
    return tuple(text for texts in _SEEDS.values() for text in texts)


def _changed(text: str, other: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    end = min(len(text), start + chance.randrange(12))
    match chance.randrange(5):
        case 0:
            middle = ""
        case 1:
            middle = text[start:end] * (1 + chance.randrange(3))
        case 2:
            middle = chr(chance.randrange(128))
        case 3:
            place = chance.randrange(len(other))
            middle = other[place : place + 9]
        case _:
            middle = chance.choice(_PIECES)
    return text[:start] + middle + text[end:]


def _try(text: str, form: Form, tally: Tally) -> None:
    tally.decisions += 1
    try:
        found = _read(text, form)
    except PolicyError as error:
        tally.counts["refused"] += 1
        _placed(error, text, form)
        return
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _mismatch(text, form, "a filter or an error", repr(error)) from error
    for program in found.programs:
        check(program)


def _read(text: str, form: Form) -> Filter:
    if form is Form.BPF:
        return read_raw(text.encode("utf-8", "replace"), "x")
    return read_text(text, "/nowhere/x", form)


def _placed(error: PolicyError, text: str, form: Form) -> None:
    """One error for each mistake, each with a line of the text."""
    lines = text.count("\n") + 1
    said = [(each.line, each.column, each.message) for each in error.problems]
    if not said:
        raise _mismatch(text, form, "a problem", "none")
    if len(set(said)) < len(said):
        raise _mismatch(text, form, "each problem once", str(error))
    for each in error.problems:
        if not each.message or not 1 <= each.line <= lines or each.column < 1:
            raise _mismatch(text, form, "a place", repr(each))
        str(each)


def _mismatch(text: str, form: Form, expected: str, got: str) -> Mismatch:
    return Mismatch(policy=text, call=form, expected=expected, got=got, signature=f"{form}: {got}")


def smallest_importers(case: FilterTextCase, tally: Tally) -> FilterTextCase:
    """The one text that is read wrongly, without those from which it was made."""
    chance = random.Random(case.seed)
    text = case.text
    for number in range(case.count + 1):
        alone = replace(case, text=text, count=0)
        try:
            check_importers(alone, Tally())
        except (Mismatch, AssertionError):
            return _shorter(alone, tally)
        base = text if number % 4 else case.text
        text = _changed(base, chance.choice(_every()), chance)
    return case


def _shorter(case: FilterTextCase, tally: Tally) -> FilterTextCase:
    """Pieces are left out, half of the text first, as long as it is read wrongly still."""
    width = len(case.text) // 2
    while width and not tally.is_late():
        place = 0
        while place < len(case.text) and not tally.is_late():
            less = replace(case, text=case.text[:place] + case.text[place + width :])
            try:
                check_importers(less, Tally())
                place += width
            except (Mismatch, AssertionError):
                case = less
        width //= 2
    return case


def _texts(form: Form) -> st.SearchStrategy[str]:
    if form is Form.BPF:
        return st.text(st.characters(max_codepoint=127), max_size=80)
    return st.sampled_from(_SEEDS[form])


@st.composite
def importer_cases(draw: st.DrawFn) -> FilterTextCase:
    """A text in one of the languages, and a seed for its changes."""
    form = draw(st.sampled_from(tuple(Form)))
    text, seed = draw(_texts(form)), draw(st.integers(0, 1 << 32))
    return FilterTextCase(form.value, text, seed, MUTATIONS)


IMPORTERS = Property(
    name="importers",
    claim="a filter of others with slips is read, or refused with a place for every error",
    group="input",
    cases=importer_cases(),
    check=check_importers,
    smallest=smallest_importers,
)
