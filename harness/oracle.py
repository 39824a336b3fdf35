"""From observations to a verdict: pure, and unable to say "held" without every control.

The order of the questions is that of the design: does the effect exist here, does permitted work
go through, is the plain act denied and enforcement witnessed, and only then the attack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from enforcer.call import Action
from enforcer.events import EventKind
from enforcer.mechanisms.contract import Inexpressible
from harness.model import Observation, Outcome, Reference, RunKind, Verdict, VerdictKind
from harness.odds import attempts_needed, percent, win_rate_bound

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
    `reference` is how often the same race was won from a leaky enforcer; `leaky` says that this
    case is such a one, which needs none. `log_required` asks that the enforcer's log shows the
    attempt. `inexpressible` and `broken` say why there are no runs.
    """

    observations: Mapping[RunKind, Observation]
    command: bool = False
    race: bool = False
    leaky: bool = False
    attempts: int = 1
    reference: Reference | None = None
    log_required: bool = False
    inexpressible: Inexpressible | None = None
    broken: str = ""


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one case."""
    verdict = _judge(evidence)
    losses = _losses(evidence.observations) if verdict.kind in RESTS_ON_RULES else ""
    if losses:
        return replace(verdict, reason=f"{verdict.reason}; enforced in part: {losses}")
    return verdict


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
    for kind, observation in found.items():
        if observation.outcome is Outcome.BROKEN or observation.kind is not kind:
            return _verdict(
                VerdictKind.BROKEN, f"{kind} run: {observation.detail or 'mislabelled'}"
            )
        if observation.outcome is Outcome.UNAVAILABLE:
            return _verdict(VerdictKind.INAPPLICABLE, observation.detail)
    if evidence.command:
        return _judge_command(found)
    return (
        _judge_control(found.get(RunKind.CONTROL))
        or _judge_benign(found.get(RunKind.BENIGN))
        or _judge_direct(found.get(RunKind.DIRECT))
        or _judge_witnesses(found, CONFINED)
        or _judge_attack(evidence, found.get(RunKind.ATTACK))
    )


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


def _judge_control(run: Observation | None) -> Verdict | None:
    if run is None:
        return _missing(RunKind.CONTROL)
    if run.outcome is Outcome.UNSUPPORTED:
        return _verdict(VerdictKind.INAPPLICABLE, run.detail or "the attack is unsupported here")
    if run.outcome in (Outcome.CRASHED, Outcome.HUNG):
        return _unfinished(run)
    if not run.effect:
        blocked = f" (errno {run.errno})" if run.errno else ""
        reason = f"without any enforcer the attack has no effect here{blocked}"
        return _verdict(VerdictKind.INAPPLICABLE, reason)
    return None


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


def _judge_direct(run: Observation | None) -> Verdict | None:
    if run is None:
        return _missing(RunKind.DIRECT)
    if run.effect:
        return _verdict(VerdictKind.NOT_ENFORCING, "the direct attempt was not denied")
    if not run.finished and not _killed(run):
        return _unfinished(run)
    return None


def _judge_witnesses(
    found: Mapping[RunKind, Observation], kinds: Sequence[RunKind]
) -> Verdict | None:
    for kind in kinds:
        run = found.get(kind)
        if run is not None and not witnessed(run):
            reason = f"{kind} run: the enforcer's log has no witness that enforcement was on"
            return _verdict(VerdictKind.NOT_ENFORCING, reason)
    return None


def _judge_attack(evidence: Evidence, run: Observation | None) -> Verdict:
    if run is None:
        return _missing(RunKind.ATTACK)
    attempts = run.attempts
    if run.effect:
        wins = max(run.wins, 1)
        tries = f"{wins} of {attempts} attempts" if evidence.race and attempts else "the attack"
        return Verdict(
            kind=VerdictKind.BYPASSED,
            reason=f"{tries} reached the denied object, seen from outside",
            attempts=attempts,
            wins=wins,
        )
    killed = _killed(run)
    if not run.finished and not killed:
        return _unfinished(run)
    if run.wins:
        reason = f"the program counts {run.wins} wins, but nothing was seen from outside"
        return _verdict(VerdictKind.BROKEN, reason)
    if not killed and attempts < evidence.attempts:
        reason = f"only {attempts} of {evidence.attempts} attempts were made"
        return _verdict(VerdictKind.BROKEN, reason)
    if evidence.log_required and not logged(run):
        return Verdict(
            kind=VerdictKind.UNLOGGED,
            reason="denied, but the enforcer's log does not show the attempt",
            attempts=attempts,
        )
    if killed:
        reason = f"the target was {run.detail or 'killed'} before any effect"
        if evidence.race:
            reason += ", after nobody knows how many attempts"
        return Verdict(kind=VerdictKind.HELD, reason=reason, attempts=attempts)
    if evidence.race:
        return _judge_lost_race(evidence, attempts)
    return Verdict(kind=VerdictKind.HELD, reason="no effect", attempts=attempts)


def _judge_lost_race(evidence: Evidence, attempts: int) -> Verdict:
    """No attempt won: that says something only where a leaky enforcer would have lost."""
    reference = evidence.reference
    bound = win_rate_bound(attempts)
    reason = f"no effect in {attempts} attempts (win rate below {percent(bound)}, one-sided 95 %)"
    if evidence.leaky:
        return Verdict(kind=VerdictKind.HELD, reason=reason, attempts=attempts, bound=bound)
    if reference is None:
        reason += (
            "; no verdict: no leaky enforcer was seen to lose this race here "
            "(the scenario names some under `leaky`)"
        )
        return Verdict(kind=VerdictKind.BROKEN, reason=reason, attempts=attempts)
    needed = attempts_needed(reference.attempts, reference.wins)
    if needed is None or attempts < needed:
        reason += f"; no verdict: {described(reference)}"
        return Verdict(kind=VerdictKind.BROKEN, reason=reason, attempts=attempts)
    return Verdict(
        kind=VerdictKind.HELD,
        reason=f"{reason}; {described(reference)}",
        attempts=attempts,
        bound=bound,
    )


def described(reference: Reference) -> str:
    """What is known of the leaky race, and how many attempts a held one needs beside it."""
    lost = f"{reference.backend} lost {reference.wins} of {reference.attempts} ({reference.source})"
    needed = attempts_needed(reference.attempts, reference.wins)
    if needed is None:
        return f"{lost}, nothing can be said"
    return f"{lost}, {needed} attempts are needed"


def _judge_command(found: Mapping[RunKind, Observation]) -> Verdict:
    bare = found.get(RunKind.CONTROL)
    confined = found.get(RunKind.BENIGN)
    if bare is None:
        return _missing(RunKind.CONTROL)
    if bare.outcome is Outcome.HUNG:
        return _unfinished(bare)
    if bare.exit_status == 127:
        return _verdict(VerdictKind.INAPPLICABLE, "the command is not installed here")
    if confined is None:
        return _missing(RunKind.BENIGN)
    if confined.outcome is Outcome.HUNG:
        return _unfinished(confined)
    unwitnessed = _judge_witnesses(found, (RunKind.BENIGN, RunKind.DIRECT))
    if unwitnessed is not None:
        return unwitnessed
    difference = _difference(bare, confined)
    if difference:
        return _verdict(VerdictKind.OVERBLOCKED, difference)
    direct = found.get(RunKind.DIRECT)
    if direct is not None and direct.effect:
        return _verdict(VerdictKind.NOT_ENFORCING, "the direct attempt was not denied")
    return _verdict(VerdictKind.HELD, "the same outcome as the bare run")


def _difference(bare: Observation, confined: Observation) -> str:
    for what, expected, found in (
        ("exit status", bare.exit_status, confined.exit_status),
        ("signal", bare.signal, confined.signal),
        ("standard output", bare.stdout, confined.stdout),
        ("standard error", bare.stderr, confined.stderr),
    ):
        if expected != found:
            return f"{what} differs from the bare run: {found!r:.300} instead of {expected!r:.300}"
    if bare.tree != confined.tree:
        return "the files left in the scratch directory differ from those of the bare run"
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


def witnessed(run: Observation) -> bool:
    """Whether the enforcer's log says, with evidence, that enforcement was on in this run."""
    return any(event.get("event") == EventKind.ENFORCING for event in run.events)


def logged(run: Observation) -> bool:
    """Whether the enforcer's log shows a refusal or the detection of an interference."""
    return any(
        event.get("event") == EventKind.DETECTION
        or (event.get("event") == EventKind.DECISION and event.get("action") != Action.PERMIT)
        for event in run.events
    )
