"""`harness audit --runtime`: what a runtime really installs from a profile."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import click

from enforcer.filters.operand import read_operand
from enforcer.filters.process import read_process
from enforcer.filters.walk import NotFollowed
from enforcer.policy.problem import PolicyError, suggestion
from harness.cli import Status, UserError
from harness.fuzz.bulk import BulkError
from harness.runtimes import chromium
from harness.runtimes.caught import NotCaught
from harness.runtimes.installed import Report, judged, report
from harness.runtimes.known import RUNTIMES, Runtime
from harness.scratch import Scratch

_PROCESS = re.compile(r"pid:(\d{1,10})\Z")
_SHOWN = 12
"""Of the calls that differ for one reason, how many are named."""


def audit_runtimes(
    names: Sequence[str],
    profile: Path | None,
    form: str | None,
    keep: Path | None,
    *,
    as_json: bool,
    as_table: bool,
) -> Status:
    """Judge and print each; BROKEN where one could not be started. Raises UserError."""
    worst = Status.EXPECTED
    for name in names:
        if name == chromium.NAME:
            worst = max(worst, _chromium(as_json=as_json))
            continue
        if profile is None:
            raise UserError(f"--runtime {name} takes a POLICY: harness audit --runtime {name} FILE")
        runtime = _named(name)
        if runtime is not None and (missing := runtime.missing()):
            click.echo(f"{name}: {missing}", err=True)
            worst = Status.BROKEN
            continue
        try:
            found, directory = _reported(name, runtime, profile, form, keep)
        except (PolicyError, ValueError) as error:
            raise UserError(str(error)) from None
        except NotFollowed as error:
            raise UserError(f"{name}: a filter computes with registers: {error}") from None
        except (NotCaught, BulkError) as error:
            click.echo(f"{name}: {error}", err=True)
            worst = Status.BROKEN
            continue
        click.echo(_json(found) if as_json else _row(found) if as_table else _words(found))
        if directory is not None and not as_json and not as_table:
            click.echo(_by_hand(found, profile, directory))
        if not found.is_proven and worst is Status.EXPECTED:
            worst = Status.UNEXPECTED
    return worst


def _chromium(*, as_json: bool) -> Status:
    """What each process of it is under, and whether that is as documented."""
    if lacking := chromium.missing():
        click.echo(f"{chromium.NAME}: {lacking}", err=True)
        return Status.BROKEN
    try:
        found = chromium.members()
    except (NotCaught, BulkError, PolicyError) as error:
        click.echo(f"{chromium.NAME}: {error}", err=True)
        return Status.BROKEN
    except NotFollowed as error:
        raise UserError(f"{chromium.NAME}: a filter computes with registers: {error}") from None
    for each in found:
        filters = each.report.installed.programs if each.report else ()
        asked = sum(each.report.asked.values()) if each.report else 0
        if as_json:
            row = {
                "process": each.kind,
                "instructions": [len(program) for program in filters],
                "asked": asked,
                "kernel": each.report.kernel if each.report else 0,
                "apart": list(each.apart),
            }
            click.echo(json.dumps(row))
            continue
        sizes = " + ".join(str(len(program)) for program in filters)
        said = f"{sizes} instructions, {asked:,} ways" if filters else "no filter"
        click.echo(f"{each.kind}: {said}")
        for line in each.apart:
            click.echo(f"  NOT AS DOCUMENTED: {line}")
    return Status.UNEXPECTED if any(each.apart for each in found) else Status.EXPECTED


def _named(name: str) -> Runtime | None:
    """The runtime, or None for a process. Raises UserError."""
    if _PROCESS.match(name):
        return None
    if name not in RUNTIMES:
        near = (
            suggestion(name, (*RUNTIMES, chromium.NAME))
            or f"known: {', '.join(RUNTIMES)}, {chromium.NAME}, pid:NUMBER"
        )
        raise UserError(f"no runtime {name}: {near}")
    if os.geteuid():
        raise UserError("--runtime starts containers and managers: it needs root")
    return RUNTIMES[name]


def _reported(
    name: str, runtime: Runtime | None, profile: Path, form: str | None, keep: Path | None
) -> tuple[Report, Path | None]:
    if runtime is None:
        installed = read_process(int(name.removeprefix("pid:")))
        return judged(None, profile, read_operand(str(profile), form), installed), None
    if keep is None:
        with closing(Scratch()) as scratch:
            return report(runtime, profile, form, scratch.path), None
    directory = keep.resolve() / name
    if directory.exists():
        raise UserError(f"{directory} is there already: nothing of yours is written over")
    directory.mkdir(parents=True)
    with nullcontext(directory):
        return report(runtime, profile, form, directory), directory


def _words(found: Report) -> str:
    sizes = " + ".join(str(len(each)) for each in found.installed.programs)
    asked = ", ".join(f"{name} {count:,}" for name, count in found.asked.items())
    filters = "filter" if len(found.installed.programs) == 1 else "filters"
    lines = [
        f"{found.runtime}, {found.profile}: {len(found.installed.programs)} {filters} of {sizes} "
        "instructions",
        f"  ways compared: {asked}; {found.kernel:,} asked of this machine's kernel",
    ]
    if not found.started:
        lines.append("  the filter let no program start: read from the task that it ended")
    lines += [f"  lost on the way: {line}" for line in found.lost]
    for reason, calls in found.explained.items():
        lines.append(f"  explained, {len(calls)} calls: {reason}: {_some(calls)}")
    for each in found.comparison.differences:
        lines.append(f"  DIFFERENT: {each}".replace("\n", "\n  "))
    lines += [f"  not compared to the end: {line}" for line in found.comparison.unproven]
    lines += [f"  ANSWERED OTHERWISE: {line}" for line in found.mistaken]
    if found.is_proven:
        rest = "no other call" if found.explained else "no call"
        lines.append(f"  {rest} is answered differently from what the profile says")
    return "\n".join(lines)


def _some(calls: Sequence[str]) -> str:
    more = len(calls) - _SHOWN
    return ", ".join(calls[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _row(found: Report) -> str:
    explained = "; ".join(f"{len(calls)}: {why}" for why, calls in found.explained.items())
    sizes = " + ".join(str(len(each)) for each in found.installed.programs)
    cells = (
        *(found.runtime, f"`{found.profile}`", sizes, ", ".join(found.asked)),
        *(f"{sum(found.asked.values()):,}", f"{found.kernel:,}", explained or "none"),
        str(sum(len(each.calls) for each in found.comparison.differences) + len(found.mistaken)),
    )
    return "| " + " | ".join(cells) + " |"


def _by_hand(found: Report, profile: Path, directory: Path) -> str:
    installed = "+".join(
        str(directory / f"installed.{number}.bpf")
        for number in range(len(found.installed.programs))
    )
    return f"  by hand: enforcer diff {profile} {installed}"


def _json(found: Report) -> str:
    return json.dumps(
        {
            "runtime": found.runtime,
            "profile": found.profile,
            "instructions": [len(each) for each in found.installed.programs],
            "asked": dict(found.asked),
            "kernel": found.kernel,
            "lost": list(found.lost),
            "explained": {why: list(calls) for why, calls in found.explained.items()},
            "different": [
                {"abi": each.abi, "calls": list(each.calls), "words": str(each)}
                for each in found.comparison.differences
            ],
            "unproven": list(found.comparison.unproven),
            "mistaken": list(found.mistaken),
        }
    )
