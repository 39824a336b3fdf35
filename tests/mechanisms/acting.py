"""Small acts, each by a child of its own, under a mechanism or without any."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from enforcer.arch import native
from enforcer.syscalls import table
from harness import process
from tests.mechanisms.sandbox import Ran, run

_ACTOR = """\
import ctypes, errno, fcntl, json, mmap, os, select, signal, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
numbers, acts = json.loads(sys.argv[1])
HERE, PAGE, BAD = -100, mmap.PAGESIZE, 8
kept = []

def at(data):
    kept.append(ctypes.create_string_buffer(data, max(1, len(data))))
    return ctypes.addressof(kept[-1])

def word(value):
    if isinstance(value, str):
        value = value.encode()
    return ctypes.c_long(at(value + b"\\0") if isinstance(value, bytes) else value)

def call(name, *values):
    result = libc.syscall(ctypes.c_long(numbers[name]), *map(word, values))
    return result if result >= 0 else -ctypes.get_errno()

def at_page_end(data):
    pages = (len(data) + PAGE - 1) // PAGE + 1
    start = libc.mmap(None, pages * PAGE, 3, 0x22, -1, 0)
    libc.munmap(ctypes.c_void_p(start + (pages - 1) * PAGE), PAGE)
    place = start + (pages - 1) * PAGE - len(data)
    ctypes.memmove(place, data, len(data))
    return place

def inet(port, host="127.0.0.1"):
    return struct.pack("=H", 2) + struct.pack(">H4s8x", port, socket.inet_aton(host))

def path(name):
    return struct.pack("=H", 1) + name.encode() + b"\\0"

def message(address, *parts, control=b"", length=None):
    vector = b"".join(struct.pack("PN", at(part), len(part)) for part in parts)
    length = len(address) if length is None else length
    return struct.pack("PIPNPNi0P", at(address) if address else 0, length, at(vector), len(parts),
                       at(control) if control else 0, len(control), 0)

def datagram(family=socket.AF_INET):
    kept.append(socket.socket(family, socket.SOCK_DGRAM))
    return kept[-1].fileno()

def stream(family=socket.AF_INET):
    kept.append(socket.socket(family, socket.SOCK_STREAM))
    return kept[-1].fileno()

def waited(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def answer(title, act):
    try:
        result = act()
    except OSError as error:
        result = -error.errno
    os.write(1, f"{title}\\t{result!r}\\n".encode())
"""

_LOOP = """
for title, text in acts:
    pid = os.fork()
    if pid == 0:
        names = dict(globals())
        exec("def act():\\n" + text, names)
        answer(title, names["act"])
        os._exit(0)
    ended = waited(pid)
    if ended:
        os.write(1, f"{title}\\tended {ended}\\n".encode())
"""

Acts = Mapping[str, str]
"""Title to Python source, an expression or a body with `return`; see _ACTOR for what it may use."""

Outcomes = Mapping[str, str]
"""Title to what came of it: the repr of a result, minus an errno, or `ended` with a status."""


def run_acts(
    backend: str,
    policy: str | Sequence[str],
    acts: Acts,
    directory: Path,
    *,
    defences: str = "all",
    options: Sequence[str] = ("--partial",),
    prelude: str = "",
) -> tuple[Ran, Outcomes]:
    """The acts one after the other in `directory`, each in a child of a program under `backend`."""
    command = _command(acts, prelude)
    ran = run(backend, policy, command, directory, defences=defences, options=options)
    return ran, _outcomes(acts, ran.stdout, ran.stderr)


def bare_acts(acts: Acts, directory: Path, *, prelude: str = "") -> Outcomes:
    """The same without an enforcer."""
    done = process.run(_command(acts, prelude), cwd=directory)
    return _outcomes(acts, done.stdout, done.stderr)


def _command(acts: Acts, prelude: str) -> list[str]:
    bodies = [(title, _body(text)) for title, text in acts.items()]
    words = json.dumps([dict(table(native().abis[0].name)), bodies])
    return [sys.executable, "-I", "-S", "-c", _ACTOR + prelude + _LOOP, words]


def _body(text: str) -> str:
    text = textwrap.dedent(text).strip()
    return textwrap.indent(text if "return " in text else f"return {text}", "    ")


def _outcomes(acts: Acts, output: str, errors: str) -> Outcomes:
    found = dict(line.split("\t", 1) for line in output.splitlines())
    assert list(found) == list(acts), errors + output
    return found
