"""The kafel that stands in configurations of nsjail: `seccomp_string: "..."`, line by line.

Format: nsjail's config.proto, as protobuf writes it as text. nsjail joins the strings by line ends.
"""

from __future__ import annotations

import re

NSJAIL = ".cfg"

_STRING = re.compile(
    r"^[ \t]*seccomp_string[ \t]*:[ \t]*"
    r"""(?:"(?P<one>(?:[^"\\\n]|\\.)*)"|'(?P<two>(?:[^'\\\n]|\\.)*)')""",
    re.MULTILINE,
)
_ESCAPE = re.compile(r"\\(.)")


def holds_kafel(text: str) -> bool:
    """Whether a configuration has any."""
    return _STRING.search(text) is not None


def kafel_of(text: str) -> str:
    """The strings' text, each at its line and column; what stands between them is blank."""
    parts, end = [], 0
    for found in _STRING.finditer(text):
        start, stop = found.span("one" if found["one"] is not None else "two")
        parts += [_blank(text[end:start]), _ESCAPE.sub(_unescaped, text[start:stop])]
        end = stop
    return "".join([*parts, _blank(text[end:])])


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": " \t"}.get(found[1], " " + found[1])


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
