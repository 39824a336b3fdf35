"""A sandbox that the laboratory has never heard of, and files of the user's that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import tree
from harness.backends import backend
from harness.backends.external import External
from harness.cli.load import chosen_targets
from harness.places import isolation
from harness.places.choice import Wish
from harness.places.features import lacking
from harness.places.isolation import Isolation
from tests.harness.toys import ACT, LEAKY, POLICY, harness_run, small_tree

SCENARIO = f"title: a toy\nattack: {ACT}\nvariants: [honest]\nleaky: [{LEAKY}]\n{POLICY}"
STRANGER = """\
title: a shell script around unshare and bind mounts
version: [unshare, --version]
needs:
  binaries: [unshare]
  packages: {debian: util-linux}
  features: [userns]
files:
  hide.sh: |
    # hide.sh EMPTY [DIRECTORY...] -- COMMAND: it sees the directories empty
    set -e
    if [ "$1" != inside ]; then
        mkdir "$1"
        exec unshare --user --map-root-user --mount sh "$0" inside "$@"
    fi
    shift
    empty=$1
    shift
    while [ "$1" != -- ]; do
        mount --bind "$empty" "$1"
        shift
    done
    shift
    exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
command: [sh, "${state}/hide.sh", "${state}/empty", "${grants}", --, "${command}"]
outside: everything
denials:
  - access: all
    words: ["${path}"]
    only: directories
errno: [ENOENT]
witness: ["namespace:mnt", "namespace:user", probe]
"""

needs_users = pytest.mark.skipif(
    bool(lacking(["userns"])) or isolation.available() is Isolation.PLAIN,
    reason="this kernel gives no user namespaces",
)

CHANGED = {
    "as it is": ("", "", "held", f"{LEAKY} lost"),
    "hides nothing": ('mount --bind "$empty" "$1"', ":", "not enforcing", "was not denied"),
    "says that it filters": (
        "probe]",
        "seccomp, probe]",
        "not enforcing",
        "from outside it is not seen that it confines: seccomp: 0",
    ),
    "refuses otherwise": (
        "errno: [ENOENT]",
        "errno: [EACCES]",
        "broken",
        "ended with ENOENT: this backend's refusals are EACCES",
    ),
    "never starts": ("set -e", "exit 3", "broken", "ended before its target came to the gate"),
    "cannot be started": (
        "command: [sh,",
        "command: [sh-of-nobody,",
        "broken",
        "mine.yaml: `sh-of-nobody` cannot be started: No such file or directory",
    ),
    "cannot be prepared": (
        "outside:",
        "prepare: [[program-of-nobody]]\noutside:",
        "broken",
        "mine.yaml: program-of-nobody: [Errno 2] No such file or directory",
    ),
    "is not installed": (
        "binaries: [unshare]",
        "binaries: [unshare-of-nobody]",
        "inapplicable",
        "unshare-of-nobody is not installed (apt-get install util-linux)",
    ),
}


@needs_users
@pytest.mark.parametrize("change", CHANGED)
def test_a_stranger_is_judged_by_one_file(change: str, tmp_path: Path) -> None:
    """One YAML file outside of the clone, and nothing edited: judged with controls, a reference,
    and a witness that is not its own word.
    """
    old, new, verdict, because = CHANGED[change]
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    described = tmp_path / "mine.yaml"
    described.write_text(STRANGER.replace(old, new) if old else STRANGER)
    assert not described.is_relative_to(tree.OWN)
    ran = harness_run(root, "--backend", str(described))
    (row,) = [row for row in ran.rows if row["backend"] == "mine"]
    assert (row["verdict"], because in str(row["reason"])) == (verdict, True), row["reason"]
    if verdict in ("held", "broken"):
        assert ran.verdicts["replication/stranger", LEAKY] == "bypassed"


ALLOW_LIST = """\
policy:
  default: permit
  rules:
    - permit: [fsread, fswrite, execve, execveat]
      when: filename match "${allowed_dir}/*"
    - deny[eacces]: [fsread, fswrite, execve, execveat]
