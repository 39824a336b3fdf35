"""`harness report`: stored results again, in any form, and two campaigns compared."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from harness.cli import Status, UserError
from harness.cli.load import opened
from harness.cli.run import status_of
from harness.report.html import html
from harness.report.junit import junit
from harness.report.lines import json_lines
from harness.report.markdown import markdown
from harness.report.numbers import numbers
from harness.report.places import places, places_records, print_places
from harness.report.sarif import sarif
from harness.report.terminal import console, print_results
from harness.results import Campaign, Change, Row, Store, default_path

WRITERS: dict[str, Callable[[Sequence[Row], Sequence[Campaign]], str]] = {
    "json": lambda rows, _: json_lines(rows),
    "junit": junit,
    "markdown": markdown,
    "numbers": numbers,
    "sarif": sarif,
}
FORMATS = ("terminal", "html", *WRITERS)
BY_SUFFIX = {
    ".html": "html",
    ".xml": "junit",
    ".json": "json",
    ".jsonl": "json",
    ".md": "markdown",
    ".sarif": "sarif",
    ".tsv": "numbers",
}


@click.command("report")
@click.argument("campaign", metavar="[CAMPAIGN]", default="")
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(FORMATS),
    help="Default: terminal; to a file, what its name ends in.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--compare", type=int, metavar="CAMPAIGN", help="Which verdicts differ from those.")
@click.option(
    "--places", "by_place", is_flag=True, help="Places compared with this machine, case by case."
)
@click.option(
    "--with", "others", type=int, multiple=True, metavar="CAMPAIGN", help="Results of those too."
)
@click.option("--list", "listing", is_flag=True, help="The campaigns there are.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path))
def command(
    campaign: str,
    form: str | None,
    output: Path | None,
    compare: int | None,
    by_place: bool,
    others: tuple[int, ...],
    listing: bool,
    as_json: bool,
    results: Path | None,
) -> None:
    """The results of CAMPAIGN (default: the latest)."""
    store = opened(results or default_path())
    campaigns = store.campaigns()
    if not campaigns:
        raise UserError("there are no results yet; `harness run` makes some")
    if listing:
        _list(campaigns, as_json)
        return
    number = campaigns[0].id if not campaign else _number(campaign)
    for wanted in (number, compare, *others):
        if wanted is not None and wanted not in [each.id for each in campaigns]:
            raise UserError(f"there is no campaign {wanted}; `harness report --list` shows them")
    if compare is not None:
        _compare(store, compare, number, as_json)
        return
    shown = [each for each in campaigns if each.id in (*others, number)]
    rows = tuple(row for each in (*others, number) for row in store.rows(each))
    if by_place:
        _places(rows, as_json)
        return
    if as_json:
        form = "json"
    elif form is None:
        form = "terminal" if output is None else _form_of(output)
    if form == "terminal":
        if output is not None:
            raise UserError(f"a terminal's form is not for {output}: -f {'|'.join(FORMATS[1:])}")
        print_results(console(), rows, shown)
        sys.exit(status_of(rows))
    if form == "html":
        text = html(rows, f"Campaign {number}", shown, _since_the_one_before(store, number))
    else:
        text = WRITERS[form](rows, shown)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{output} cannot be written: {error.strerror}") from None


def _form_of(output: Path) -> str:
    form = BY_SUFFIX.get(output.suffix)
    if form is None:
        known = ", ".join(BY_SUFFIX)
        raise UserError(
            f"{output} does not end in {known}; say the format: -f {'|'.join(FORMATS[1:])}"
        )
    return form


def _since_the_one_before(store: Store, number: int) -> tuple[Change, ...]:
    """What both this campaign and the last one before it of the same tree judged, otherwise."""
    campaigns = {each.id: each for each in store.campaigns()}
    root = campaigns[number].root
    before = [id for id, each in campaigns.items() if id < number and each.root == root]
    changes = store.compare(max(before), number) if before else ()
    return tuple(change for change in changes if change.before and change.after)


def _number(campaign: str) -> int:
    if campaign.isdecimal():
        return int(campaign)
    mend = "`harness report --list` shows them"
    if campaign in FORMATS:
        mend = f"for the format: harness report -f {campaign} -o FILE"
    raise UserError(f"{campaign!r} is no campaign's number; {mend}")


def _list(campaigns: tuple[Campaign, ...], as_json: bool) -> None:
    for each in campaigns:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.started))
        state = "interrupted" if each.finished is None else f"{each.finished - each.started:.0f} s"
        if as_json:
            record = {"campaign": each.id, "started": started, "cases": each.cases, "state": state}
            click.echo(json.dumps(record))
        else:
            arguments = " ".join(json.loads(each.arguments))
            click.echo(f"{each.id:4}  {started}  {each.cases:5} cases  {state:12}  {arguments}")


def _places(rows: tuple[Row, ...], as_json: bool) -> None:
    found = places(rows)
    if as_json:
        for record in places_records(found):
            click.echo(json.dumps(record))
    else:
        print_places(console(), found)
    sys.exit(Status.UNEXPECTED if found.differences else Status.EXPECTED)


def _compare(store: Store, before: int, after: int, as_json: bool) -> None:
    changes = store.compare(before, after)
    for change in changes:
        if as_json:
            record = {"case": change.case_id, "before": change.before, "after": change.after}
            click.echo(json.dumps(record))
        else:
            old, new = change.before or "not run", change.after or "not run"
            click.echo(f"{change.case_id}: {old} -> {new}")
    if not changes and not as_json:
        click.echo("no verdict differs")
    sys.exit(Status.UNEXPECTED if changes else Status.EXPECTED)
