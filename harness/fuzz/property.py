"""What a property is: cases, a check that counts what it compared, and a mismatch that it raises.

A check is a plain function, so that tests, campaigns, replays and HypoFuzz run the same one.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NoReturn, Protocol, TypeVar

from hypothesis import settings
from hypothesis import strategies as st

Case = TypeVar("Case")


class Mismatch(AssertionError):
    """A breach of a property: two answers to one question that should be the same.

    `signature` groups breaches that have one cause as far as can be told; `third_party` names the
    library whose fault it is, if it is none of ours.
    """

    def __init__(
        self,
        *,
        policy: str = "",
        call: str = "",
        expected: str = "",
        got: str = "",
        signature: str = "",
        third_party: str = "",
    ) -> None:
        self.policy = policy
        self.call = call
        self.expected = expected
        self.got = got
        self.signature = signature
        self.third_party = third_party
        super().__init__(self.text())

    def text(self) -> str:
        """Policy, call and both answers, for people."""
        parts = [self.policy.rstrip()] if self.policy else []
        parts += [
            f"{title:9}{value}"
            for title, value in (
                ("call:", self.call),
                ("expected:", " " + self.expected),
                ("got:", self.got),
            )
            if value.strip()
        ]
        return "\n".join(parts)


@dataclass
class Tally:
    """What checks did: `decisions` compared, and further counts by name.

    `wide` asks for every call of a table, not only those that rules speak of and some others.
    Breaches whose signature is in `known` were reported already and are passed over. `apart` says
    why calls that were made could not be compared, and how many. Once it is_late(), a finding is
    made no smaller; `until` is that moment, by the monotonic clock, in seconds.
    """

    decisions: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    apart: Counter[str] = field(default_factory=Counter)
    backend: str = ""
    machine: str = ""
    wide: bool = False
    until: float = math.inf

    def is_late(self) -> bool:
        """Whether there is no time left to make a finding smaller."""
        return time.monotonic() >= self.until

    def report(self, mismatch: Mismatch) -> None:
        """Raise a breach that is not known yet."""
        if mismatch.signature in self.known:
            self.counts["known breaches"] += 1
            return
        raise mismatch


class Trial(Protocol):
    """How a search tells the campaign of its examples."""

    def begin(self) -> None:
        """One more example begins. Raises what ends the search when the time is spent."""
        ...

    def end(self) -> None:
        """The example holds."""
        ...

    def fail(self, case: object, error: Exception) -> NoReturn:
        """The example is broken by `case`. Raises what Hypothesis is to shrink."""
        ...


class Search(Protocol):
    """One run of Hypothesis with these settings and this seed."""

    def __call__(self, configured: settings, number: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Property(Generic[Case]):
    """One claim. `check` raises Mismatch where a case breaks it, and whatever a crash raises.

    `available` says why this machine cannot check it (empty: it can). `runs_calls`: real calls are
    made, on this machine. `smallest` makes a finding smaller where Hypothesis cannot shrink it,
    until the tally is_late(); `search` stands in for given(), for properties whose cases come about
    step by step.
    """

    name: str
    claim: str
    group: str
    cases: st.SearchStrategy[Case]
    check: Callable[[Case, Tally], None]
    available: Callable[[], str] = lambda: ""
    runs_calls: bool = False
    smallest: Callable[[Case, Tally], Case] | None = None
    search: Callable[[Trial, Tally], Search] | None = None
