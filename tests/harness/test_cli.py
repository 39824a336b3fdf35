"""The command line: it explains itself, tells mistakes with their fix, and its statuses hold."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from enforcer.mechanisms.contract import MechanismName
from harness import tree
from harness.attack import AttackKind
from harness.backends import prepared_names
from harness.cli import cli
from harness.cli.new import LEAKY, TEMPLATES
from harness.places.local import kernel_release

SEEN = "abi/upper-bits[default-seccomp-x86_64"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with our attacks and one scenario, to work in."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(tree.OWN / "attacks", root / "attacks")
    (root / "scenarios" / "abi").mkdir(parents=True)
    for name in ("upper-bits.yaml", "upper-bits-64.yaml"):
        shutil.copy(tree.OWN / "scenarios" / "abi" / name, root / "scenarios" / "abi")
    return root


def harness(
    where: Path, *arguments: str, module: str = "harness"
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(where / "state"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=where,
        env={**environment, "PYTHONPATH": str(tree.OWN)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def verdicts(lines: Path) -> dict[str, str]:
    """By backend, of what --json wrote."""
    rows = map(json.loads, lines.read_text().splitlines())
    return {row["backend"]: row["verdict"] for row in rows}


def test_it_explains_itself(copy: Path) -> None:
    """Without arguments both programs say what they are for and how to start."""
    for module, word in (("harness", "harness doctor"), ("enforcer", "enforcer run")):
        said = harness(copy, module=module)
        assert said.returncode == 0
        assert word in said.stdout


def test_the_help_names_every_mechanism_of_ours(copy: Path) -> None:
    """Nobody asks for what the help does not name."""
    said = harness(copy, "run", "--help").stdout.split()
    words = {word.strip(",;.") for word in said}
    assert words >= {*MechanismName, *prepared_names()}


def test_run_report_explain_repro(copy: Path) -> None:
    """One case from the matrix to its explanation and to the commands that repeat it by hand."""
    lines = copy / "results.jsonl"
    ran = harness(copy, "run", "-b", "seccomp", "-k", "bits[", "--json", str(lines))
    assert ran.returncode == 0, ran.stderr
    assert "abi/upper-bits" in ran.stdout
    assert "held" in ran.stdout
    assert verdicts(lines) == {"seccomp": "held", "leaky-seccomp-wide-compare": "bypassed"}
    assert harness(copy, "report").stdout.split("\n\n")[0] in ran.stdout
    assert harness(copy, "report", "--json").stdout == lines.read_text()
    explained = harness(copy, "explain", "abi/upper-bits").stdout
    assert "Claim:" in explained
    assert "seccomp: in full" in explained
    assert ": held" in explained
    of_the_case = harness(copy, "explain", SEEN).stdout
    assert of_the_case.count(": held") == 1
    assert "ptrace:" not in of_the_case
    page = copy / "matrix.html"
    assert harness(copy, "report", "-o", str(page)).returncode == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    named = harness(copy, "report", "html")
    assert named.returncode == 2
    assert "harness report -f html -o FILE" in named.stderr
    odd = harness(copy, "report", "-o", str(copy / "matrix.xyz"))
    assert odd.returncode == 2
    assert "does not end in .html, .xml, .json, .jsonl" in odd.stderr
    assert not (copy / "matrix.xyz").exists()
    assert harness(copy, "repro", SEEN).returncode == 0
    assert SEEN in harness(copy, "list", "cases").stdout


@pytest.mark.parametrize(("option", "first"), [("--json", '{"case":'), ("--junit", "<?xml")])
def test_results_on_standard_output(copy: Path, option: str, first: str) -> None:
    """`-` is standard output, alone there: the matrix goes to standard error."""
    ran = harness(copy, "run", "-b", "seccomp", "-k", "bits[", option, "-")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(first)
    assert "abi/upper-bits" in ran.stderr
    assert "as expected" not in ran.stdout
    both = harness(copy, "run", "--json", "-", "--junit", "-")
    assert both.returncode == 2
    assert "cannot both have standard output" in both.stderr


def test_repro_commands_work(tmp_path: Path) -> None:
    """The printed commands show the control's effect, the denial and the attack's failure."""
    case = "replication/page-end-string[default-ptrace-x86_64"
    where = tmp_path / "by-hand"
    commands = harness(tree.OWN, "repro", case, "--directory", str(where))
    assert commands.returncode == 0, commands.stderr
    shell = subprocess.run(
        ["sh"], input=commands.stdout, capture_output=True, text=True, timeout=60, check=False
    )
    control, benign, direct, attack = shell.stdout.split("=== ")[1:5]
    assert "DATA the-denied-content" in control
    assert "DATA the-permitted-content" in benign
    assert "errno=13" in direct
    assert "DATA" not in attack
    assert "errno=13" in attack


def test_repro_hears_what_reaches_a_port(tmp_path: Path) -> None:
    """Its listeners take connections and datagrams, as the laboratory's do."""
    case = "subset/address-spelling[unspec-leaky-notify-spelling-x86_64"
    commands = harness(tree.OWN, "repro", case, "--directory", str(tmp_path / "by-hand"))
    assert commands.returncode == 0, commands.stderr
    shell = subprocess.run(
        ["sh"], input=commands.stdout, capture_output=True, text=True, timeout=60, check=False
    )
    assert "DENIED datagram" in shell.stderr
    assert "permitted connection" in shell.stderr


