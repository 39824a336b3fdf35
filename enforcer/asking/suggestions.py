"""What an answer for good could permit: the very object, or more, and what more that would be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

Texts = Mapping[str, Sequence[str | None]]

_INTERNET = re.compile(r"(inet6?)-\[([^]]*)\]:(\d+)\Z")
_SPECIAL = re.compile(r"([*?\[\\])")
_OPENS = frozenset({"open", "openat", "openat2"})


class Suggestion(NamedTuple):
    """A condition (empty: none) for a rule on calls, and in words what it reaches."""

    calls: tuple[str, ...]
    when: str
    reaches: str


def suggestions(call: str, values: Texts) -> list[Suggestion]:
    """From the narrowest to the widest; the first is just what was asked."""
    found: list[Suggestion] = []
    names = [name for name in values.get("filename") or () if name is not None]
    addresses = [text for text in values.get("sockaddr") or () if text is not None]
    flags = next((text for text in values.get("oflags") or () if text), "")
    if names and names[0].startswith("/"):
        found += _on_names(call, names, flags if call in _OPENS else "")
    elif addresses:
        found += _on_address(call, addresses[0])
    found.append(Suggestion((call,), "", f"every {call} of this program"))
    return found


def rule_text(suggestion: Suggestion, action: str) -> str:
    """The suggestion as a rule of the YAML dialect."""
    calls = ", ".join(suggestion.calls)
    lines = [f"- {action}: {calls if len(suggestion.calls) == 1 else f'[{calls}]'}"]
    if suggestion.when:
        lines.append(f"  when: {json.dumps(suggestion.when)}")
    return "\n".join(lines) + "\n"


def _on_names(call: str, names: Sequence[str], flags: str) -> list[Suggestion]:
    exact = " and ".join(
        f"filename{f'[{place}]' if place else ''} eq {_quoted(name)}"
        for place, name in enumerate(names)
    )
    mode = f' and oflags sub "{flags[:2]}"' if flags else ""
    how = {"ro": ", for reading", "wo": ", for writing", "rw": ", for both"}.get(flags[:2], "")
    found = [Suggestion((call,), exact + mode, f"this file alone{how}")]
    directory = str(PurePosixPath(names[0]).parent)
    if len(names) == 1 and directory != "/":
        pattern = _SPECIAL.sub(r"\\\1", directory) + "/*"
        beneath = f"filename match {_quoted(pattern)}"
        found.append(Suggestion((call,), beneath + mode, f"everything beneath {directory}{how}"))
        if flags[:2] == "ro":
            reads = "every call that only reads or looks"
            found.append(
                Suggestion(("fsread",), beneath, f"everything beneath {directory}: {reads}")
            )
    return found


def _on_address(call: str, text: str) -> list[Suggestion]:
    found = [Suggestion((call,), f"sockaddr eq {_quoted(text)}", "this address alone")]
    parts = _INTERNET.match(text)
    if parts is None:
        return found
    family, host, port = parts.groups()
    found.append(
        Suggestion(
            (call,),
            "sockaddr match " + _quoted(rf"{family}-\[{host}\]:*"),
            f"every port of {host}",
        )
    )
    if family == "inet":
        network = host.rpartition(".")[0]
        found.append(
            Suggestion(
                (call,),
                "sockaddr re " + _quoted(rf"^inet-\[{re.escape(network)}\.[0-9]+\]:{port}$"),
                f"port {port} of the network {network}.0/24",
            )
        )
    return found


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("\r", "\\r") + '"'
