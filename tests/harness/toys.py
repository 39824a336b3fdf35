"""Small trees with one dishonest program, and `harness` run in them.

The program opens the denied name with one slash more, which `leaky-notify-textual` lets through:
how often that one loses is exact, whatever the machine is doing meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from harness import tree

RUN_S = 400.0
LEAKY = "leaky-notify-textual"
TOY = r"""
#include "attack.h"

#include <signal.h>
#include <sys/stat.h>

static struct run run;

static bool is(const char *variant)
{
	return !strcmp(run.variant, variant);
}

static int slashed(void)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "/%s", run.denied);
	return raw_open(name, O_RDONLY);
}

static void direct(void)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s%s", run.denied, is("typo") ? "t" : "");
	if (is("permissions"))
		chmod(name, 0);
	run_plain_read(&run, name);
}

static void attack(void)
{
	run_learn_decoy(&run);
	while (run_next(&run)) {
		bool odd = run.limit == 1 || run.attempts % 2;
		int fd = !odd ? raw_open(run.allowed, O_RDONLY) : PLAIN ? raw_open(run.denied, O_RDONLY)
									: slashed();

		if (fd < 0 && is("killed"))
			raise(SIGKILL);
		run_opened(&run, fd);
		if (fd < 0 && is("claims"))
			run.attempts = run.limit;
	}
}

int main(int argc, char **argv)
{
	run = run_begin(argc, argv);
	if (run.mode == MODE_BENIGN)
		run_plain_read(&run, run.allowed);
	else if (run.mode == MODE_DIRECT)
		direct();
	else
		attack();
	run_end(&run);
}
"""
MANIFEST = """\
name: toy
title: the denied name with one slash more
catalogue: [A15]
effect: read
kind: {kind}
abis: [{abi}]
variants: [honest, typo, permissions, killed, claims]
sentinel: file
direct_call: openat
source: [our own]
"""
POLICY = """\
policy:
  default: permit
  rules:
    - deny[eacces]: [fsread, fswrite]
      when: filename match "${denied_dir}/*"
    - permit: [fsread, fswrite]
      when: filename match "/*"
"""
ACT, RACE = "replication/toy", "race/toy"


def small_tree(root: Path, scenarios: Mapping[str, str]) -> Path:
    """A tree with the toy as a single act and as a race, and these scenarios by id."""
    shutil.copytree(tree.OWN / "attacks" / "include", root / "attacks" / "include")
    for attack, kind in ((ACT, "deterministic"), (RACE, "race")):
        manifest = root / "attacks" / f"{attack}.yaml"
        manifest.parent.mkdir()
        manifest.write_text(MANIFEST.format(kind=kind, abi=native().abis[0].name))
        write_toy(root, attack)
    for name, text in scenarios.items():
        path = root / "scenarios" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def write_toy(root: Path, attack: str, *, plain: bool = False) -> None:
    """The program of `attack`; a plain one asks for the denied name as it is, in vain."""
    path = root / "attacks" / f"{attack}.c"
    path.write_text(TOY.replace("PLAIN", "true" if plain else "false"))


def scenario(
    attack: str,
    *,
    variant: str = "honest",
    backends: str = "notify",
    leaky: str = LEAKY,
    policy: str = POLICY,
) -> str:
    """The text of a scenario of the toy."""
    return (
        f"title: a toy\nattack: {attack}\nvariants: [{variant}]\nbackends: [{backends}]\n"
        f"leaky: [{leaky}]\n{policy}"
    )


def command(words: str, more: str = "") -> str:
    """The text of a scenario that compares a command with its bare run."""
    return f"title: a command\ncommand: {words}\nbackends: [notify]\n{POLICY}{more}"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One call of `harness`. `rows` are its results as `--json` writes them."""

    status: int
    stdout: str
    stderr: str
    rows: tuple[Mapping[str, object], ...]

    @property
    def verdicts(self) -> dict[tuple[str, str], str]:
        """By scenario and backend."""
        return {
            (str(row["scenario"]), str(row["backend"])): str(row["verdict"]) for row in self.rows
        }


def harness_run(root: Path, *arguments: str) -> Ran:
    """`harness run` in the tree, its results kept there."""
    lines = root / "rows.jsonl"
    lines.unlink(missing_ok=True)
    done = call(root, "harness", "run", "-j", "2", "--json", str(lines), *arguments)
    rows = map(json.loads, lines.read_text().splitlines() if lines.exists() else ())
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr, rows=tuple(rows))


def call(root: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of ours in the tree, on its own results."""
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(root / "state"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env={**environment, "PYTHONPATH": str(tree.OWN)},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def results(root: Path) -> Path:
    """Where the tree's results are."""
    return root / "state" / "interposition-lab" / "results.sqlite"
