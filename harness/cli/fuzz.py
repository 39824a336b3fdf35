"""`harness fuzz`: search for wrong decisions, try findings again, keep them as examples."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from enforcer.policy.problem import suggestion
from harness.cli import Status, UserError
from harness.installing import by_pip
from harness.process import end_as_interrupted
from harness.report.terminal import console

if TYPE_CHECKING:
    from harness.fuzz.campaign import Campaign, Finding
    from harness.fuzz.findings import Kept

ROOT = Path(__file__).resolve().parents[2]
PROGRESS_S = 2.0
LEAST_SHARE = 0.95
"""Of the calls made live under ptrace, how many must be compared."""

MOST_REASONS = 4
BENCHMARK_EXAMPLES = 400
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise click.BadParameter("write a time as 90, 90s, 10m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


@click.command("fuzz")
@click.argument("wanted", metavar="[PROPERTY...]", nargs=-1)
@click.option("--time", "seconds", callback=_seconds, metavar="TIME", help="For each: 90s, 10m.")
@click.option("--examples", type=click.IntRange(min=1), metavar="N", help="For each property.")
@click.option("--backend", "-b", default="", metavar="NAME", help="For properties that run calls.")
@click.option(
    "--arch",
    "-a",
    default="",
    metavar="ARCH",
    help="Compile for this machine only (calls are made here).",
)
@click.option("--seed", type=int, default=None, help="Repeats a campaign; a new one if not given.")
@click.option(
    "--benchmark",
    is_flag=True,
    help="Plant known mistakes, all or those named; how soon are they found?",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="With --benchmark: N seeds for each mistake, from --seed on.",
)
@click.option("--list", "listed", is_flag=True, help="Say what the properties claim.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    wanted: tuple[str, ...],
    seconds: float | None,
    examples: int | None,
    backend: str,
    arch: str,
    seed: int | None,
    benchmark: bool,
    seeds: int,
    listed: bool,
    as_json: bool,
) -> None:
    """Compare every compiler, simulator and decider with the semantics, on generated policies.

    PROPERTY is the name of a property or of a group (see --list); all of them if none is given,
    ten seconds each unless --time or --examples says otherwise. What breaks a property is shrunk
    (for at most as long again, and a minute), printed, and kept below the user's state directory.

    \b
      harness fuzz replay FINDING     try a finding again
      harness fuzz promote FINDING    make it an example that the tests try for ever
      harness fuzz findings           what was found so far
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise UserError(
            f"fuzzing needs Hypothesis: in a clone, ci/setup fuzz; else {by_pip('hypothesis')}"
        )
    if wanted[:1] in (("replay",), ("promote",), ("findings",)):
        _with_findings(wanted[0], wanted[1:])
        return
    from harness.fuzz.campaign import Budget

    end_as_interrupted()
    number = int(time.time()) % 1_000_000 if seed is None else seed
    if benchmark:
        budget = Budget(seconds=seconds, examples=examples or BENCHMARK_EXAMPLES)
        _benchmark(wanted, budget, range(number, number + seeds), as_json)
        return
    chosen = _chosen(wanted)
    if listed:
        _list(chosen)
        return
    if seconds is None and examples is None:
        seconds = 10.0
    _search(chosen, Budget(seconds=seconds, examples=examples), number, backend, arch, as_json)


def _chosen(wanted: tuple[str, ...]) -> tuple[str, ...]:
    from harness.fuzz.registry import GROUPS, PROPERTIES

    found: dict[str, None] = {}
    for word in wanted or tuple(PROPERTIES):
        if word not in PROPERTIES and word not in GROUPS:
            known = (*PROPERTIES, *GROUPS)
            mend = suggestion(word, known) or "known: " + ", ".join(known)
            raise UserError(f"no property {word!r}; {mend}")
        found.update(dict.fromkeys(GROUPS.get(word, (word,))))
    return tuple(found)


def _list(chosen: tuple[str, ...]) -> None:
    from harness.fuzz.registry import PROPERTIES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("property", "group", "claim"):
        table.add_column(column)
    for name in chosen:
        found = PROPERTIES[name]
        table.add_row(name, found.group, found.available() or found.claim)
    console().print(table)


