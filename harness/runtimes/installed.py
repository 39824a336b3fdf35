"""What a runtime installs from a profile, against what the profile means.

The comparison is a proof over all calls and registers (enforcer.filters.meaning); the calls that it
rests on are asked of the simulator and of this machine's kernel too, under the very programs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from enforcer.arch.record import Abi
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import ARCH_OFFSET, NR_OFFSET, Code, Instruction, disassemble
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import CANCELLED, ERRNO, AbiTable, SeccompData, SpecClause
from enforcer.condition import TRUE
from enforcer.exports.export import export, meant
from enforcer.filters.meaning import Comparison, abi_of, answer_of, compared, shown, strictest
from enforcer.filters.model import Filter, Form
from enforcer.filters.operand import read_operand
from enforcer.filters.raw import of_programs
from enforcer.filters.read import form_of
from enforcer.syscalls import name
from harness import process
from harness.build import build_source
from harness.fuzz.bulk import is_reachable, kernel_answers, unavailable
from harness.runtimes.caught import Caught, caught
from harness.runtimes.known import Place, Runtime

_HELD = Path(__file__).resolve().parent / "held.c"
_ENOSYS = ERRNO(38)
_INSIDE = """\
mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir {group} && echo $$ > {group}/cgroup.procs &&
mount -t tmpfs tmpfs /run && cd {directory} || exit 1
"$@"
exit $?
"""
"""The shell stays: the first process of a pid namespace cannot abort(3), which goes on for ever."""
_AFTER = """\
mount -t cgroup2 cgroup2 /sys/fs/cgroup && for turn in 1 2 3 4 5 6 7 8 9 10; do
  find {group} -depth -type d -exec rmdir {{}} + 2> /dev/null; [ -d {group} ] || break; sleep 0.1
done
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One profile under one runtime. `explained` says why, and how many calls differ for it.

    `asked` counts calls by ABI; `mistaken` are calls that simulator or kernel answer otherwise than
    the comparison says.
    """

    runtime: str
    profile: str
    installed: Filter
    lost: tuple[str, ...]
    explained: Mapping[str, tuple[str, ...]]
    comparison: Comparison
    asked: Mapping[str, int]
    kernel: int
    mistaken: tuple[str, ...]
    started: bool

    @property
    def is_proven(self) -> bool:
        """Whether every difference is explained, and nothing was left out."""
        return self.comparison.is_equal and not self.mistaken


def report(runtime: Runtime, profile: Path, form: str | None, directory: Path) -> Report:
    """Start a program under `profile` by the runtime; `directory` is empty, and keeps the files.

    Raises PolicyError, NotCaught, ValueError (it cannot be exported), NotFollowed, BulkError.
    """
    text, meaning, lost = _written(runtime, profile, form, directory)
    program = directory / "held"
    program.write_bytes(build_source(_HELD, "x86_64", include=_HELD.parent).read_bytes())
    program.chmod(0o755)
    words = runtime.command(Place(directory=directory, program=program, profile=text))
    found = _caught(runtime, words, program, directory)
    for number, raw in enumerate(found.filters):
        (directory / f"installed.{number}.bpf").write_bytes(raw)
    installed = of_programs(tuple(map(disassemble, found.filters)), runtime.name)
    return judged(runtime, profile, meaning, installed, lost=lost, started=found.started)


def judged(
    runtime: Runtime | None,
    profile: Path,
    meaning: Filter,
    installed: Filter,
    *,
    lost: tuple[str, ...] = (),
    started: bool = True,
) -> Report:
    """Compare, explain, and ask simulator and kernel. Raises NotFollowed, BulkError."""
    comparison = compared(meaning, installed)
    explained: dict[str, tuple[str, ...]] = {}
    for reason, changed in _reasons(runtime):
        if comparison.differences and meaning.spec is not None:
            meaning = changed(meaning)
            after = compared(meaning, installed)
            gone = _calls(comparison) - _calls(after)
            if gone:
                explained[reason] = tuple(sorted(gone))
            comparison = after
    data = [(call, theirs) for call, _, theirs in comparison.asked]
    mistaken = [
        f"{shown(call)}: the simulator"
        for call, theirs in data
        if answer_of(installed, call) != theirs
    ]
    here = [] if unavailable() else [(call, answer) for call, answer in data if is_reachable(call)]
    mistaken += [
        f"{shown(call)}: the kernel"
        for (call, theirs), answer in zip(here, _by_kernel(installed, here), strict=True)
        if answer != theirs
    ]
    where = (abi_of(call) for call, _ in data)
    return Report(
        runtime=runtime.name if runtime else installed.source,
        profile=profile.name,
        installed=installed,
        lost=lost,
        explained=explained,
        comparison=comparison,
        asked=Counter(abi.name for abi in where if abi is not None),
        kernel=len(here),
        mistaken=tuple(mistaken),
        started=started,
    )


def _written(
    runtime: Runtime, profile: Path, form: str | None, directory: Path
) -> tuple[Path, Filter, tuple[str, ...]]:
    """The profile in the runtime's language, what it means, and what was lost on the way."""
    mine = read_operand(str(profile), form)
    if runtime.takes is not None and form_of(profile, form) is runtime.takes:
        return profile.resolve(), mine, ()
    if runtime.writes is None:
        raise ValueError(f"{runtime.name} takes {runtime.takes} only, which is not exported to")
    made = export(mine, runtime.writes)
    suffix = {Form.DOCKER: "json", Form.MINIJAIL: "policy", Form.SYSTEMD: "service"}
    path = directory / f"profile.{suffix.get(runtime.takes or Form.BPF, 'bpf')}"
    path.write_bytes(made.content)
    return path, meant(mine, runtime.writes, made, str(path)), made.lost


