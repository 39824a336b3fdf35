"""From observations to a verdict: pure, and unable to say "held" without every control.

The order of the questions is that of the design: does the effect exist here, does permitted work
go through, is the plain act denied and enforcement witnessed, and only then the attack.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from enforcer.events import EventKind
from enforcer.mechanisms.contract import Inexpressible
from harness.evidence import (
    Attributed,
    failure,
    filter_is_on,
    judged,
    killed_by_enforcer,
    unwitnessed,
    witnessed,
)
from harness.model import Observation, Outcome, Reference, RunKind, Verdict, VerdictKind
from harness.odds import attempts_needed, percent, win_rate_bound
from harness.places.watch import KEPT_EVENTS

SIGKILL = 9
SIGXFSZ = 25
SIGSYS = 31

CONFINED = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)
RESTS_ON_RULES = (
    VerdictKind.HELD,
    VerdictKind.BYPASSED,
    VerdictKind.OVERBLOCKED,
    VerdictKind.NOT_ENFORCING,
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a verdict rests on.

    `command` is True when a command is compared with its bare run, False for an attack.
    `attempts` is how many the attack was asked to make; `race` says that they are random trials.
    `reference` is how often the same attack won from a leaky enforcer; `leaky` says that this case
    is such a one, which needs none. `log_required` asks that the enforcer's log shows the attempt:
    `direct` and `attack` say what a line must tell to be of it. `recorded`: the policy permits the
    act, and asks for a line of the log each time. `counted`: the enforcer counts the calls that it
    judges, so that the program's count of attempts is not believed without them.
    `refusals` are the errno that a refusal by this backend may be (empty: any).
    `reachable` is what of the laboratory the target could have reached. `inexpressible` and
    `broken` say why there are no runs.
    """

    observations: Mapping[RunKind, Observation]
    command: bool = False
    race: bool = False
    leaky: bool = False
    attempts: int = 1
    reference: Reference | None = None
    log_required: bool = False
    direct: Attributed = field(default_factory=Attributed)
    attack: Attributed = field(default_factory=Attributed)
    recorded: bool = False
    counted: bool = False
    refusals: frozenset[int] = frozenset()
    reachable: str = ""
    inexpressible: Inexpressible | None = None
    broken: str = ""


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one case."""
    verdict = _judge(evidence)
    reason = verdict.reason
    losses = _losses(evidence.observations) if verdict.kind in RESTS_ON_RULES else ""
    if losses:
        reason += f"; enforced in part: {losses}"
    if evidence.reachable and evidence.observations:
        reason += f"; not walled in: the target could reach {evidence.reachable}"
    return replace(verdict, reason=reason)


def _judge(evidence: Evidence) -> Verdict:
    if evidence.broken:
        return _verdict(VerdictKind.BROKEN, evidence.broken)
    if evidence.inexpressible is not None:
        return Verdict(
            kind=VerdictKind.INEXPRESSIBLE,
            reason=str(evidence.inexpressible),
            elsewhere=evidence.inexpressible.elsewhere,
        )
    found = evidence.observations
    failed = _judge_failures(found)
    if failed is not None:
        return failed
    for kind, observation in found.items():
        if observation.outcome is Outcome.BROKEN or observation.kind is not kind:
            return _verdict(
                VerdictKind.BROKEN, f"{kind} run: {observation.detail or 'mislabelled'}"
            )
        if observation.outcome is Outcome.UNAVAILABLE:
            return _verdict(VerdictKind.INAPPLICABLE, observation.detail)
    if evidence.command:
        return _judge_command(evidence)
    return (
        _judge_control(found.get(RunKind.CONTROL), found.get(RunKind.CONTROL_AGAIN))
        or _judge_direct_control(found.get(RunKind.DIRECT_CONTROL))
        or _judge_benign(found.get(RunKind.BENIGN))
        or _judge_direct(evidence, found.get(RunKind.DIRECT))
        or _judge_witnesses(found, CONFINED)
        or _judge_attack(evidence, found.get(RunKind.ATTACK))
    )


def _judge_failures(found: Mapping[RunKind, Observation]) -> Verdict | None:
    """An enforcer that fails refuses whatever comes: that says nothing of the policy, unless the
    denied effect appeared.
    """
    for kind in CONFINED:
        run = found.get(kind)
        said = failure(run.events) if run is not None else ""
        if said and run is not None and (kind is RunKind.BENIGN or not run.effect):
            return _verdict(VerdictKind.BROKEN, f"{kind} run: {said}")
    return None


def _verdict(kind: VerdictKind, reason: str) -> Verdict:
    return Verdict(kind=kind, reason=reason)


def _missing(kind: RunKind) -> Verdict:
    return _verdict(VerdictKind.BROKEN, f"there was no {kind} run")


def _unfinished(run: Observation) -> Verdict:
    reason = f"{run.kind} run: {run.outcome}: {run.detail}".rstrip(": ")
    if run.outcome is Outcome.HUNG:
        reason += " (`timeout_s` of the scenario's `limits`)"
    elif run.signal == SIGXFSZ:
        reason += ", a file grew too large (`file_bytes` of the scenario's `limits`)"
    return _verdict(VerdictKind.BROKEN, reason)


def _judge_control(run: Observation | None, again: Observation | None) -> Verdict | None:
    if run is None:
        return _missing(RunKind.CONTROL)
    if run.outcome is Outcome.UNSUPPORTED:
        return _verdict(VerdictKind.INAPPLICABLE, run.detail or "the attack is unsupported here")
    if run.outcome in (Outcome.CRASHED, Outcome.HUNG):
        return _unfinished(run)
    if run.effect:
        return None
    if again is not None and again.effects:
        return _sometimes(run, again)
    blocked = f" (errno {run.errno})" if run.errno else ""
    reason = f"without any enforcer the attack has no effect here{blocked}"
    return _verdict(VerdictKind.INAPPLICABLE, reason)


def _sometimes(run: Observation, again: Observation) -> Verdict:
    """The effect comes and goes by itself: that it stayed away under an enforcer proves nothing."""
    effects, runs = run.effect + again.effects, 1 + again.repeats
    reason = f"sometimes: without any enforcer the effect appeared in {effects} of {runs} runs"
    return _verdict(VerdictKind.INAPPLICABLE, reason)


def _judge_direct_control(run: Observation | None) -> Verdict | None:
    """What is denied under the enforcer must be possible without it."""
    if run is None:
        return _missing(RunKind.DIRECT_CONTROL)
    if run.effect:
        return None
    if run.outcome is Outcome.UNSUPPORTED:
        return _verdict(
            VerdictKind.INAPPLICABLE, run.detail or "the direct act is unsupported here"
        )
    if run.outcome is Outcome.HUNG:
        return _unfinished(run)
    why = f"errno {run.errno}" if run.errno else run.detail or "it ended without one"
    reason = f"without any enforcer the direct attempt has no effect either ({why})"
    return _verdict(VerdictKind.INAPPLICABLE, f"{reason}: its denial would prove nothing")


def _judge_benign(run: Observation | None) -> Verdict | None:
    if run is None:
        return _missing(RunKind.BENIGN)
    if run.outcome is Outcome.HUNG:
        return _unfinished(run)
    if not run.effect or not run.finished:
        why = run.detail or (f"errno {run.errno}" if run.errno else "no effect on the twin")
        return _verdict(
            VerdictKind.OVERBLOCKED, f"the same work on the permitted twin fails: {why}"
        )
    return None


def _judge_direct(evidence: Evidence, run: Observation | None) -> Verdict | None:
    refusals = evidence.refusals
    if run is None:
        return _missing(RunKind.DIRECT)
    if evidence.recorded and run.effect:
        if evidence.direct.told(run.events):
            return None
        return _verdict(VerdictKind.NOT_ENFORCING, "the direct attempt is not in the log")
    if run.effect:
        return _verdict(VerdictKind.NOT_ENFORCING, "the direct attempt was not denied")
    if run.finished and refusals and run.errno not in refusals:
        known = ", ".join(errno.errorcode.get(each, str(each)) for each in sorted(refusals))
        found = errno.errorcode.get(run.errno, str(run.errno))
        reason = f"the direct attempt ended with {found}: this backend's refusals are {known}"
        return _verdict(VerdictKind.BROKEN, reason)
    if run.finished:
        return None
    return _judge_kill(run) if _killed(run) else _unfinished(run)


def _judge_kill(run: Observation) -> Verdict | None:
    """A death counts as enforcement only by the enforcer's own evidence of it.

    SIGKILL comes from anybody: the kernel short of memory, the limit of CPU time, a person. SIGSYS
    is a filter's, where there is one.
    """
    if run.signal == SIGSYS and filter_is_on(run.events):
        return None
    if killed_by_enforcer(run.events):
        return None
    reason = f"{run.kind} run: {run.detail}, and nothing shows that the enforcer did it"
    return _verdict(VerdictKind.BROKEN, reason)


def _judge_witnesses(
    found: Mapping[RunKind, Observation], kinds: Sequence[RunKind]
) -> Verdict | None:
    for kind in kinds:
        run = found.get(kind)
        if run is not None and not witnessed(run.events):
            missing = unwitnessed(run.events)
            reason = f"{kind} run: the enforcer's log has no witness that enforcement was on"
            if missing:
                reason = f"{kind} run: from outside it is not seen that it confines: {missing}"
            return _verdict(VerdictKind.NOT_ENFORCING, reason)
    return None


def _judge_attack(evidence: Evidence, run: Observation | None) -> Verdict:
    if run is None:
        return _missing(RunKind.ATTACK)
    attempts = run.attempts
    if run.effect and evidence.recorded:
        return _judge_record(evidence, run)
    if run.effect:
        wins = max(run.wins, 1)
        tries = f"{wins} of {attempts} attempts" if evidence.race and attempts else "the attack"
        return Verdict(
            kind=VerdictKind.BYPASSED,
            reason=f"{tries} reached the denied object, seen from outside",
            attempts=attempts,
            wins=wins,
        )
    return (
        _judge_end(evidence, run)
        or _judge_again(evidence)
        or _judge_log(evidence)
        or _judge_reference(evidence, run)
        or _held(evidence, run)
    )


def _judge_record(evidence: Evidence, run: Observation) -> Verdict:
    """The act is permitted: every time that it reached the object the log must name that."""
    acts = max(run.wins, 1)
    if acts > KEPT_EVENTS:
        reason = f"{acts} acts, of which the harness keeps at most {KEPT_EVENTS} lines"
        return _verdict(VerdictKind.BROKEN, reason)
    told = evidence.attack.told(run.events)
    if told < acts:
        reason = f"the object was reached {acts} times, the log names it {told} times"
        return Verdict(kind=VerdictKind.UNLOGGED, reason=reason, attempts=1, wins=1)
    if not run.finished:
        return _unfinished(run)
    wrong = _judge_reference(evidence, run)
    if wrong is not None:
        return wrong
    reason = f"the object was reached {acts} times, and the log names it each time"
    beside = f"; {described(evidence.reference)}" if evidence.reference else ""
    return _verdict(VerdictKind.HELD, reason + beside)


def _judge_end(evidence: Evidence, run: Observation) -> Verdict | None:
    """Whether an attack without effect ran to its end, or was ended by the enforcer."""
    if _killed(run):
        if evidence.race:
            reason = f"attack run: {run.detail}: nobody knows after how many attempts"
            return _verdict(VerdictKind.BROKEN, reason)
        return _judge_kill(run)
    if not run.finished:
        return _unfinished(run)
    if run.wins:
        reason = f"the program counts {run.wins} wins, but nothing was seen from outside"
        return _verdict(VerdictKind.BROKEN, reason)
    if run.attempts < evidence.attempts:
        reason = f"only {run.attempts} of {evidence.attempts} attempts were made"
        return _verdict(VerdictKind.BROKEN, reason)
    if evidence.race and evidence.counted:
        counted = judged(run.events, evidence.attack.calls)
        if counted is None:
            reason = "the enforcer's log has no end with the number of calls that it judged"
            return _verdict(VerdictKind.BROKEN, reason)
        if counted < run.attempts:
            calls = ", ".join(sorted(evidence.attack.calls))
            reason = f"the program counts {run.attempts} attempts, the enforcer judged {counted} of"
            return _verdict(VerdictKind.BROKEN, f"{reason} its calls ({calls})")
    return None


def _judge_again(evidence: Evidence) -> Verdict | None:
    """The control behind the others: of races their own rate speaks."""
    if evidence.race:
        return None
    again = evidence.observations.get(RunKind.CONTROL_AGAIN)
    if again is None:
        return _missing(RunKind.CONTROL_AGAIN)
    if again.effects < again.repeats:
        return _sometimes(evidence.observations[RunKind.CONTROL], again)
    return None


def _judge_log(evidence: Evidence) -> Verdict | None:
    """The log must show the denied call itself, on the denied object, by the target."""
    if not evidence.log_required:
        return None
    for kind, what in ((RunKind.DIRECT, evidence.direct), (RunKind.ATTACK, evidence.attack)):
        run = evidence.observations.get(kind)
        if run is not None and not what.shown(run.events):
            reason = f"denied, but the log of the {kind} run does not show {what.described()}"
            return Verdict(kind=VerdictKind.UNLOGGED, reason=reason, attempts=run.attempts)
    return None


def _judge_reference(evidence: Evidence, run: Observation) -> Verdict | None:
    """No effect says something only where a leaky enforcer lost to the same program."""
    if evidence.leaky:
        return None
    known = evidence.reference
    if known is None or not known.wins:
        lost = "" if known is None else f": {known.backend} held it ({known.source})"
        reason = (
            f"no effect; no verdict: no leaky enforcer was seen to lose to this attack here{lost} "
            "(the scenario names some under `leaky`)"
        )
        return Verdict(kind=VerdictKind.BROKEN, reason=reason, attempts=run.attempts)
    if not evidence.race:
        return None
    wrong = ""
    needed = attempts_needed(known.attempts, known.wins)
    if known.wins >= known.attempts:
        wrong = f"{described(known)}: an attack that wins every attempt is no race"
    elif needed is None or run.attempts < needed:
        wrong = described(known)
    if not wrong:
        return None
    reason = f"no effect in {run.attempts} attempts; no verdict: {wrong}"
    return Verdict(kind=VerdictKind.BROKEN, reason=reason, attempts=run.attempts)


def _held(evidence: Evidence, run: Observation) -> Verdict:
    reason, bound = "no effect", None
    if _killed(run):
        reason = f"the target was {run.detail} before any effect"
    elif evidence.race:
        bound = win_rate_bound(run.attempts)
        reason += f" in {run.attempts} attempts (win rate below {percent(bound)}, one-sided 95 %)"
    if evidence.reference is not None:
        reason += f"; {described(evidence.reference)}"
    return Verdict(kind=VerdictKind.HELD, reason=reason, attempts=run.attempts, bound=bound)


def described(reference: Reference) -> str:
    """What is known of the leaky enforcer, and how many attempts a held race needs beside it."""
    if reference.attempts <= 1:
        return f"{reference.backend} lost ({reference.source})"
    lost = f"{reference.backend} lost {reference.wins} of {reference.attempts} ({reference.source})"
    needed = attempts_needed(reference.attempts, reference.wins)
    if needed is None:
        return f"{lost}, nothing can be said"
    return f"{lost}, {needed} attempts are needed"


def _judge_command(evidence: Evidence) -> Verdict:
    found = evidence.observations
    bare = found.get(RunKind.CONTROL)
    confined = found.get(RunKind.BENIGN)
    direct = found.get(RunKind.DIRECT)
    if bare is None:
        return _missing(RunKind.CONTROL)
    if bare.outcome is Outcome.HUNG:
        return _unfinished(bare)
    if bare.exit_status == 127:
        return _verdict(VerdictKind.INAPPLICABLE, "the command is not installed here")
    if bare.exit_status != 0:
        last = bare.stderr.strip().rpartition("\n")[2]
        why = f"exit status {bare.exit_status}" if bare.signal is None else bare.detail
        reason = f"without any enforcer the command fails: {why}" + f": {last:.300}" * bool(last)
        return _verdict(VerdictKind.INAPPLICABLE, reason)
    direct_control = found.get(RunKind.DIRECT_CONTROL)
    if direct is not None or direct_control is not None:
        wrong = _judge_direct_control(direct_control)
        if wrong is not None:
            return wrong
    if confined is None:
        return _missing(RunKind.BENIGN)
    if confined.outcome is Outcome.HUNG:
        return _unfinished(confined)
    unwitnessed = _judge_witnesses(found, (RunKind.BENIGN, RunKind.DIRECT))
    if unwitnessed is not None:
        return unwitnessed
    difference = _difference(bare, confined)
    if difference:
        again = found.get(RunKind.CONTROL_AGAIN)
        unsteady = _difference(bare, again) if again is not None else ""
        if unsteady:
            reason = f"sometimes: a second bare run differs from the first ({unsteady:.300})"
            return _verdict(VerdictKind.INAPPLICABLE, reason)
        return _verdict(VerdictKind.OVERBLOCKED, f"differs from the bare run: {difference}")
    if direct is not None and direct.effect:
        return _verdict(VerdictKind.NOT_ENFORCING, "the direct attempt was not denied")
    if direct is not None and _killed(direct):
        unexplained = _judge_kill(direct)
        if unexplained is not None:
            return unexplained
    if direct is not None and direct.outcome is Outcome.HUNG:
        return _unfinished(direct)
    return _judge_log(evidence) or _verdict(VerdictKind.HELD, "the same outcome as the bare run")


def _difference(bare: Observation, confined: Observation) -> str:
    """From a bare run that succeeded; a signal shows as no exit status."""
    for what, expected, found in (
        ("exit status", bare.exit_status, confined.exit_status),
        ("standard output", bare.stdout, confined.stdout),
        ("standard error", bare.stderr, confined.stderr),
    ):
        if expected != found:
            last = confined.stderr.strip().rpartition("\n")[2] if what == "exit status" else ""
            return f"{what} {found!r:.300} instead of {expected!r:.300}" + f": {last:.300}" * bool(
                last
            )
    if bare.tree != confined.tree:
        return "other files are left in the scratch directory"
    return ""


def _losses(found: Mapping[RunKind, Observation]) -> str:
    """The rules that the enforcer itself, when it started, said it does not enforce in full."""
    for kind in reversed(CONFINED):
        for event in found[kind].events if kind in found else ():
            if event.get("event") == EventKind.START and event.get("inexpressible"):
                return "; ".join(
                    map(_loss, cast("list[dict[str, object]]", event["inexpressible"]))
                )
    return ""


def _loss(cover: Mapping[str, object]) -> str:
    rule = cover.get("rule")
    what = f"rule {rule + 1}" if isinstance(rule, int) else "the default"
    errs = f" ({cover['errs']})" if cover.get("errs") else ""
    return f"{what} {cover.get('extent')}{errs}: {cover.get('reason')}"


def _killed(run: Observation) -> bool:
    """Killed as enforcers kill (SIGKILL, SIGSYS), not by the agent and not by a fault of its own.

    Every limit of the agent's that ends a target has another outcome or another signal.
    """
    return run.outcome is Outcome.CRASHED and run.signal in (SIGKILL, SIGSYS)
