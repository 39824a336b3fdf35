"""Files of others to filters: the one place that tells which language a file is written in."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from enforcer.cbpf.compiler import FilterTooLarge
from enforcer.filters.docker import read_docker
from enforcer.filters.kafel import read_kafel
from enforcer.filters.minijail import read_minijail
from enforcer.filters.model import Filter, Form
from enforcer.filters.raw import read_raw
from enforcer.filters.systemd import read_systemd
from enforcer.policy.problem import PolicyError, Problem

MOST_BYTES = 1 << 20

_READERS: Mapping[Form, Callable[[str, str], Filter]] = {
    Form.DOCKER: read_docker,
    Form.MINIJAIL: read_minijail,
    Form.KAFEL: read_kafel,
    Form.SYSTEMD: read_systemd,
}
_SUFFIXES: Mapping[str, Form] = {
    ".json": Form.DOCKER,
    **dict.fromkeys((".kafel", ".cfg"), Form.KAFEL),
    ".bpf": Form.BPF,
    **dict.fromkeys((".service", ".socket", ".mount", ".swap", ".conf", ".systemd"), Form.SYSTEMD),
}
_BY_CONTENT = (".policy",)
_COMMENTS = re.compile(
    r"//[^\n]*|/\*.*?\*/|^\s*#(?!define|include)[^\n]*", re.DOTALL | re.MULTILINE
)
_OF_KAFEL = re.compile(
    r"\bPOLICY\s+\w+\s*\{|^\s*#(define|include)\b|\bDEFAULT\s+[A-Z]|\bUSE\s+\w|[A-Z]\)?\s*\{",
    re.MULTILINE,
)


def form_of(path: Path, form: str | None = None) -> Form | None:
    """How the file is written; None: it is no filter of others (a policy, or nothing known)."""
    if form is not None:
        return Form(form) if form in list(Form) else None
    if path.suffix in _BY_CONTENT:
        raw = _bytes(path)
        text = _COMMENTS.sub("", raw.decode("utf-8", "replace"))
        return Form.KAFEL if _OF_KAFEL.search(text) else Form.MINIJAIL
    return _SUFFIXES.get(path.suffix)


def read_filter(path: Path, form: str | None = None) -> Filter:
    """The filter of a file on this machine. Raises PolicyError with every mistake."""
    found = form_of(path, form)
    if found is None:
        suffixes = " ".join((*_SUFFIXES, *_BY_CONTENT))
        mend = f"one of {suffixes}, or --dialect {' or '.join(Form)}"
        raise PolicyError([_problem(path, "not a filter that is known here", mend)])
    raw = _bytes(path)
    if found is Form.BPF:
        return read_raw(raw, str(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise PolicyError([_not_text(path, raw, line, column)]) from error
    return read_text(text, str(path), found)


def read_text(text: str, source: str, form: Form) -> Filter:
    """The filter of a text. Raises PolicyError."""
    try:
        return _READERS[form](text, source)
    except FilterTooLarge as error:
        raise PolicyError([_problem(Path(source), str(error))]) from error


def _bytes(path: Path) -> bytes:
    """The file's content. Raises PolicyError."""
    if path.is_dir():
        raise PolicyError([_problem(path, "is a directory", "name a file in it")])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PolicyError([_problem(path, error.strerror or str(error))]) from error
    if len(raw) > MOST_BYTES:
        raise PolicyError([_problem(path, f"more than {MOST_BYTES} bytes: this is no filter")])
    return raw


def _not_text(path: Path, raw: bytes, line: int, column: int) -> Problem:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _problem(path, "this is UTF-16", "save it as UTF-8")
    mend = "a compiled filter is read with --dialect bpf" if b"\0" in raw else "save it as UTF-8"
    return _problem(path, "this is not UTF-8 text", mend, line, column)


def _problem(path: Path, message: str, mend: str = "", line: int = 1, column: int = 1) -> Problem:
    return Problem(source=str(path), line=line, column=column, message=message, mend=mend)
