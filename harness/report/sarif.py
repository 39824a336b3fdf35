"""What is not as expected as SARIF 2.1.0, which forges show beside the code."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.catalogue import catalogue, order
from harness.model import VerdictKind
from harness.report.matrix import MEANING
from harness.report.origin import origin, seen
from harness.results import Campaign, Row

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(rows: Sequence[Row], campaigns: Sequence[Campaign]) -> str:
    """One run. A rule is a class of the catalogue (or a verdict, where a scenario cites none); a
    result is a case that contradicts its scenario, at that scenario's file.
    """
    found = [row for row in rows if not row.as_expected]
    classes = sorted({row.catalogue[0] for row in found if row.catalogue}, key=order)
    kinds = sorted({row.verdict for row in found if not row.catalogue})
    rules = [_class_rule(id) for id in classes] + [
        {"id": kind, "shortDescription": {"text": MEANING[VerdictKind(kind)]}} for kind in kinds
    ]
    run = {
        "tool": {"driver": {"name": "interposition-lab", "rules": rules}},
        "results": [_result(row) for row in found],
        "properties": dict(
            [pair for campaign in campaigns for pair in origin(campaign)] + [*seen(rows)]
        ),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _class_rule(id: str) -> dict[str, object]:
    entry = catalogue().get(id)
    text = f"{entry.name}: {entry.claim}" if entry else id
    return {"id": id, "shortDescription": {"text": text}}


def _result(row: Row) -> dict[str, object]:
    wanted = f"bypassed ({row.weakness})" if row.weakness else row.expected
    return {
        "ruleId": row.catalogue[0] if row.catalogue else row.verdict,
        "level": "error",
        "message": {"text": f"{row.case_id}: {row.verdict} instead of {wanted}: {row.reason}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": f"scenarios/{row.scenario}.yaml"}}}
        ],
        "partialFingerprints": {"case": row.case_id},
    }