def test_a_text_that_fits_many_cases() -> None:
    """Twenty are shown, and how many more there are, with the command that lists them."""
    said = harness(tree.OWN, "repro", "path_race")
    assert said.returncode == 2
    _, *shown, rest = said.stderr.splitlines()
    (number,) = re.findall(r"fits (\d+) cases", said.stderr)
    assert len(shown) == 20
    assert rest == f"  and {int(number) - 20} more: harness list cases -k path_race"


def test_an_unexpected_verdict(copy: Path) -> None:
    """A bypass that no scenario expects is status 1 and is told with both verdicts."""
    path = copy / "scenarios" / "abi" / "upper-bits-64.yaml"
    before = path.read_text()
    path.write_text(before.replace("default: bypassed", "default: held"))
    ran = harness(copy, "run", "-b", "seccomp", "-k", "bits_64")
    path.write_text(before)
    assert ran.returncode == 1
    assert "bypassed instead of held: abi/upper-bits-64" in ran.stdout


def test_broken(copy: Path) -> None:
    """An attack that does not compile is broken, status 3, and the other case is unharmed."""
    manifest = (copy / "attacks" / "abi" / "upper-bits.yaml").read_text()
    bad = copy / "attacks" / "abi" / "bad"
    bad.with_suffix(".yaml").write_text(manifest.replace("name: upper-bits", "name: bad"))
    bad.with_suffix(".c").write_text("int main(void) { return nothing; }\n")
    good = (copy / "scenarios" / "abi" / "upper-bits.yaml").read_text()
    scenario = copy / "scenarios" / "abi" / "bad.yaml"
    scenario.write_text(good.split("leaky:")[0].replace("abi/upper-bits", "abi/bad"))
    lines = copy / "broken.jsonl"
    ran = harness(copy, "run", "-b", "seccomp", "-k", "[default", "--json", str(lines))
    rows = map(json.loads, lines.read_text().splitlines())
    found = {(row["scenario"], row["backend"]): row["verdict"] for row in rows}
    for path in (bad.with_suffix(".yaml"), bad.with_suffix(".c"), scenario):
        path.unlink()
    assert ran.returncode == 3
    assert found["abi/bad", "seccomp"] == "broken"
    assert found["abi/upper-bits", "seccomp"] == "held"
    assert re.search(r"bad\.c: not built for x86_64: .*bad\.c:\d+:\d+: error: ", ran.stdout)


