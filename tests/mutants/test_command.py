"""The command on a tree of its own, whose package has the name of an installed one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import run
from tests.mutants.command import Status, main, tenth
from tests.mutants.entries import load_areas
from tests.repo.sources import ROOT

CODE = """\
LIMIT = 1024


def permitted(port):
    while port < 0:
        port += 65536
    return port < LIMIT
"""
TESTS = """\
import subprocess
import sys

from enforcer.toy import permitted


def test_low():
    assert permitted(80)


def test_in_a_child():
    said = "from enforcer.toy import permitted; print(permitted(1024))"
    done = subprocess.run([sys.executable, "-c", said], cwd="/", stdout=-1, text=True)
    assert done.stdout == "False\\n"


def test_negative():
    assert not permitted(-1)
"""
ENTRY = """\
  - file: enforcer/toy.py
    old: {old}
    new: {new}
    why: it matters
    tests: [test_toy.py{test}]
"""
RAISES = ENTRY.format(old="return port", new="raise OSError; port", test="::test_low")
NOTICED_BY_CHILD = ENTRY.format(old="port < LIMIT", new="port <= LIMIT", test="::test_in_a_child")
SURVIVES = ENTRY.format(old="LIMIT = 1024", new="LIMIT = 1023", test="::test_low")
HANGS = ENTRY.format(old="port += 65536", new="port += 0", test="::test_negative")
BREAKS = ENTRY.format(old="def permitted", new="def allowed", test="::test_low")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git tree with `enforcer.toy`; temporary files go beside it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    root = tmp_path / "root"
    (root / "enforcer").mkdir(parents=True)
    (root / "tests" / "mutants").mkdir(parents=True)
    (root / "enforcer" / "__init__.py").touch()
    (root / "enforcer" / "toy.py").write_text(CODE)
    (root / "test_toy.py").write_text(TESTS)
    assert run(("git", "init", "-q", str(root))).status == 0
    return root


def write(root: Path, *entries: str, area: str = "toy") -> None:
    text = "".join((f"area: {area}\n", "mutants:\n", *entries))
    (root / "tests" / "mutants" / f"{area}.yaml").write_text(text)


def leftovers(root: Path) -> list[Path]:
    return list((root.parent / "temporary").iterdir())


def test_all_noticed(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A copy's module is what tests and the processes that they start import; the tree stays."""
    write(root, RAISES, NOTICED_BY_CHILD)
    assert main(["-j", "2"], root) == Status.NOTICED
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[:6] for line in lines if line.startswith(("toy", "all"))] == [
        ["toy", "2", "2", "0", "0", "0"],
        ["all", "2", "2", "0", "0", "0"],
    ]
    assert (root / "enforcer" / "toy.py").read_text() == CODE
    assert leftovers(root) == []


