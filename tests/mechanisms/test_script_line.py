"""The first line of a script means to the tracer what it means to the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enforcer.supervision.scripts import script_line
from harness import process
from tests.mechanisms.sandbox import program

LONG = b"/" + b"x" * 300

LINES = {
    "plain": b"#!{} one\n",
    "spaces": b"#! \t {} \t one two \t\n",
    "no option": b"#!{}\nmore",
    "no line end": b"#!{} one",
    "zero byte behind the name": b"#!{}\0x\n",
    "zero byte in the option": b"#!{} one\0two\n",
    "zero byte before the option": b"#!{} \0two\n",
    "zero byte behind the line": b"#!{} one\n\0",
    "longer than the buffer": b"#!{} " + b"o" * 400 + b"\n",
    "name longer than the buffer": b"#!" + LONG + b"\n",
    "no name": b"#! \t\n",
    "nothing": b"#!",
}


def _as_run(script: Path) -> list[str] | None:
    """The interpreter's arguments before the script's name; None: the kernel executes nothing."""
    code = "import os, sys\ntry: os.execv(sys.argv[1], ['x'])\nexcept OSError: sys.exit(3)"
    done = process.run(["/usr/bin/python3", "-I", "-S", "-c", code, str(script)])
    if done.status == 3:
        return None
    return done.stdout.split("|")[:-1]


@pytest.mark.parametrize("title", LINES)
def test_a_first_line_is_read_as_the_kernel_reads_it(title: str, tmp_path: Path) -> None:
    """Interpreter and option, or none, are those with which the kernel starts it."""
    shows = program("words")
    script = tmp_path / "script"
    script.write_bytes(LINES[title].replace(b"{}", str(shows).encode()))
    script.chmod(0o755)
    found = script_line(script.read_bytes())
    ran = _as_run(script)
    if ran is None:
        assert found is None or not Path(os.fsdecode(found[0])).is_file()
    else:
        assert found is not None
        words = [found[0], *([] if found[1] is None else [found[1]])]
        assert [word.decode() for word in words] == ran