"""


@needs_users
def test_what_hides_all_can_start_nothing(tmp_path: Path) -> None:
    """A list of what is permitted needs grants: without any it is inexpressible, not broken."""
    scenario = SCENARIO.replace(POLICY, ALLOW_LIST)
    root = small_tree(tmp_path / "tree", {"replication/stranger": scenario})
    described = tmp_path / "mine.yaml"
    described.write_text(STRANGER)
    ran = harness_run(root, "--backend", str(described))
    (row,) = [row for row in ran.rows if row["backend"] == "mine"]
    assert row["verdict"] == "inexpressible"
    assert "no program could be started" in str(row["reason"])


MISTAKES = {
    "a key": ("title:", "titel:", ":1:1: unknown key 'titel'"),
    "an access": ("access: all", "access: [reed]", "did you mean read?"),
    "an errno": ("[ENOENT]", "[ENOTHING]", "'ENOTHING' is not an errno"),
    "a witness": ("probe]", "prob]", "did you mean probe?"),
    "a placeholder": ('"${path}"', '"${paht}"', "unknown placeholder ${paht}"),
    "no command": ('"${command}"]', "]", "`command` never runs the program"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_description_is_wrong_at_its_line(mistake: str, tmp_path: Path) -> None:
    """A mistake in a description is told with file, line and fix before anything runs."""
    old, new, said = MISTAKES[mistake]
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    described = tmp_path / "mine.yaml"
    described.write_text(STRANGER.replace(old, new))
    ran = harness_run(root, "--backend", str(described))
    assert (ran.status, ran.rows) == (2, ())
    assert str(described) in ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


MODULE = """\
from harness.backends import Ours


class Mine(Ours):
    def compile(self, policies, abis):
        return undefined_here


BACKEND = Mine("notify")
"""


SUPERVISES = """\
from enforcer.mechanisms.notify import Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.mechanism import Ptrace
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends import Ours


class MyWorker(Worker):
    def judge(self, *arguments):
        return undefined_here


class MyNotify(Notify):
    make_worker = MyWorker


class MyAct(Act):
    def decide(self, *arguments, **named):
        return undefined_here


class MyTracer(Tracer):
    make_act = MyAct

    def __init__(self, config, log):
        super().__init__(config, log)
        self.ways = {}


class Unborn(Tracer):
    def __init__(self, config, log):
        undefined_here


class MyPtrace(Ptrace):
    make_tracer = MyTracer


class UnbornPtrace(Ptrace):
    make_tracer = Unborn


"""
FAILS = {
    "a supervisor that fails": ("MyNotify", 11, "the supervisor failed"),
    "a tracer that fails": ("MyPtrace", 20, "the tracer failed"),
    "a tracer that cannot begin": ("UnbornPtrace", 33, "launching"),
}


@pytest.mark.parametrize("failure", FAILS)
def test_a_module_that_fails_under_way_is_broken_at_its_line(failure: str, tmp_path: Path) -> None:
    """Neither overblocked nor held, though nothing goes through any more: its line is told."""
    enforcer, line, said = FAILS[failure]
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    module = tmp_path / "mine.py"
    module.write_text(f'{SUPERVISES}BACKEND = Ours("mine", enforcer={enforcer}())\n')
    ran = harness_run(root, "--backend", str(module))
    (reason,) = [str(row["reason"]) for row in ran.rows if row["backend"] == "mine"]
    assert ran.verdicts["replication/stranger", "mine"] == "broken"
    assert reason.endswith(
        f" run: {said}: {module}:{line}: NameError: name 'undefined_here' is not defined"
    )


def test_a_broken_module_is_an_error_of_its_own_cases(tmp_path: Path) -> None:
    """A mistake in a backend's module names file and line, and others are judged beside it."""
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    module = tmp_path / "mine.py"
    module.write_text(MODULE)
    ran = harness_run(root, "--backend", str(module), "--backend", "leaky")
    reasons = {str(row["backend"]): str(row["reason"]) for row in ran.rows}
    assert ran.verdicts["replication/stranger", "mine"] == "broken"
    assert ran.verdicts["replication/stranger", LEAKY] == "bypassed"
    assert reasons["mine"].startswith(f"{module}:6: NameError")
    assert "Traceback" not in ran.stdout + ran.stderr


VERSIONS = {
    "echo box 1.21": "box 1.21",
    "echo no place for its state >&2; exit 1": "no place for its state",
    "exit 3": "ended with status 3",
}


