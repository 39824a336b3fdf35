"""Filters of others, written for the tests, and calls on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from enforcer.arch import ABIS
from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.spec import SeccompData
from enforcer.filters.meaning import answer_of
from enforcer.filters.model import Filter
from enforcer.syscalls import number

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"


def profile(*syscalls: Mapping[str, object], **more: object) -> str:
    """A profile of Docker's, one line for each key and entry."""
    top = {"defaultAction": ERRNO, **more}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in top.items()]
    entries = ",\n".join(map(json.dumps, syscalls))
    return "{\n" + "\n".join(lines) + '\n"syscalls": [\n' + entries + "\n]}\n"


def said(found: Filter, call: str, *args: int, abi: str = "x86_64") -> str:
    """The answer to one call, as listings name it."""
    nr = number(abi, call)
    assert nr is not None
    a, b, c, d, e, f = (*args, 0, 0, 0, 0, 0, 0)[:6]
    return answer_name(answer_of(found, SeccompData(nr, ABIS[abi].audit_arch, (a, b, c, d, e, f))))


def written(directory: Path, name: str, text: str) -> Path:
    """A file with this text."""
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path
