"""Which file a command without a slash means."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.mechanisms.contract import MechanismName
from tests.mechanisms.sandbox import run


@pytest.mark.parametrize("mechanism", [name.value for name in MechanismName])
def test_a_command_is_not_looked_for_in_the_directory(mechanism: str, tmp_path: Path) -> None:
    """A file of the working directory is no command: nothing is found, as execvp has it."""
    program = tmp_path / "a-command-of-ours"
    program.write_text("#!/bin/sh\necho executed\n")
    program.chmod(0o755)
    ran = run(mechanism, "default: permit\nrules: []\n", [program.name], tmp_path)
    assert (ran.status, ran.stdout) == (127, ""), ran.stderr