@pytest.mark.parametrize("command", VERSIONS)
def test_a_version_that_is_not_told_says_why(command: str, tmp_path: Path) -> None:
    """In one line of what the command said, and of how it ended."""
    described = tmp_path / "mine.yaml"
    described.write_text(STRANGER.replace("[unshare, --version]", f'[sh, -c, "{command}"]'))
    found = backend(str(described))
    assert isinstance(found, External)
    version = found.version()
    assert version.startswith("unknown: ") is ("exit" in command)
    assert VERSIONS[command] in version
    assert "\n" not in version


NO_BACKEND = {
    "nothing": ("", "it says no BACKEND"),
    "a number": ("BACKEND = 42\n", "its BACKEND, of int, has no `name`"),
    "another type": (
        'from harness.backends import Ours\n\n\nclass Mine(Ours):\n    needs = "userns"\n\n\n'
        'BACKEND = Mine("notify")\n',
        "`needs` of its BACKEND is not of Needs",
    ),
    "no plan": (MODULE.replace("undefined_here", '{"a": 1}'), "gave no Plan: {'a': 1}"),
    "a plan that is not JSON": (
        MODULE.replace(
            "undefined_here", 'Plan(mechanism="none", machine="x86_64", data={"a": {1}})'
        ).replace("\n", "\nfrom enforcer.mechanisms.contract import Plan\n", 1),
        "TypeError: Object of type set is not JSON serializable",
    ),
    "a witness that nobody asks": (
        "from harness.backends import Ours\n\n\nclass Mine(Ours):\n"
        "    def witness(self, plan, stage, met):\n        return ()\n\n\n"
        'BACKEND = Mine("notify")\n',
        "`witness` of its BACKEND is asked only where the target waits at a gate",
    ),
    "an end": ("import sys\n\nsys.exit(0)\n", ":3: SystemExit: 0"),
}


@pytest.mark.parametrize("wrong", NO_BACKEND)
def test_what_is_no_backend_is_an_error_of_its_own_cases(wrong: str, tmp_path: Path) -> None:
    """Of a module's BACKEND, of what it gives back, or that it ends the program; others are judged
    beside it.
    """
    text, said = NO_BACKEND[wrong]
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    module = tmp_path / "mine.py"
    module.write_text(text)
    ran = harness_run(root, "--backend", str(module), "--backend", "leaky")
    reasons = {str(row["backend"]): str(row["reason"]) for row in ran.rows}
    assert ran.verdicts["replication/stranger", "mine"] == "broken"
    assert ran.verdicts["replication/stranger", LEAKY] == "bypassed"
    assert reasons["mine"].startswith(str(module))
    assert said in reasons["mine"]
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_tree_without_scenarios_is_said(tmp_path: Path) -> None:
    """Where somebody begins with an attack, nothing else is run, and the error says why."""
    root = small_tree(tmp_path / "tree", {})
    ran = harness_run(root, "--backend", "ptrace")
    assert ran.status == 2
    assert f"there is no scenario in {root}: `harness new scenario`" in ran.stderr


def test_an_attack_that_does_not_compile_is_an_error_of_its_own_cases(tmp_path: Path) -> None:
    """The compiler's line that names the cause stands in the reason, and others are judged."""
    other = SCENARIO.replace(ACT, "race/toy").replace("[honest]", "[claims]")
    root = small_tree(tmp_path / "tree", {"replication/own": SCENARIO, "race/other": other})
    program = root / "attacks" / f"{ACT}.c"
    program.write_text(program.read_text() + "\nint wrong = undeclared_here;\n")
    ran = harness_run(root, "--backend", "leaky", "--attempts", "20")
    reasons = {str(row["scenario"]): str(row["reason"]) for row in ran.rows}
    assert ran.verdicts["replication/own", LEAKY] == "broken"
    assert ran.verdicts["race/other", LEAKY] == "bypassed"
    assert f"{program}:" in reasons["replication/own"].partition("\n")[0]
    assert "undeclared_here" in reasons["replication/own"].partition("\n")[0]
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_mistake_in_a_manifest_is_an_error_of_its_own_cases(tmp_path: Path) -> None:
    """It stands in the reason with its place, and before the run; others are judged. A scenario
    may name a variant of it that nobody can know.
    """
    other = SCENARIO.replace(ACT, "race/toy").replace("[honest]", "[claims]")
    root = small_tree(tmp_path / "tree", {"replication/own": SCENARIO, "race/other": other})
    manifest = root / "attacks" / f"{ACT}.yaml"
    text = manifest.read_text()
    manifest.write_text(text.replace("effect: ", "effekt: "))
    place = f"{manifest}:{text.splitlines().index('effect: read') + 1}:1: unknown key 'effekt'"
    ran = harness_run(root, "--backend", "leaky", "--attempts", "20")
    reasons = {str(row["scenario"]): str(row["reason"]) for row in ran.rows}
    assert ran.verdicts["replication/own", LEAKY] == "broken"
    assert ran.verdicts["race/other", LEAKY] == "bypassed"
    assert reasons["replication/own"].startswith(place)
    assert place in ran.stderr
    assert ran.status == 3