def _caught(runtime: Runtime, words: tuple[str, ...], program: Path, directory: Path) -> Caught:
    group = f"/sys/fs/cgroup/laboratory-{os.getpid()}"
    values = {"group": group, "directory": shlex.quote(str(directory))}
    pid = ("--pid", "--fork", "--kill-child", "--mount-proc") if runtime.contained else ()
    box = ("unshare", "--mount", *pid, "sh", "-c")
    try:
        return caught(
            (*box, _INSIDE.format(**values), "sh", *words), program, log=directory / "log"
        )
    finally:
        process.run(("unshare", "--mount", "sh", "-c", _AFTER.format(**values)))


def _calls(comparison: Comparison) -> set[str]:
    return {
        f"{each.abi} {call}" if each.abi != "x86_64" else call
        for each in comparison.differences
        for call in each.calls
    }


def _by_kernel(installed: Filter, calls: list[tuple[SeccompData, int]]) -> list[int]:
    """The kernel's answers, program by program, of which the strictest stands."""
    data = [call for call, _ in calls]
    if not data:
        return []
    answers = [kernel_answers(program, data) for program in installed.programs]
    return [strictest(each) for each in zip(*answers, strict=True)]


def _reasons(runtime: Runtime | None) -> list[tuple[str, Callable[[Filter], Filter]]]:
    """What a runtime is known to do otherwise: each changes the meaning as the runtime does."""
    found: list[tuple[str, Callable[[Filter], Filter]]] = []
    if runtime is not None and runtime.library and importlib.util.find_spec("pyseccomp"):
        found.append(("this machine's libseccomp does not know the call", _as_known))
    if runtime is not None and runtime.names:
        known = frozenset(re.findall(r"\w+$", process.run(runtime.names).stdout, re.MULTILINE))
        reason = f"{runtime.name} has no such call in its own table"
        found.append((reason, partial(_without, known=known)))
    if runtime is not None and runtime.stub:
        found.append(("runc: ENOSYS above all numbers that the profile names", _stubbed))
    if runtime is not None and runtime.beyond:
        cancelled = not runtime.library  # libseccomp lets -1 through, a tracer's cancelled call
        change = partial(_as_x32, cancelled=cancelled)
        found.append(("numbers beyond x32's are answered as x32's", change))
    return found


def _as_x32(meaning: Filter, *, cancelled: bool) -> Filter:
    """The profile for whom every number with bit 30 or above is one of x32, but for -1."""
    abi = meaning.abis[0]
    if any(each.nr_bit for each in meaning.abis):
        return meaning
    answer = simulate(meaning.programs[0], SeccompData(_X32_BIT, abi.audit_arch))[0]
    before = (
        Instruction(Code.LD, ARCH_OFFSET),
        Instruction(Code.JEQ, abi.audit_arch, 0, 4),
        Instruction(Code.LD, NR_OFFSET),
        Instruction(Code.JEQ, CANCELLED, 0 if cancelled else 2, 0),
        Instruction(Code.JGE, _X32_BIT, 0, 1),
        Instruction(Code.RET, answer),
    )
    return replace(meaning, programs=tuple((*before, *each) for each in meaning.programs))


_X32_BIT = 0x4000_0000


def _as_known(meaning: Filter) -> Filter:
    """The profile without calls that libseccomp has no number for."""
    from enforcer.cbpf.libseccomp import is_known

    return _kept(meaning, is_known)


def _without(meaning: Filter, known: frozenset[str]) -> Filter:
    """The profile without calls that are not known."""
    return _kept(meaning, lambda abi, call: call in known)


def _kept(meaning: Filter, is_kept: Callable[[Abi, str], bool]) -> Filter:
    def change(each: AbiTable) -> AbiTable:
        def kept(nr: int) -> bool:
            called = name(each.abi.name, nr)
            return called is None or is_kept(each.abi, called)

        return replace(each, calls={nr: said for nr, said in each.calls.items() if kept(nr)})

    return _changed(meaning, change)


def _stubbed(meaning: Filter) -> Filter:
    """runc's patchbpf: what is newer than the newest call that the profile names is ENOSYS."""

    def change(each: AbiTable) -> AbiTable:
        most = max(each.calls, default=0)
        last = SpecClause(TRUE, each.unknown)
        calls = {nr: (*each.calls.get(nr, ()), last) for nr in range(each.abi.nr_bit, most + 1)}
        return replace(each, calls=calls, unknown=_ENOSYS)

    return _changed(meaning, change)


def _changed(meaning: Filter, change: Callable[[AbiTable], AbiTable]) -> Filter:
    assert meaning.spec is not None
    spec = replace(meaning.spec, tables=tuple(map(change, meaning.spec.tables)))
    return replace(meaning, spec=spec, programs=(compile_filter(spec),))
