"""How the supervisors of a user are, as `enforcer status` and `enforcer top` show it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from enforcer.asking.console import printable
from enforcer.asking.supervisors import Message, Supervisor, Unreachable, sockets
from enforcer.events import decision_line

_SHOWN_REFUSALS = 5


@dataclass(frozen=True)
class Overview:
    """What each supervisor said of itself, by number; `silent`: why others say nothing."""

    statuses: Mapping[int, Message]
    silent: Sequence[str]


def overview(directory: Path) -> Overview:
    """Ask every supervisor whose socket is there."""
    found: dict[int, Message] = {}
    silent: list[str] = []
    for path in sockets(directory):
        try:
            supervisor = Supervisor(path)
        except Unreachable as error:
            silent.append(str(error))
            continue
        try:
            status = supervisor.ask_for("status")
            assert isinstance(status, Mapping)
            found[supervisor.pid] = status
        except Unreachable as error:
            silent.append(str(error))
        finally:
            supervisor.close()
    return Overview(found, silent)


def lines(now: Overview, before: Overview | None = None, seconds: float = 0.0) -> Iterator[str]:
    """For people; with what was `seconds` ago also the rates."""
    if not now.statuses:
        yield "no supervisor is running"
    for pid, status in now.statuses.items():
        console = "a console answers" if status.get("console") else "nobody answers"
        policies = _listed(status.get("policies"))
        yield printable(f"supervisor {pid}: {status.get('mechanism')}, {policies}; {console}")
        earlier = before.statuses.get(pid) if before is not None else None
        counts = []
        for key, word in (("decisions", "decisions"), ("denials", "refusals")):
            count = _number(status, key)
            rate = ""
            if earlier is not None and seconds > 0:
                rate = f" ({(count - _number(earlier, key)) / seconds:.1f}/s)"
            counts.append(f"{count} {word}{rate}")
        yield f"  {', '.join(counts)}, {_number(status, 'questions')} questions"
        for each in _mappings(status.get("processes")):
            program = PurePosixPath(str(each.get("program"))).name
            yield printable(f"  {each.get('pid')} {program} (parent {each.get('ppid')})")
        refusals = [decision_line(each) for each in _mappings(status.get("refusals"))]
        alike = [(line, len(list(found))) for line, found in groupby(refusals)]
        for line, count in alike[-_SHOWN_REFUSALS:]:
            yield printable(f"  {line}" + (f" ({count} times)" if count > 1 else ""))
    yield from now.silent


def folded(shown: Iterable[str], columns: int) -> Iterator[str]:
    """The lines in a width; what goes on in the next one is indented further."""
    for line in shown:
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(
            line, columns, subsequent_indent=f"{indent}    ", break_on_hyphens=False
        ) or [""]


def _listed(found: object) -> str:
    names = [str(each) for each in found or ["?"]] if isinstance(found, list) else ["?"]
    return ", ".join(name or "?" for name in names)


def _number(status: Message, key: str) -> int:
    found = status.get(key)
    return found if isinstance(found, int) else 0


def _mappings(found: object) -> list[Mapping[str, object]]:
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
