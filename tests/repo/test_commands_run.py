"""The command lines of the texts are run, as they stand there, or it is said why they are not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from harness import process, tree
from harness.results import Store
from tests.harness.test_results import ORIGIN, ROWS
from tests.repo.test_commands import LINES, words_of

POLICY = """\
default: permit
rules:
  - deny[eacces]: fsread
    when: filename eq "@/secret"
    log: true
"""
STAND_INS = {"FILE": "my.yaml", "DIR": "pages", "make": "true", "test": ""}
RUN = {
    "harness explain B10": 0,
    "harness explain race/path-race": 0,
    "harness list": 0,
    "harness list backends": 0,
    "harness list attacks --markdown": 0,
    "harness list scenarios --markdown": 0,
    "harness list systems --markdown": 0,
    "harness list --catalogue": 0,
    "harness list --catalogue --markdown": 0,
    "harness report -o matrix.html": 0,
    "harness report --json": 0,
    "harness completion bash": 0,
    "harness manual DIR": 0,
    "harness new backend --help": 0,
    "harness new backend --external my-box": 0,
    "harness new backend my-tracer --mechanism ptrace": 0,
    "harness fuzz --list": 0,
    "harness fuzz findings": 0,
    "harness vm list": 0,
    "enforcer check my.yaml": 0,
    "enforcer check cat.yaml": 0,
    "enforcer check FILE": 0,
    "enforcer convert FILE": 0,
    "enforcer explain my.yaml openat AT_FDCWD /etc/shadow O_RDONLY": 0,
    "enforcer explain cat.yaml fsread /tmp/first/secret": 0,
    "enforcer explain cat.yaml openat AT_FDCWD /tmp/first/project/notes O_RDONLY": 0,
    "enforcer run --backend ptrace --policy my.yaml --log events.jsonl -- make test": 0,
    "enforcer ask --policy FILE -- make test": 0,
    "enforcer ask --policy my.yaml -- make test": 0,
    "enforcer learn -- make test": 0,
    "enforcer status": 0,
    "enforcer run --policy cat.yaml --log - -- cat project/notes secret": 1,
    "enforcer run --policy cat.yaml --log - -- cat link": 1,
    "enforcer run --backend notify --policy cat.yaml -- cat link": 1,
    "enforcer run --backend seccomp --policy cat.yaml -- cat link": 2,
}
"""Each with the exit status that the text says or means."""

NOT_RUN = {
    "minutes of a whole matrix, which quickstart runs": r"harness run"
    r"($| --quick| --suite| -k| -b NAME| --resume$| --json FILE)"
    r"|harness run --backend (capabilities|strict|broker|preload|systemd)",
    "minutes of races": r"harness defences( |$)|harness run --backend seccomp --backend notify",
    "minutes of generated cases; tests/fuzz has each with a budget": r"harness fuzz( |$)",
    "a quarter of an hour on an idle machine": r"harness bench",
    "virtual machines: images from the network, and a boot; tests/vm": r"harness vm "
    r"|harness run --vm|harness run --backend (apparmor|tomoyo|selinux|bpf-lsm|removed)"
    r"|harness run --backend (syscalls-cgroup|audit|seccomp --arch)",
    "a scheduler and its workers; tests/harness/test_scheduler.py": r"harness run .*--scheduler",
    "sandboxes of others, where they are installed; test_strangers.py has one": r"harness run "
    r"--backend (bwrap|external|\./|/tmp/)",
    "attacks made to measure; tests/harness/test_audit.py": r"harness audit ",
    "files in the tree itself; test_a_researchers_path runs them in a copy": r"harness new "
    r"(attack|scenario)|harness explain indirect/my-link",
    "a file of the tree, of results of one's own; tests/harness/test_numbers.py": r"harness report "
    r"-o attacks/numbers\.tsv",
    "somebody at a terminal; tests/asking": r"enforcer (ask|top)",
    "programs of the system's; tests/policy/test_shipped.py": r"enforcer run -p git ",
    "a process of the reader's; tests/mechanisms/test_attach.py": r"enforcer attach ",
    "a case of the reader's; tests/harness/test_cli.py": r"harness repro ",
    "a tour of the machine; tests/harness/test_terminal.py": r"harness doctor",
    "filters of others and running processes; tests/filters/test_commands.py has each": r"enforcer "
    r"(audit|diff|dump|export)( |$)|enforcer .*(profile|a)\.json",
    "a name alone, or words that stand for others": r"harness explain( SCENARIO)?$"
    r"|enforcer (run|check|explain FILE CALL ARGS)( --log FILE)?$"
    r"|harness new backend --external NAME|harness report --places",
}


def shown(line: str) -> str:
    return " ".join(words_of(line))


SHOWN = sorted({shown(line) for _, line in LINES})


def reasons(line: str) -> list[str]:
    return [reason for reason, pattern in NOT_RUN.items() if re.match(pattern, line)]


@pytest.mark.parametrize("line", SHOWN)
def test_every_line_is_run_or_excused(line: str) -> None:
    """A line that is new is run here, or gets a reason."""
    assert line in RUN or reasons(line)


def test_nothing_is_listed_that_no_text_has() -> None:
    """A reason without a line, or a line that nobody gives, goes."""
    assert set(RUN) <= set(SHOWN)
    used = {reason for line in SHOWN if line not in RUN for reason in reasons(line)}
    assert used == set(NOT_RUN)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the tutorial makes it, and results of a run."""
    where = tmp_path_factory.mktemp("first")
    (where / "project").mkdir()
    (where / "project" / "notes").write_text("hello\n")
    (where / "secret").write_text("key\n")
    (where / "link").symlink_to("secret")
    for name in ("cat.yaml", "my.yaml"):
        (where / name).write_text(POLICY.replace("@", str(where)))
    store = Store(where / "state" / "interposition-lab" / "results.sqlite")
    campaign = store.begin(["run"], len(ROWS), ORIGIN)
    for row in ROWS:
        store.add(campaign.id, row)
    store.finish(campaign.id)
    store.close()
    return where


@pytest.mark.parametrize("line", RUN)
def test_a_line_does_what_the_text_says(place: Path, line: str) -> None:
    """It ends with the status that is expected, and without a traceback."""
    program, *words = (STAND_INS.get(word, word) for word in line.split())
    words = [word.replace("/tmp/first", str(place)) for word in words if word]
    home = [f"{name}={place / 'state'}" for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")]
    command = ["env", f"PYTHONPATH={tree.OWN}", *home, sys.executable, "-m", program, *words]
    done = process.run(command, timeout_s=120.0, cwd=place)
    assert done.status == RUN[line], done.stderr
    assert "Traceback" not in done.stderr
    assert "key" not in done.stdout.split()
