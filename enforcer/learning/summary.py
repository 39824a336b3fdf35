"""How often each program called what, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping


def summary(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Calls and distinct calls of each program, then each program's calls, the most frequent
    first."""
    width = max((len(program) for program in counts), default=7)
    width = max(width, len("program"))
    yield f"{'program':{width}}  {'calls':>8}  {'distinct':>8}"
    for program, calls in counts.items():
        yield f"{program:{width}}  {sum(calls.values()):8}  {len(calls):8}"
    for program, calls in counts.items():
        yield ""
        yield program
        total = sum(calls.values())
        for name, count in Counter(calls).most_common():
            yield f"{100 * count / total:6.2f} %  {count:8}  {name}"
