"""Scripts: what the kernel executes in their place."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 256
"""What the kernel looks at of a file (BINPRM_BUF_SIZE)."""

_SHEBANG = b"#!"
_ENDS_WORD = re.compile(rb"[ \t\0]")


def interpreter_of(path: str) -> str | None:
    """The program that executes the file: that of a script's first line; None: it is no script."""
    try:
        with Path(path).open("rb") as file:
            line = script_line(file.read(HEAD_BYTES))
    except OSError:
        return None
    return None if line is None else line[0].decode(errors="surrogateescape")


def script_line(head: bytes) -> tuple[bytes, bytes | None] | None:
    """What the kernel takes a file that begins with `head` to be interpreted by, and with what.

    None: no script, or one that the kernel does not execute (ENOEXEC). As load_script
    (fs/binfmt_script.c) does it: a line that is longer than the buffer counts if the interpreter's
    name ends within it, and both words are C strings, so that whatever follows a NUL is no part of
    them, and nothing of the line:

        #!/bin/denied\0x\n   ->   /bin/denied
    """
    if not head.startswith(_SHEBANG):
        return None
    text = head[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")
    end = text.find(b"\n")
    if end < 0:
        name = text[2:-1].lstrip(b" \t")
        if not name or not _ENDS_WORD.search(name + text[-1:]):
            return None
        end = HEAD_BYTES - 1
    line = text[2:end].strip(b" \t")
    interpreter, *rest = _ENDS_WORD.split(line, maxsplit=1)
    separator = line[len(interpreter) : len(interpreter) + 1]
    has_option = separator in (b" ", b"\t")
    option = rest[0].lstrip(b" \t").split(b"\0", 1)[0] if has_option else None
    return (interpreter, option) if line else None