def _search(
    chosen: tuple[str, ...],
    budget: object,
    number: int,
    backend: str,
    arch: str,
    as_json: bool,
) -> None:
    from enforcer.arch import native
    from harness.fuzz.campaign import Budget, run_campaign
    from harness.fuzz.findings import fuzz_directory, keep
    from harness.fuzz.property import Tally
    from harness.fuzz.registry import PROPERTIES

    assert isinstance(budget, Budget)
    machine = _machine(arch)
    here = native().abis[0].name
    failed = False
    for name in chosen:
        target = PROPERTIES[name]
        if target.runs_calls and machine not in ("", here):
            click.echo(f"{name}: not for {machine}: it makes calls, and this machine is {here}")
            continue
        if lacking := target.available():
            click.echo(f"{name}: not here: {lacking}")
            continue
        campaign = run_campaign(
            target,
            budget,
            number=number,
            tally=Tally(backend=backend, machine=machine, wide=True),
            database=fuzz_directory() / "examples",
            watch=_Progress(),
        )
        if _too_few(campaign):
            failed = True
            click.echo(f"{name}: fewer than {LEAST_SHARE:.0%} of the calls compared", err=True)
        if as_json:
            click.echo(json.dumps(_record(campaign, number)))
        else:
            click.echo(_summary(campaign, number))
        for finding in campaign.findings:
            kept, new = keep(
                finding, fuzz_directory() / "findings", backend if target.runs_calls else ""
            )
            failed = failed or not finding.third_party
            if not as_json:
                _show(finding, kept, new)
        if campaign.interrupted:
            click.echo(f"{name}: interrupted; what was found so far is kept", err=True)
            raise SystemExit(Status.INTERRUPTED)
    raise SystemExit(Status.UNEXPECTED if failed else Status.EXPECTED)


def _machine(arch: str) -> str:
    from enforcer.arch import arch as find_arch
    from harness.fuzz.strategies.filters import MACHINES

    if not arch:
        return ""
    try:
        found = find_arch(arch).name
    except KeyError:
        raise UserError(f"no architecture {arch!r}; known: {', '.join(MACHINES)}") from None
    if found not in MACHINES:
        hosts = [name for name, abis in MACHINES.items() if found in {abi.name for abi in abis}]
        return hosts[0]
    return found


