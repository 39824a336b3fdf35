"""The matrix as one self-contained HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.catalogue import catalogue, order
from harness.model import VerdictKind
from harness.odds import percent
from harness.report.matrix import MEANING, SEVERITY, SHORT, matrix
from harness.report.origin import isolations, origin
from harness.results import Campaign, Row


def html(rows: Sequence[Row], title: str, campaigns: Sequence[Campaign]) -> str:
    """The page, with every reason in the details of its cell."""
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
        origin=[pair for campaign in campaigns for pair in origin(campaign)],
        isolations=isolations(rows),
        matrix=shown,
        classes=[catalogue()[id] for id in cited if id in catalogue()],
        short=SHORT,
        percent=percent,
        legend=[(kind, counts[kind], MEANING[kind]) for kind in SEVERITY if counts[kind]],
    )
