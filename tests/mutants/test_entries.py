"""Files of mutants: what is read, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.entries import EntryError, load_areas
from tests.repo.sources import ROOT

CODE = "def permitted(port):\n    return port < 1024\n\n\ndef name():\n    return 'a'\n"
TESTS = "def test_port():\n    pass\n\n\nclass TestNames:\n    def test_name(self):\n        pass\n"
GOOD = """\
area: toy
mutants:
  - file: code.py
    old: port < 1024
    new: port <= 1024
    why: the first port that anyone may bind
    tests: [test_code.py, "test_code.py::test_port[x]", test_code.py::TestNames::test_name]
  - {file: code.py, old: "1024\\n\\n", new: "1025\\n\\n", why: w, tests: test_code.py, hangs: true}
equivalents:
  - {file: code.py, old: "'a'", new: '"a"', reason: one text}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one module, its tests and one good file of mutants."""
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "test_code.py").write_text(TESTS)
    (tmp_path / "tests" / "mutants").mkdir(parents=True)
    (tmp_path / "tests" / "mutants" / "toy.yaml").write_text(GOOD)
    return tmp_path


def test_the_landed_files_are_right() -> None:
    """Every `old` of the project still stands once in its file, and every named test exists."""
    assert load_areas(ROOT)


def test_what_is_read(root: Path) -> None:
    """Changes with the first line that differs, tests, time-outs and equivalents."""
    area = load_areas(root)["toy"]
    first, second = area.mutants
    assert (first.area, first.change.place, first.hangs) == ("toy", "code.py:2", False)
    assert first.why == "the first port that anyone may bind"
    assert [test.partition("::")[2] for test in first.tests] == [
        "",
        "test_port[x]",
        "TestNames::test_name",
    ]
    assert (second.change.old, second.hangs) == ("1024\n\n", True)
    assert [each.reason for each in area.equivalents] == ["one text"]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("area: toy", "area: other", ":1:7: the area is not the file's name"),
        ("why: the first", "wyh: the first", ":6:5: unknown key 'wyh'"),
        ("why: the first", "wyh: the first", ":3:5: 'why' is missing"),
        ("new: port <= 1024", "new: port < 1024", ":5:10: `new` is `old`"),
        ("old: port < 1024", "old: port < 80", ":4:10: `old` stands 0 times in code.py"),
        ("old: port < 1024", "old: return", ":4:10: `old` stands 2 times in code.py"),
        ("old: port < 1024", "old: ''", ":4:10: `old` is empty"),
        ("  - file: code.py", "  - file: cod.py", ":3:11: there is no file 'cod.py'"),
        ("  - file: code.py", "  - file: ../x.py", ":3:11: there is no file '../x.py'"),
        ("why: w", "why: ''", ":8:60: 'why' is empty"),
        ("[test_code.py,", "[test_cod.py,", ":7:13: there is no test file 'test_cod.py'"),
        ("::test_port[x]", "::test_pork[x]", "test_code.py has no test 'test_pork'"),
        ("tests: test_code.py,", "tests: [],", ":8:70: no tests"),
        ("hangs: true", "hangs: yes", "'yes' is neither true nor false"),
        ("reason: one text", "why: one text", "unknown key 'why'"),
        (
            """old: "'a'", new: '"a"'""",
            "old: port < 1024, new: port <= 1024",
            "the same change stands at toy.yaml:3",
        ),
        ("mutants:\n", "mutants: none\nequivalent:\n", "'mutants' is not a list"),
        ("area: toy\n", "- a\n", "not YAML"),
    ],
)
def test_what_is_refused(root: Path, good: str, bad: str, said: str) -> None:
    """Each mistake is told with its place."""
    assert good in GOOD
    (root / "tests" / "mutants" / "toy.yaml").write_text(GOOD.replace(good, bad, 1))
    with pytest.raises(EntryError) as caught:
        load_areas(root)
    assert said in str(caught.value)


def test_all_mistakes_of_all_files_are_told(root: Path) -> None:
    """Two files with a mistake each: both are in the message."""
    mutants = root / "tests" / "mutants"
    for name in ("one", "two"):
        (mutants / f"{name}.yaml").write_text(f"area: {name}\nmutants: [x]\n")
    with pytest.raises(EntryError) as caught:
        load_areas(root)
    assert [Path(each.source).name for each in caught.value.problems] == ["one.yaml", "two.yaml"]