class _Progress:
    """One line at a time on a terminal's standard error, nothing elsewhere."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_S

    def __call__(self, campaign: Campaign) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_S
        rate = campaign.wall_rate
        text = (
            f"{campaign.target.name}: {campaign.examples} cases, "
            f"{campaign.examples / max(campaign.seconds, 0.001):.0f}/s, {rate:.0f} decisions/s"
        )
        click.echo(text, err=True)


def _record(campaign: Campaign, number: int) -> dict[str, object]:
    return {
        "property": campaign.target.name,
        "seed": number,
        "cases": campaign.examples,
        "seconds": round(campaign.seconds, 3),
        "cpu_seconds": round(campaign.cpu_s, 3),
        "decisions": campaign.tally.decisions,
        "decisions_per_second": round(campaign.rate),
        "decisions_per_wall_second": round(campaign.wall_rate),
        "counts": dict(campaign.tally.counts),
        "not_compared": dict(campaign.tally.apart),
        "findings": [
            {"text": finding.text(), "third_party": finding.third_party}
            for finding in campaign.findings
        ],
    }


def _summary(campaign: Campaign, number: int) -> str:
    ours = [finding for finding in campaign.findings if not finding.third_party]
    verdict = "BROKEN" if ours else "holds"
    counts = "".join(f", {count} {what}" for what, count in sorted(campaign.tally.counts.items()))
    made = campaign.tally.counts["calls made"]
    taken = campaign.tally.counts["milliseconds under the backend"]
    if made and taken:
        counts = (
            f"; {made} calls made live under {_backend(campaign)}, "
            f"{1000 * made / taken:.0f} a second with each launch, "
            f"{100 * _share(campaign):.1f} % of them compared"
        )
        for reason, count in campaign.tally.apart.most_common(MOST_REASONS):
            counts += f"\n  {count} not compared: {reason}\n"
        counts = counts.rstrip("\n")
    return (
        f"{campaign.target.name}: {verdict}; {campaign.examples} cases, "
        f"{campaign.tally.decisions} decisions in {campaign.seconds:.1f} s "
        f"({campaign.rate:.0f} a second of one core, "
        f"{campaign.wall_rate:.0f} by the clock){counts}; seed {number}"
    )


def _backend(campaign: Campaign) -> str:
    return campaign.tally.backend or "ptrace"


def _share(campaign: Campaign) -> float:
    """Of the calls that were made live, how many could be compared."""
    made = campaign.tally.counts["calls made"]
    return campaign.tally.decisions / made if made else 1.0


def _too_few(campaign: Campaign) -> bool:
    """Whether the reference enforcer was compared on fewer calls than a campaign must."""
    return _backend(campaign) == "ptrace" and _share(campaign) < LEAST_SHARE


def _show(finding: Finding, kept: Kept, new: bool) -> None:
    whose = f"a finding about {finding.third_party}" if finding.third_party else "a finding"
    click.echo(f"\n{whose}{'' if new else ' (known)'}, after {finding.examples} cases:")
    click.echo("\n".join("  " + line for line in finding.text().splitlines()))
    if finding.shrunk_s is not None:
        click.echo(f"  shrunk:   for {finding.shrunk_s:.0f} s, then broken off: it may be smaller")
    click.echo(f"  again:    harness fuzz replay {kept.id}")
    click.echo(f"  keep it:  harness fuzz promote {kept.id}\n")


def _with_findings(verb: str, names: tuple[str, ...]) -> None:
    from harness.fuzz.findings import FindingError, find, fuzz_directory, load, promote, replay

    directory = fuzz_directory() / "findings"
    if verb == "findings":
        paths = sorted(directory.glob("*.json"))
        if not paths:
            click.echo(f"nothing was found so far, or kept: {directory} is empty", err=True)
        for path in paths:
            kept = load(path)
            click.echo(f"{kept.id}  {kept.third_party or 'ours'}")
        return
    if not names:
        raise UserError(f"harness fuzz {verb} needs the name of a finding")
    failed = False
    for name in names:
        try:
            kept = find(name, directory)
        except FindingError as error:
            raise UserError(str(error)) from None
        if verb == "promote":
            click.echo(str(promote(kept, ROOT / "tests" / "fuzz" / "examples")))
            continue
        again = replay(kept)
        failed = failed or again.is_ours
        if again.third_party:
            click.echo(f"{kept.id}: a finding about {again.third_party}:")
        click.echo(again.text or f"{kept.id}: the property holds")
    raise SystemExit(Status.UNEXPECTED if failed else Status.EXPECTED)


def _benchmark(wanted: Sequence[str], budget: object, seeds: range, as_json: bool) -> None:
    from harness.fuzz.benchmark import benchmark
    from harness.fuzz.campaign import Budget
    from harness.fuzz.mutants import MUTANTS

    assert isinstance(budget, Budget)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("mistake", "found", "examples", "most", "CPU s", "most", "seconds"):
        table.add_column(column, justify="left" if column == "mistake" else "right")
    failed = 0
    for word in wanted:
        if word not in MUTANTS:
            mend = suggestion(word, MUTANTS) or "known: " + ", ".join(MUTANTS)
            raise UserError(f"no mistake {word!r}; {mend}")
    chosen = tuple(MUTANTS[word] for word in wanted or MUTANTS)
    for standing in benchmark(chosen, budget, seeds):
        name = standing.mutant.name
        failed += not standing.is_enough
        examples, cpu_s, seconds = standing.examples, standing.cpu_s, standing.seconds
        if as_json:
            record = {
                "mutant": name,
                "mistake": standing.mutant.mistake,
                "property": standing.mutant.property,
                "seeds": len(seeds),
                "found": standing.found,
                "missed_by": standing.missed_by,
                "examples": examples,
                "cpu_seconds": [round(each, 3) for each in cpu_s],
                "seconds": [round(each, 3) for each in seconds],
            }
            click.echo(json.dumps(record))
            continue
        click.echo(f"{name}: {standing.found} of {len(seeds)}", err=True)
        table.add_row(
            name,
            f"{standing.found} of {len(seeds)}",
            *(f"{examples[0]:.0f}", f"{examples[1]}"),
            *(f"{cpu_s[0]:.1f}", f"{cpu_s[1]:.1f}"),
            f"{seconds[0]:.1f}",
        )
    if not as_json:
        console().print(table)
    click.echo(
        f"{len(chosen) - failed} of {len(chosen)} found by nine seeds of ten; "
        f"seeds {seeds[0]} to {seeds[-1]}, medians and most",
        err=as_json,
    )
    raise SystemExit(Status.UNEXPECTED if failed else Status.EXPECTED)
