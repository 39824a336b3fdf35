"""Results as JUnit XML, as continuous integration servers read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from harness.catalogue import named
from harness.model import VerdictKind
from harness.report.origin import origin, seen
from harness.results import Campaign, Row

SKIPPED = (VerdictKind.INAPPLICABLE, VerdictKind.INEXPRESSIBLE)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(rows: Sequence[Row], campaigns: Iterable[Campaign]) -> str:
    """One suite a scenario, one test case a case; where they come from are its properties."""
    suites: dict[str, list[Row]] = {}
    for row in rows:
        suites.setdefault(row.scenario, []).append(row)
    root = ElementTree.Element("testsuites")
    found = [pair for campaign in campaigns for pair in origin(campaign)]
    for scenario, members in sorted(suites.items()):
        suite = ElementTree.SubElement(root, "testsuite", name=scenario, tests=str(len(members)))
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in (*found, *seen(members)):
            ElementTree.SubElement(properties, "property", name=name, value=value)
        outcomes = [_add(suite, row) for row in members]
        suite.set("time", f"{sum(row.seconds for row in members):.3f}")
        for outcome, attribute in (
            ("failure", "failures"),
            ("error", "errors"),
            ("skipped", "skipped"),
        ):
            suite.set(attribute, str(outcomes.count(outcome)))
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(row.seconds for row in rows):.3f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ElementTree.Element, row: Row) -> str:
    name = f"{row.variant}-{row.backend}-{row.arch}-{row.kernel}"
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=row.scenario.replace("/", "."),
        name=name,
        time=f"{row.seconds:.3f}",
    )
    if row.catalogue:
        properties = ElementTree.SubElement(case, "properties")
        for name in named(row.catalogue):
            ElementTree.SubElement(properties, "property", name="catalogue", value=name)
    reason = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", row.reason)
    kind = VerdictKind(row.verdict)
    if kind is VerdictKind.BROKEN:
        ElementTree.SubElement(case, "error", type=row.verdict, message=reason)
        return "error"
    if not row.as_expected:
        message = f"{row.verdict} instead of {row.expected}: {reason}"
        ElementTree.SubElement(case, "failure", type=row.verdict, message=message)
        return "failure"
    if kind in SKIPPED and row.expected != row.verdict:
        ElementTree.SubElement(case, "skipped", message=f"{row.verdict}: {reason}")
        return "skipped"
    output = ElementTree.SubElement(case, "system-out")
    output.text = f"{row.verdict}: {reason}"
    return "passed"
