"""The matrix as one self-contained HTML page, which asks nothing of any network."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.catalogue import catalogue, order
from harness.model import VerdictKind
from harness.odds import percent
from harness.report.matrix import MEANING, SEVERITY, SHORT, matrix, surprises, tone
from harness.report.origin import origin, seen
from harness.report.wideners import widened
from harness.results import Campaign, Change, Row


def html(
    rows: Sequence[Row],
    title: str,
    campaigns: Sequence[Campaign],
    changes: Sequence[Change] = (),
) -> str:
    """The page: what is not as expected, then the matrix, with every case in the details of its
    cell. `changes` are the verdicts that differ from an earlier campaign's.
    """
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = Counter(VerdictKind(row.verdict) for row in rows)
    shown = matrix(rows)
    cited = sorted({id for line in shown.lines for id in line.catalogue}, key=order)
    return environment.get_template("matrix.html").render(
        title=title,
        origin=[pair for campaign in campaigns for pair in _origin(campaign)],
        seen=seen(rows),
        cases=len(rows),
        unexpected=sum(not row.as_expected for row in rows),
        surprises=surprises(rows),
        changes=changes,
        matrix=shown,
        widened=widened(rows),
        classes=[catalogue()[id] for id in cited if id in catalogue()],
        tone=tone,
        short=SHORT,
        percent=percent,
        address=lambda row: f"{row.attack or row.scenario}:{'leaky' if row.leaky else row.backend}",
        quoted=shlex.quote,
        legend=[(kind, counts[kind], MEANING[kind]) for kind in SEVERITY if counts[kind]],
    )


def _origin(campaign: Campaign) -> tuple[tuple[str, str], ...]:
    words = ("harness", *json.loads(campaign.arguments))
    return (*origin(campaign), ("command", shlex.join(words)))
