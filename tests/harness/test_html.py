"""The page of a campaign: whole, readable, and of itself alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.report.html import html
from harness.results import Change
from tests.harness.test_results import CAMPAIGN, FALLEN, HELD, LEAKY, ROWS

TEMPLATES = Path(__file__).parents[2] / "harness" / "report" / "templates"
KNOWN = replace(FALLEN, backend="landlock", weakness="a right <that> is missing", as_expected=True)
SHOWN = (*ROWS, KNOWN, replace(HELD, attack="race/y", scenario="race/y", case_id="race/y[a]"))
CHANGES = (Change(case_id="race/z[b]", before="held", after="bypassed"),)
NORMAL_TEXT = 4.5
"""The least contrast of WCAG 2.1, 1.4.3."""


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str, tag: str | None = None) -> list[str]:
        return [
            attributes[name]
            for each, attributes in self.elements
            if name in attributes and tag in (None, each)
        ]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(html(SHOWN, "Campaign 7", [CAMPAIGN], CHANGES))


def test_every_cell_has_an_address_that_leads_to_its_cases(page: Page) -> None:
    """Ids are there once; links and buttons lead to them; every case and its repro is in one."""
    ids = Counter(page.values("id"))
    assert set(ids.values()) == {1}
    assert set(page.values("aria-controls", "button")) <= set(ids)
    inner = {each[1:] for each in page.values("href", "a") if each.startswith("#")}
    assert inner <= set(ids)
    assert {"race/x:ptrace", "race/x:leaky", "race/y:ptrace"} <= inner
    for row in SHOWN:
        assert f"harness repro '{row.case_id}'" in page.text
        assert row.reason.replace("\x01", "") in page.text.replace("\x01", "")


def test_the_page_asks_nothing_of_a_network(page: Page) -> None:
    """Nothing is loaded, and the page's own policy forbids it."""
    assert page.values("src") == []
    assert {tag for tag, attributes in page.elements if "href" in attributes} <= {"a"}
    assert "default-src 'none'" in page.values("content", "meta")[-1]
    assert not re.search(r"url\(|@import", (TEMPLATES / "matrix.css").read_text())


def test_what_matters_comes_first(page: Page) -> None:
    """Counts, then what is not as expected, then what changed, then the matrix."""
    marks = (
        f"{len(SHOWN)} cases",
        "2 not as expected",
        "Not as expected",
        "bypassed instead of held",
        "race/z[b]: held → bypassed",
        "Legend",
    )
    places = [page.text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "Changed" not in Page(html(SHOWN, "x", [CAMPAIGN])).text


def test_colour_is_by_expectation(page: Page) -> None:
    """A leaky enforcer that fell is good, a known weakness is not bad, another bypass is."""
    tones = {
        attributes["data-column"]: attributes["data-tone"]
        for tag, attributes in page.elements
        if tag == "td" and "data-column" in attributes
    }
    wanted = {"ptrace": "good", "leaky": "good", "landlock": "known", "notify": "bad"}
    assert tones == wanted | {"seccomp": "bad"}
    assert LEAKY.verdict == FALLEN.verdict


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb as WCAG 2.1 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((ink, "ground") for ink in ("ink", "soft", "good", "known", "bad", "quiet", "link")),
        *((tone, f"{tone}-ground") for tone in ("good", "known", "bad", "quiet")),
        ("ink", "head"),
    ],
)
def test_contrast(scheme: int, ink: str, ground: str) -> None:
    """Every text on what lies behind it, in both colour schemes."""
    css = (TEMPLATES / "matrix.css").read_text()
    blocks = css.split("prefers-color-scheme: dark")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[scheme]))
    first, second = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (first + 0.05) / (second + 0.05) >= NORMAL_TEXT


DRIVEN = """
<script>
let copied = "";
Object.defineProperty(navigator, "clipboard", { value: { writeText: (text) => {
  copied = text;
} } });
const cell = (id) => document.querySelector(`[aria-controls="${id}"]`);
const shown = () => [...document.querySelectorAll("tr.line")].filter((each) => !each.hidden).length;
const set = (id, property, value) => {
  $(id)[property] = value;
  document.querySelector(".filter").dispatchEvent(new Event("input"));
};
const said = [`address ${!$("race/x:notify").hidden}`];
cell("race/x:ptrace").click();
said.push(`click ${!$("race/x:ptrace").hidden} ${location.hash}`);
cell("race/x:ptrace").click();
said.push(`again ${$("race/x:ptrace").hidden}`);
set("text", "value", "race/y"); said.push(`find ${shown()}`);
set("text", "value", ""); set("odd", "checked", true); said.push(`odd ${shown()}`);
set("odd", "checked", false); set("verdict", "value", "held"); said.push(`held ${shown()}`);
set("verdict", "value", "broken"); said.push(`broken ${shown()}`);
const copy = document.querySelector("button.copy");
copy.click();
said.push(`copy ${copied === copy.previousElementSibling.textContent}`);
const wide = document.documentElement.scrollWidth <= innerWidth;
const sticky = getComputedStyle(document.querySelector("tbody th")).position;
said.push(`fits ${wide} ${sticky}`);
const result = document.createElement("pre");
result.id = "said"; result.textContent = said.join("\\n");
document.body.append(result);
</script>
"""


@pytest.mark.parametrize(("width", "sticky"), [(1280, "sticky"), (500, "static")])
def test_in_a_browser(tmp_path: Path, width: int, sticky: str) -> None:
    """Addresses open their cell, a click opens and closes it, filters leave what they name; the
    first column stays where the table is wide, and nothing is wider than a phone.
    """
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium")
    text = html(SHOWN, "Campaign 7", [CAMPAIGN], CHANGES)
    path = tmp_path / "page.html"
    path.write_text(text.replace("</body>", DRIVEN + "</body>"))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000"]
    done = subprocess.run(
        [*command, f"{path.as_uri()}#race/x:notify"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (said,) = re.findall(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    assert said.splitlines() == [
        "address true",
        "click true #race/x:ptrace",
        "again true",
        "find 1",
        "odd 1",
        "held 2",
        "broken 1",
        "copy true",
        f"fits true {sticky}",
    ]
