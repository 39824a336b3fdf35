"""Policies of a directory: which files count, how they are read, and for whom."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from enforcer.cli import cli
from enforcer.cli.identity import parse_ids
from enforcer.policy.directory import Source, for_command
from enforcer.policy.problem import PolicyError

LS = "Policy: /bin/ls, Emulation: native\n\tnative-fsread: permit\n\tnative-stat: permit\n"


def test_files_are_read_by_what_they_hold_and_the_first_directory_counts(tmp_path: Path) -> None:
    """Systrace's have no suffix; hidden files, copies and templates are none."""
    own, system = tmp_path / "own", tmp_path / "system"
    for directory in (own, system):
        directory.mkdir()
        (directory / "bin_ls").write_text(LS)
    (own / "bin_cat").write_text("policy: /bin/cat\ndefault: deny[eperm]\nrules: []\n")
    (own / "bin_cat~").write_text("rubbish")
    (own / ".bin_cat").write_text("rubbish")
    (own / "templates").mkdir()
    source = Source(files=(system / "bin_ls",), directories=(own, system, tmp_path / "none"))
    found = source.load_all()
    assert [policy.binary for policy in found] == ["/bin/ls", "/bin/cat", "/bin/ls", "/bin/ls"]
    assert found[0].source == str(system / "bin_ls")


def test_every_broken_file_is_told_of(tmp_path: Path) -> None:
    """Before anything is started."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("Policy: /x, Emulation: native\n\tnative-stat: perhaps\n")
    with pytest.raises(PolicyError) as told:
        Source(directories=(tmp_path,)).load_all()
    assert {Path(problem.source).name for problem in told.value.problems} == {"a", "b"}


@pytest.mark.parametrize(("has_aliases", "count"), [(True, True), (False, False)])
def test_without_aliases_rules_on_real_names_are_left(
    tmp_path: Path, has_aliases: bool, count: bool
) -> None:
    """As systrace -u."""
    (tmp_path / "bin_ls").write_text(LS)
    (policy,) = Source(directories=(tmp_path,), has_aliases=has_aliases).load_all()
    assert bool(policy.rules_on.get("fsread")) is count
    assert policy.rules_on["stat"]


@pytest.mark.parametrize(("rules", "count"), [("[]", 1), ("\n  - permit: execve", 2)])
def test_who_executes_nothing_needs_no_other_policy(tmp_path: Path, rules: str, count: int) -> None:
    """For mechanisms that do not see what is executed."""
    for name in ("a", "b"):
        text = f"policy: /{name}\ndefault: deny[eperm]\nrules: {rules}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    policies = Source(directories=(tmp_path,)).load_all()
    assert len(for_command(policies, "/a")) == count


def test_no_policy_is_told_with_how_to_make_one(tmp_path: Path) -> None:
    """An empty directory is no permission."""
    done = CliRunner().invoke(cli, ["run", "-d", str(tmp_path), "--", "true"])
    assert done.exit_code == 2
    assert "enforcer learn -- true" in done.output


def test_ids_are_numbers_or_a_user() -> None:
    """`-c UID:GID`, as systrace had it."""
    context, option = click.Context(cli), click.Option(["-c"])
    assert parse_ids(context, option, "12:34") == (12, 34)
    assert parse_ids(context, option, "root") == (0, 0)
    with pytest.raises(click.BadParameter, match="UID:GID"):
        parse_ids(context, option, "no such user")


def test_a_pipe_is_not_read_to_tell_how_it_is_written(tmp_path: Path) -> None:
    """Its text comes once: what it is must be said, and nothing of it is taken before."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(PolicyError, match="does not tell how it is written\n    say it: --dialect"):
        Source(files=(pipe,)).load_all()
