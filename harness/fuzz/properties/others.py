"""Compilers of others: what they make of a profile in their language is what `decide` says of it.

Some are programs that print a filter; the others are runtimes, of which one is started under each
profile and its filters are read from it (harness/runtimes).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import strategies as st

from enforcer.call import Action, Call
from enforcer.cbpf.instruction import Program
from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.spec import SeccompData
from enforcer.filters.convert import action_of, policy_of
from enforcer.filters.meaning import Comparison, abi_of, compared, shown
from enforcer.filters.model import Filter, Form
from enforcer.filters.raw import of_programs
from enforcer.filters.read import read_filter
from enforcer.mechanisms.seccomp import final_answer
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.decide import decide
from enforcer.policy.format import format_policies
from enforcer.syscalls import name
from harness.fuzz.bulk import unavailable
from harness.fuzz.cases import CallsCase, ProfileCase
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.show import policy_text
from harness.fuzz.strategies.languages import TEXTS
from harness.fuzz.strategies.register_rules import boundary_rules
from harness.runtimes.caught import NotCaught
from harness.runtimes.installed import report
from harness.runtimes.known import RUNTIMES, why_not
from harness.runtimes.printing import KAFEL, MINIJAIL, Refused, by_kafel, by_minijail
from harness.scratch import Scratch

_SUFFIXES: Mapping[Form, str] = {
    Form.DOCKER: "json",
    Form.MINIJAIL: "policy",
    Form.KAFEL: "kafel",
    Form.SYSTEMD: "service",
}
_HERE = "x86_64"


def check_profile(case: ProfileCase, tally: Tally) -> None:
    """The filter that is made of the profile == what the profile means == decide of its policy."""
    form = Form(case.form)
    with closing(Scratch()) as scratch:
        path = scratch.path / f"profile.{_SUFFIXES[form]}"
        path.write_text(case.text, encoding="utf-8")
        mine = read_filter(path, form)
        try:
            comparison = _COMPARED[case.compiler](mine, path, form)
        except Refused as error:
            tally.counts[f"refused: {str(error)[:60]}"] += 1
            return
    policy = policy_of(mine)
    for data, ours, _ in comparison.asked:
        tally.decisions += 1
        _against_decide(case, policy, data, ours, tally)
    _report(case, comparison, tally)


def _report(case: ProfileCase, comparison: Comparison, tally: Tally) -> None:
    for each in comparison.differences:
        tally.report(
            Mismatch(
                policy=case.text,
                call=shown(each.witness),
                expected=f"{answer_name(each.left)} (the profile, and decide)",
                got=f"{answer_name(each.right)} ({case.compiler})",
                signature=f"{case.compiler}, {each.abi}: {', '.join(each.calls[:3])}",
                third_party=case.compiler,
            )
        )


def _against_decide(
    case: ProfileCase, policy: Policy, data: SeccompData, ours: int, tally: Tally
) -> None:
    """What the profile is read to mean is what the policy made of it decides: ours if it is not."""
    abi = abi_of(data)
    called = name(abi.name, data.nr) if abi is not None and abi.name == _HERE else None
    if called is None:
        return
    decision = decide(policy, Call(name=called, abi=_HERE, args=data.args))
    action, number, _ = action_of(ours)
    if (decision.action, decision.errno if action is Action.DENY else 0) != (action, number):
        tally.report(
            Mismatch(
                policy=case.text,
                call=shown(data),
                expected=f"{answer_name(ours)} (the profile as it is read)",
                got=f"{decision.action} (decide)",
                signature="importer against decide",
            )
        )


def _by_printing(
    mine: Filter, path: Path, form: Form, compiled: Callable[[Path], Program]
) -> Comparison:
    return compared(mine, replace(of_programs((compiled(path),), "x"), abis=mine.abis))


def _by_starting(mine: Filter, path: Path, form: Form, runtime: str) -> Comparison:
    """What is named as an explanation (harness/runtimes) is no difference. Raises Refused."""
    directory = path.parent / "run"
    directory.mkdir()
    try:
        return report(RUNTIMES[runtime], path, form.value, directory).comparison
    except NotCaught as error:
        raise Refused(str(error).splitlines()[0]) from error


def check_bwrap(case: CallsCase, tally: Tally) -> None:
    """A policy, exported to bpf and loaded by `bwrap --seccomp` == decide, asked of the kernel."""
    with closing(Scratch()) as scratch:
        path = scratch.path / "policy.yaml"
        path.write_text(format_policies((case.policy,), Dialect.STRICT), encoding="utf-8")
        directory = scratch.path / "run"
        directory.mkdir()
        found = report(RUNTIMES["bwrap"], path, "yaml", directory)
    tally.counts["asked of the kernel"] += found.kernel
    for data, ours, theirs in found.comparison.asked:
        tally.decisions += 1
        abi = abi_of(data)
        called = name(_HERE, data.nr) if abi is not None and abi.name == _HERE else None
        if called is None:
            continue
        wanted = final_answer(decide(case.policy, Call(name=called, abi=_HERE, args=data.args)))
        assert wanted is not None  # rules on registers alone
        for answer, whose in ((ours, "export"), (theirs, "bwrap")):
            if answer != wanted:
                tally.report(
                    Mismatch(
                        policy=policy_text(case.policy),
                        call=shown(data),
                        expected=f"{answer_name(wanted)} (decide)",
                        got=f"{answer_name(answer)} ({whose})",
                        signature=f"{whose} against decide",
                    )
                )
    if found.mistaken:
        raise Mismatch(policy=policy_text(case.policy), expected="none", got=str(found.mistaken))


_COMPARED: Mapping[str, Callable[[Filter, Path, Form], Comparison]] = {
    "kafel": partial(_by_printing, compiled=by_kafel),
    "minijail": partial(_by_printing, compiled=by_minijail),
    "minijail0": partial(_by_starting, runtime="minijail"),
    **{each: partial(_by_starting, runtime=each) for each in ("crun", "systemd")},
}


def _lacking(program: str, origin: str) -> str:
    return "" if shutil.which(program) else f"{program} not found: {origin}"


def _property(
    compiler: str, form: Form, available: Callable[[], str], *, starts: bool
) -> Property[ProfileCase]:
    return Property(
        name=compiler,
        claim=f"{compiler} == the profile in its language == `decide`; a difference is its finding",
        group="others",
        cases=st.builds(ProfileCase, st.just(compiler), st.just(form.value), TEXTS[compiler]()),
        check=check_profile,
        available=available,
        runs_calls=starts,
    )


KAFEL_COMPILER = _property(
    "kafel",
    Form.KAFEL,
    lambda: _lacking(KAFEL, "tools/ of https://github.com/google/kafel"),
    starts=False,
)
MINIJAIL_COMPILER = _property(
    "minijail",
    Form.MINIJAIL,
    lambda: _lacking(MINIJAIL, "tools/ of https://github.com/google/minijail"),
    starts=False,
)
MINIJAIL0 = _property(
    "minijail0", Form.MINIJAIL, partial(why_not, RUNTIMES["minijail"]), starts=True
)
CRUN = _property("crun", Form.DOCKER, partial(why_not, RUNTIMES["crun"]), starts=True)
SYSTEMD = _property("systemd", Form.SYSTEMD, partial(why_not, RUNTIMES["systemd"]), starts=True)
BWRAP = Property(
    name="bwrap",
    claim="what `export --to bpf` writes, loaded by `bwrap --seccomp` == `decide`, in the kernel",
    group="others",
    cases=st.builds(CallsCase, boundary_rules(), st.just(0)),
    check=check_bwrap,
    available=lambda: why_not(RUNTIMES["bwrap"]) or unavailable(),
    runs_calls=True,
)
