"""A policy, the one that convert makes of it, and explain: one answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.cli.convert import convert
from enforcer.cli.explain import explain
from tests.mechanisms.sandbox import run

SYSTRACE = """\
Policy: {program}, Emulation: native
\tnative-unlink: filename match "{denied}" then deny[exdev]
\tnative-rmdir: true then deny[enotdir]
\tnative-fsread: true then permit
\tnative-fswrite: true then permit
"""

REMOVING = """
import errno, os, sys
for act, name in (
    (os.unlink, "denied/file"), (os.unlink, "free"), (os.rmdir, "directory"),
):
    for descriptor in (None, os.open(".", os.O_PATH)):
        try:
            print(act(name, dir_fd=descriptor))
        except OSError as error:
            print(errno.errorcode[error.errno])
"""

CALLS = (
    ("unlink", "filename={}/denied/file", "unlink: deny[exdev]"),
    ("unlinkat", "filename={}/denied/file", "unlinkat: deny[exdev]"),
    ("unlinkat", "filename={}/free", "unlinkat: permit"),
)


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
@pytest.mark.parametrize("is_converted", [False, True], ids=["systrace", "strict"])
def test_old_names_hold_for_todays_calls(backend: str, is_converted: bool, tmp_path: Path) -> None:
    """A rule on unlink holds for unlinkat in a run, when explained, and converted to YAML."""
    for name in ("denied", "directory"):
        (tmp_path / name).mkdir()
    for name in ("denied/file", "free"):
        (tmp_path / name).touch()
    program = Path(sys.executable).resolve()
    text = SYSTRACE.format(program=program, denied=f"{tmp_path}/denied")
    text = text.replace("\tnative-fswrite", others() + "\tnative-fswrite")
    policy = tmp_path / "written.systrace"
    policy.write_text(text)
    if is_converted:
        converted = CliRunner().invoke(convert, [str(policy)])
        assert converted.exit_code == 0
        policy = tmp_path / "converted.yaml"
        policy.write_text(text := converted.stdout)
    ran = run(backend, text, [program, "-S", "-c", REMOVING], tmp_path)
    assert ran.stdout.split() == ["EXDEV", "EXDEV", "None", "ENOENT", "ENOTDIR", "ENOTDIR"], (
        ran.stderr
    )
    for call, argument, said in CALLS:
        explained = CliRunner().invoke(explain, [str(policy), call, argument.format(tmp_path)])
        assert said in explained.stdout


def others() -> str:
    """Plain permits of what Python needs to run, which linux-runtime does not have."""
    needed = ("execve", "ioctl", "fcntl", "dup", "getcwd", "write", "epoll_create", "futex")
    return "".join(f"\tnative-{call}: permit\n" for call in needed)