MISTAKES = [
    (("run", "-b", "ptrase"), "did you mean ptrace?"),
    (("run", "-a", "vax"), "unknown architecture 'vax'"),
    (("run", "-k", "no such case"), "no case is selected"),
    (("run", "--resume"), "leave --resume out"),
    (("run", "--attempts", "0"), "--attempts"),
    (("rum",), "did you mean run?"),
    (("explain", "abi/uper_bits"), "did you mean abi/upper-bits?"),
    (("repro", "nothing"), "there is no case 'nothing'"),
    (("new", "attack", "Bad Name"), "is not a name"),
    (("new", "scenario", "x", "--attack", "abi/no"), "there is no attack 'abi/no'"),
    (("report", "--results", "/dev/null/x"), "no results at /dev/null/x"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda each: str(each)[:40])
def test_mistakes(copy: Path, arguments: tuple[str, ...], message: str) -> None:
    """A mistake is status 2, one message, no traceback."""
    said = harness(copy, *arguments)
    assert said.returncode == 2, said.stderr
    assert message in said.stderr
    assert "Traceback" not in said.stderr


def test_a_first_attack_is_written_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory that is no tree yet, though the laboratory is one; in a tree, at its top."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(tree, "OWN", tmp_path / "ours")
    for where in ("theirs", "theirs/attacks/race"):
        monkeypatch.chdir(tmp_path / where)
        said = CliRunner().invoke(cli, ["new", "attack", f"my-{where.count('/')}"])
        assert said.exit_code == 0, said.output
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.c")}
    assert written == {f"theirs/attacks/race/my-{count}.c" for count in (0, 2)}


def test_a_leaky_backend_is_called_leaky_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With or without the prefix the module has the short name, and the scenario the long one."""
    monkeypatch.setattr(tree, "OWN", tmp_path)
    for name, module in (("leaky-one", "one.py"), ("two", "two.py")):
        said = CliRunner().invoke(cli, ["new", "backend", name])
        assert (tmp_path / "harness" / "backends" / "leaky" / module).exists(), said.output
        assert f"leaky: [leaky-{Path(module).stem}]" in said.output


def test_a_broken_scenario_is_one_error(copy: Path) -> None:
    """A mistake in a file is told with its place, and nothing is run."""
    path = copy / "scenarios" / "abi" / "wrong.yaml"
    path.write_text("titel: x\n")
    said = harness(copy, "run")
    path.unlink()
    assert said.returncode == 2
    assert "wrong.yaml:1:1: unknown key 'titel'" in said.stderr
    assert "did you mean title?" in said.stderr


def test_results_of_another_version(copy: Path) -> None:
    """Every verb that reads them says so in one line, with the fix."""
    path = copy / "old.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")
    for verb in (["run", "-b", "seccomp"], ["report"], ["explain", "abi/upper-bits"]):
        said = harness(copy, *verb, "--results", str(path))
        assert said.returncode == 2
        assert said.stderr.splitlines()[-1].endswith("another version (999); move the file away")
        assert "Traceback" not in said.stderr


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_full_disk_is_one_error(copy: Path, option: str) -> None:
    """A report that cannot be written is status 3 without a traceback; the results are stored."""
    state = copy / f"full{option}.sqlite"
    ran = harness(
        copy, "run", "-b", "seccomp", "-k", "bits[", option, "/dev/full", "--results", str(state)
    )
    assert ran.returncode == 3
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    stored = harness(copy, "report", "--json", "--results", str(state)).stdout.splitlines()
    # A line is written behind its row: where it cannot be, the run ends with that row.
    assert len(stored) == (1 if option == "--json" else 2)


def test_a_cache_that_cannot_be_written(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The case is broken and the doctor lacks compilers, each with the fix."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    ran = harness(copy, "run", "-b", "seccomp", "-k", "bits[")
    assert ran.returncode == 3
    assert "set XDG_CACHE_HOME" in ran.stdout
    assert "set XDG_CACHE_HOME" in harness(copy, "doctor").stdout


WRITTEN = {
    "my-link": (("--class", "indirect"), {"ptrace": "held", "leaky-notify-textual": "bypassed"}),
    "my-race": ((), {"ptrace": "held", "leaky-ptrace-bare": "bypassed"}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_researchers_path(copy: Path, name: str) -> None:
    """What `new` writes, a race in the races' class, builds, runs and is judged as it is."""
    options, expected = WRITTEN[name]
    assert harness(copy, "new", "attack", name, *options).returncode == 0
    assert harness(copy, "new", "attack", name, *options).returncode == 2
    made = harness(copy, "new", "scenario", name)
    assert made.returncode == 0, made.stderr
    lines = copy / "researcher.jsonl"
    run = ("run", "-k", name, "-b", "ptrace", "-a", "x86_64", "--quick", "--json", str(lines))
    ran = harness(copy, *run)
    for path in copy.rglob(f"{name}.*"):
        path.unlink()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert verdicts(lines) == expected


def test_what_always_wins_is_no_race(copy: Path) -> None:
    """A race is judged by how often the leaky enforcer loses: of one that always does, no rate."""
    made = ("new", "attack", "my-link", "--race")
    assert harness(copy, *made).returncode == 0
    shutil.copy(TEMPLATES / "deterministic.c", copy / "attacks" / "race" / "my-link.c")
    assert harness(copy, "new", "scenario", "my-link").returncode == 0
    scenario = copy / "scenarios" / "race" / "my-link.yaml"
    leaky = scenario.read_text().replace(LEAKY[AttackKind.RACE], LEAKY[AttackKind.DETERMINISTIC])
    scenario.write_text(leaky)
    lines = copy / "researcher.jsonl"
    run = ("run", "-k", "my-link", "-b", "ptrace", "-a", "x86_64", "--json", str(lines))
    ran = harness(copy, *run, "--attempts", "5")
    for path in copy.rglob("my-link.*"):
        path.unlink()
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert verdicts(lines)["ptrace"] == "broken"


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A temporary directory whose name leaves room for that of a socket in it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        pytest.param(signal.SIGKILL, -signal.SIGKILL, "", id="kill"),
        pytest.param(signal.SIGINT, 130, "`harness run --resume` goes on", id="ctrl-c"),
        pytest.param(signal.SIGTERM, 130, "`harness run --resume` goes on", id="terminate"),
        pytest.param(signal.SIGHUP, 130, "`harness run --resume` goes on", id="hang-up"),
    ],
)
def test_an_interrupted_campaign_resumes(
    copy: Path,
    short_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
    status: int,
    said: str,
) -> None:
    """The results so far are kept, what can be caught says so, and --resume runs the rest only.

    What the killed run had in the temporary directory is gone then.
    """
    temporary = short_directory
    monkeypatch.setenv("TMPDIR", str(temporary))
    state = copy / f"interrupted-{how}.sqlite"
    arguments = ["run", "-b", "seccomp", "-b", "leaky", "--jobs", "1", "--results", str(state)]
    lines = copy / f"first-{how}.jsonl"
    os.mkfifo(lines)
    program = (sys.executable, "-m", "harness", *arguments, "--json", str(lines))
    messages = copy / f"messages-{how}"
    with messages.open("w") as output:
        first = subprocess.Popen(
            # A shell's background commands ignore interruptions, those under nohup hang-ups.
            ["env", "--default-signal=INT,HUP", *program],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(tree.OWN)},
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    with lines.open() as stream:
        stream.readline()  # one result is stored before its line is written
        first.send_signal(how)
        assert first.wait() == status
    assert said in messages.read_text()
    assert "Traceback" not in messages.read_text()
    resumed = harness(copy, *arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert list(temporary.iterdir()) == []
    listed = harness(copy, "report", "--list", "--json", "--results", str(state)).stdout
    assert len(listed.splitlines()) == 1
    assert "interrupted" not in listed


def test_doctor(copy: Path) -> None:
    """Every mechanism is spoken of, and every finding that lacks something has a fix."""
    said = harness(copy, "doctor", "--json")
    found = [json.loads(line) for line in said.stdout.splitlines()]
    assert {"isolation", "ptrace", "seccomp", "notify", "landlock"} <= {
        one["what"] for one in found
    }
    assert all(one["mend"] for one in found if one["state"] == "lacking")


def test_completion(copy: Path) -> None:
    """Every shell gets a script for either program."""
    for shell in ("bash", "zsh", "fish"):
        assert "_HARNESS_COMPLETE" in harness(copy, "completion", shell).stdout


def test_the_enforcer_runs_commands(tmp_path: Path) -> None:
    """The exit status is the command's own; mistakes are one line with the fix."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("default: permit\nrules:\n  - deny[eperm]: mkdir\n")
    log = tmp_path / "log"
    run = ("run", "--backend", "seccomp", "--policy", str(policy), "--log", str(log), "--")
    assert harness(tmp_path, *run, "sh", "-c", "exit 7", module="enforcer").returncode == 7
    denied = harness(tmp_path, *run, "mkdir", "made", module="enforcer")
    assert denied.returncode == 1
    assert not (tmp_path / "made").exists()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.count("enforcing") == 2
    assert harness(tmp_path, *run, "no-such-command", module="enforcer").returncode == 127
    assert harness(tmp_path, *run, str(policy), module="enforcer").returncode == 126
    policy.write_text("default: permitt\n")
    said = harness(tmp_path, *run, "true", module="enforcer")
    assert said.returncode == 2
    assert f"{policy}:1:10:" in said.stderr
    policy.write_text('default: permit\nrules:\n  - deny: openat\n    when: filename eq "/x"\n')
    said = harness(tmp_path, *run, "true", module="enforcer")
    assert said.returncode == 2
    assert "--partial" in said.stderr


def test_pytest_goes_on_without_a_broken_file(copy: Path) -> None:
    """A wrong manifest and a wrong scenario are an error each, and the sound scenario runs."""
    manifest = copy / "attacks" / "abi" / "wrong.yaml"
    manifest.write_text("nmae: wrong\n")
    directory = copy / "scenarios" / "abi"
    (directory / "of_it.yaml").write_text("title: x\nattack: abi/wrong\npolicy: {rules: []}\n")
    (directory / "titled.yaml").write_text("titel: x\n")
    words = ("-p", "no:cacheprovider", "-k", "seccomp and x86_64 and not leaky and not 64.yaml")
    said = harness(copy, "-q", "scenarios", *words, module="pytest")
    for path in (manifest, directory / "of_it.yaml", directory / "titled.yaml"):
        path.unlink()
    assert re.search(r"\b1 passed.* 2 errors", said.stdout), said.stdout
    assert "unknown key 'nmae'" in said.stdout
    assert "unknown key 'titel'" in said.stdout


@pytest.mark.parametrize(
    ("words", "begun", "wanted"),
    [
        ("run -b", "leaky-seccomp-w", {"leaky-seccomp-wide-compare"}),
        ("run -b", "leak", {"leaky"}),
        ("run -k", "abi/upper-bits", {"abi/upper-bits", "abi/upper-bits-64"}),
        ("explain", "B10", {"B10"}),
        ("explain", "abi/upper-bits-", {"abi/upper-bits-64"}),
        ("new scenario x --attack", "race/path", {"race/path-race"}),
        ("repro", SEEN, {f"{SEEN}-{kernel_release()}]"}),
    ],
)
def test_names_are_completed(
    copy: Path, monkeypatch: pytest.MonkeyPatch, words: str, begun: str, wanted: set[str]
) -> None:
    """As a shell asks for them: what begins so, of the tree that one is in."""
    monkeypatch.chdir(copy)
    completion = ShellComplete(cli, {}, "harness", "_HARNESS_COMPLETE")
    found = {each.value for each in completion.get_completions(words.split(), begun)}
    assert wanted <= found
    assert all(each.startswith(begun) for each in found)


def test_completion_outside_of_a_clone_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No names, no message into somebody's command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tree, "OWN", tmp_path)
    completion = ShellComplete(cli, {}, "harness", "_HARNESS_COMPLETE")
    assert completion.get_completions(["explain"], "race/") == []
    assert capfd.readouterr() == ("", "")


def test_a_closed_standard_output_is_no_error(copy: Path) -> None:
    """Python has no stream then, and what is forked has none to flush."""
    command = [sys.executable, "-m", "harness", "explain", "abi/upper-bits"]
    said = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(tree.OWN)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
