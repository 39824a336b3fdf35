"""What was seen of a command: calls with the texts that rules see, by program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = tuple[str, int, str]
"""Translator, place among the texts of that translator, text."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One call, as far as a rule can tell it from others.

    `absent` are the places of the file names none of whose directories existed.
    """

    program: str
    call: str
    values: tuple[Value, ...] = ()
    absent: tuple[int, ...] = ()
    args: tuple[int, ...] = field(default=(), compare=False)
    abi: str = field(default="", compare=False)


@dataclass
class Seen:
    """All observations of a recording, in the order in which they were first made.

    `counts` are calls by program and name. `unreadable` counts calls whose arguments could not be
    read, for which there are no rules.
    """

    observations: dict[Observation, None] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    unreadable: int = 0

    def programs(self) -> tuple[str, ...]:
        """Those that made calls, in the order of their first."""
        return tuple(dict.fromkeys(each.program for each in self.observations))

    def of(self, program: str) -> tuple[Observation, ...]:
        """What a program did."""
        return tuple(each for each in self.observations if each.program == program)


ABOUT_PROCESSES = frozenset({"fd", "pidname"})
"""Texts that number what only this run has."""

_LEFT_OUT = frozenset({"fd", "uname", "call"})
_BY_TIMING = frozenset({"futex", "futex_time64"})
"""Calls whose operation another run may not make, or another one: who waits for whom is chance."""

_ANY_PROCESS = frozenset({"0", "-1"})
_CREATES = "c"


def values_of(texts: Mapping[str, Sequence[str | None]]) -> tuple[Value, ...] | None:
    """The texts that a rule is to name; None: one cannot be read, and no rule can be made.

    Left out is what numbers things of this run alone: descriptors, and processes other than
    `0` (the caller) and `-1` (any); and the mode of an open that creates nothing, which is
    whatever the register held.
    """
    found: list[Value] = []
    oflags = next(iter(texts.get("oflags") or ()), None)
    for translator, each in texts.items():
        if translator in _LEFT_OUT:
            continue
        if translator == "mode" and oflags is not None and _CREATES not in oflags[2:]:
            continue
        for place, text in enumerate(each):
            if text is None:
                return None
            if translator == "pidname" and text not in _ANY_PROCESS:
                continue
            found.append((translator, place, text))
    return tuple(found)


def observations_of(fields: Mapping[str, object]) -> tuple[Observation, ...] | None:
    """The observations of a decision's event; None: its arguments cannot be read.

    A call with many messages (sendmmsg) is one for each address.
    """
    texts = fields["values"]
    assert isinstance(texts, Mapping)
    values = () if fields["call"] in _BY_TIMING else values_of(texts)
    if values is None:
        return None
    args = fields["args"]
    absent = fields["absent"]
    assert isinstance(args, list)
    assert isinstance(absent, list)
    one = Observation(
        program=str(fields["program"]),
        call=str(fields["call"]),
        values=values,
        absent=tuple(absent),
        args=tuple(args),
        abi=str(fields["abi"]),
    )
    addresses = texts.get("sockaddr") or ()
    if len(addresses) < 2:
        return (one,)
    rest = tuple(value for value in values if value[0] != "sockaddr")
    return tuple(
        Observation(
            program=one.program,
            call=one.call,
            values=(*rest, ("sockaddr", 0, str(address))),
            args=one.args,
            abi=one.abi,
        )
        for address in addresses
    )