def test_a_survivor(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is named with its line and why it matters; the next mistake is made in a restored tree."""
    write(root, SURVIVES, NOTICED_BY_CHILD)
    assert main(["-j", "1"], root) == Status.SURVIVED
    lines = capfd.readouterr().out.splitlines()
    assert lines[:4] == [
        "enforcer/toy.py:1: survived (toy)",
        "    - LIMIT = 1024",
        "    + LIMIT = 1023",
        "    it matters",
    ]
    assert lines[-2].split()[:5] == ["toy", "2", "1", "1", "0"]
    assert all(len(line) <= 80 for line in lines)


def test_what_breaks_is_not_noticed(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Tests that cannot even be collected have not failed."""
    write(root, BREAKS, NOTICED_BY_CHILD)
    assert main([], root) == Status.BROKEN
    said = capfd.readouterr().out
    assert "enforcer/toy.py:4: broken (toy)" in said
    assert "pytest ended with status" in said


@pytest.mark.parametrize(
    ("extra", "status"), [("    hangs: true\n", Status.NOTICED), ("", Status.BROKEN)]
)
def test_a_hang(root: Path, monkeypatch: pytest.MonkeyPatch, extra: str, status: Status) -> None:
    """It counts where the entry says so, and is reported otherwise."""
    monkeypatch.setattr("tests.mutants.command.LIMIT_S", 5.0)
    monkeypatch.setattr("tests.mutants.command.HANG_LIMIT_S", 5.0)
    write(root, HANGS + extra)
    assert main([], root) == status
    assert leftovers(root) == []


def test_a_test_that_fails_anyway(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is tried with tests that fail in the unchanged tree, and they are named."""
    write(root, NOTICED_BY_CHILD)
    (root / "enforcer" / "toy.py").write_text(CODE.replace("1024", "1025"))
    assert main([], root) == Status.BROKEN
    assert "FAILED test_toy.py::test_in_a_child" in capfd.readouterr().err


def test_a_module_from_elsewhere(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A copy whose module is not the one that is imported proves nothing."""
    write(root, RAISES)
    (root / "enforcer" / "toy").mkdir()
    (root / "enforcer" / "toy" / "__init__.py").symlink_to(ROOT / "enforcer" / "__init__.py")
    write(root, RAISES.replace("enforcer/toy.py", "lost/toy.py"))
    (root / "lost").mkdir()
    (root / "lost" / "toy.py").write_text(CODE)
    (root / "lost" / "__init__.py").write_text(f"__path__ = [{str(root / 'lost')!r}]\n")
    assert main([], root) == Status.BROKEN
    assert "not from the copy" in capfd.readouterr().err


def test_mistakes_of_the_user(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A stale `old`, an unknown area and nothing to try are refused before anything is run."""
    write(root, SURVIVES.replace("1024", "1026"))
    assert main([], root) == Status.USAGE
    assert "toy.yaml:4:10: `old` stands 0 times" in capfd.readouterr().err
    write(root, SURVIVES)
    assert main(["tox"], root) == Status.USAGE
    assert "did you mean toy?" in capfd.readouterr().err
    write(root, "[]")
    assert main([], root) == Status.USAGE
    with pytest.raises(SystemExit, match="2"):
        main(["-j", "0"], root)


def test_list(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every mistake is a line, and none is tried."""
    write(root, SURVIVES, RAISES)
    write(root, HANGS, area="other")
    assert main(["--list", "toy"], root) == Status.NOTICED
    assert capfd.readouterr().out.splitlines() == [
        "toy: enforcer/toy.py:1: it matters",
        "toy: enforcer/toy.py:7: it matters",
    ]


def test_a_tenth(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One of each area at least, a tenth in all; the seed is printed and repeats the choice."""
    many = [
        ENTRY.format(old="LIMIT = 1024", new=f"LIMIT = {limit}", test="") for limit in range(30)
    ]
    write(root, *many)
    write(root, HANGS, area="other")
    areas = list(load_areas(root).values())
    chosen = tenth(areas, 7)
    assert len(chosen) == 4
    assert {each.area for each in chosen} == {"toy", "other"}
    assert len({each.change.new for each in chosen}) == 4
    assert {each.change for each in tenth(areas, 8)} != {each.change for each in chosen}
    main(["--tenth", "--list"], root)
    first, *listed = capfd.readouterr().out.splitlines()
    main(["--tenth", first.split()[-1], "--list"], root)
    assert capfd.readouterr().out.splitlines()[1:] == listed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_leaves_nothing(root: Path, number: signal.Signals) -> None:
    """The copies go, and the tests that ran in them have ended."""
    fifo = root.parent / "fifo"
    os.mkfifo(fifo)
    begun = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write(root, HANGS.replace("port += 0", f"port += 0 * open('{fifo}', 'w').write('begun')"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "TMPDIR": str(root.parent / "temporary"),
    }
    command = (sys.executable, "-m", "tests.mutants", "-j", "1")
    with subprocess.Popen(command, cwd=root, env=environment) as child:
        assert select.select([begun], [], [], 60)[0]
        assert leftovers(root)
        child.send_signal(number)
    assert child.returncode == 130
    assert leftovers(root) == []
    assert os.read(begun, 1 << 20)
    assert os.read(begun, 1) == b""  # whoever wrote to it has ended
    os.close(begun)


def test_what_tests_leave_behind_is_ended(root: Path) -> None:
    """A mistake whose tests end and leave a process that would go on for ever."""
    fifo = root.parent / "fifo"
    os.mkfifo(fifo)
    begun = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = f"import os, signal; kept = open('{fifo}', 'w'); os.fork() or signal.pause(); port"
    write(root, ENTRY.format(old="return port", new=f'"{code}"', test="::test_low"))
    assert main(["-j", "1"], root) is Status.NOTICED
    assert select.select([begun], [], [], 60)[0]
    assert os.read(begun, 1) == b""  # whoever opened it has ended
    os.close(begun)