def test_a_leaky_backend_that_no_scenario_names_is_said(tmp_path: Path) -> None:
    """Nothing would be run: the error says where it has to be named."""
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    ran = harness_run(root, "--backend", "leaky-notify-bare")
    assert ran.status == 2
    assert "no scenario names leaky-notify-bare under `leaky`" in ran.stderr


def test_a_backend_that_the_scenarios_leave_out_is_said(tmp_path: Path) -> None:
    """Those that name their backends themselves run with no other."""
    scenario = SCENARIO.replace("leaky:", "backends: [ptrace]\nleaky:")
    root = small_tree(tmp_path / "tree", {"replication/stranger": scenario})
    ran = harness_run(root, "--backend", "bwrap")
    assert ran.status == 2
    assert "under `backends`, replication/stranger does not name bwrap" in ran.stderr


def test_guests_are_given_the_packages_of_others(tmp_path: Path) -> None:
    """Those that the descriptions name, and no driver but snapshots has a root made of packages."""
    own = tmp_path / "own.yaml"
    own.write_text(STRANGER.replace("debian: util-linux", "debian: own-sandbox"))
    wish = Wish(arches=("arm",))
    (machine,) = chosen_targets(wish, ("ptrace", "crun", "landlock-py", str(own)))
    assert machine.packages == ("crun", "own-sandbox")
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    ran = harness_run(root, "--backend", "bwrap", "--arch", "arm", "--vm", "vng")
    assert ran.status == 2
    assert "bwrap is judged here or in snapshots" in ran.stderr


@needs_users
@pytest.mark.parametrize("word", ["${here}", "ABSOLUTE"])
def test_a_sandbox_s_own_program_is_seen_in_closed_directories(word: str, tmp_path: Path) -> None:
    """A run has a /tmp of its own, and root's directories are closed to its user: what the
    description names, by name or as its neighbour, is there all the same.
    """
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    script, rest = STRANGER.split("files:\n  hide.sh: |\n")[1].split("command:")
    (closed / "hide.sh").write_text(script)
    (closed / "loop").symlink_to("nowhere")
    named = str(closed / "hide.sh") if word == "ABSOLUTE" else f"{word}/hide.sh"
    described = closed / "mine.yaml"
    described.write_text(
        STRANGER.split("files:")[0] + "command:" + rest.replace("${state}/hide.sh", named)
    )
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    ran = harness_run(root, "--backend", str(described))
    (row,) = [row for row in ran.rows if row["backend"] == "mine"]
    assert row["verdict"] == "held", row["reason"]


@needs_users
def test_a_sandbox_s_own_program_must_be_where_a_run_sees_it(tmp_path: Path) -> None:
    """What is missing is named."""
    own = tmp_path / "own.yaml"
    own.write_text(STRANGER.replace("command: [", "command: [/tmp/nobody/made/this, "))
    root = small_tree(tmp_path / "tree", {"replication/stranger": SCENARIO})
    ran = harness_run(root, "--backend", str(own), "--attempts", "20")
    reasons = [str(row["reason"]) for row in ran.rows if row["verdict"] == "broken"]
    assert reasons
    assert all(f"{own}: /tmp/nobody/made/this is not there" in reason for reason in reasons)
