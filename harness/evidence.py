"""What an enforcer's log proves: that it was on, what it refused, whom it killed, what it judged.

Pure, over events as they were written; a line proves only what it says of the target's own call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enforcer.call import Action
from enforcer.events import EventKind
from harness.places.layout import Layout

Event = Mapping[str, object]
FILTER_MODE = 2  # SECCOMP_MODE_FILTER, as /proc/PID/status shows it


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """What a line of the log must tell to be of one act: one of `calls` (empty: whichever a
    command makes), on the denied object.

    `denied` is the object's name, or what is beneath it; `port` the end of its address. Neither:
    registers alone decide the act, and the call is all that there is to tell.
    """

    calls: frozenset[str] = frozenset()
    denied: str = ""
    port: int | None = None

    def shown(self, events: Sequence[Event]) -> bool:
        """Whether a refusal or a detection among `events` is of this act, and of the target."""
        return any(_refuses(event) for event in self._lines(events))

    def told(self, events: Sequence[Event]) -> int:
        """How many lines among `events`, refusals or not, are of this act, and of the target."""
        kinds = (EventKind.DECISION, EventKind.DETECTION)
        return sum(event.get("event") in kinds for event in self._lines(events))

    def _lines(self, events: Sequence[Event]) -> list[Event]:
        supervisors = {each.get(key) for each in events for key in ("tracer", "supervisor")}
        return [
            event
            for event in events
            if (not self.calls or self.calls & _calls(event))
            and event.get("pid") not in supervisors - {None}
            and self._names_object(event)
        ]

    def _names_object(self, event: Event) -> bool:
        if not self.denied and self.port is None:
            return True
        return any(self._is_object(text) for text in _values(event))

    def _is_object(self, text: str) -> bool:
        if self.port is not None and text.endswith(f"]:{self.port}"):
            return True
        return bool(self.denied) and (text == self.denied or text.startswith(f"{self.denied}/"))

    def described(self) -> str:
        """For a reason: the calls and the object."""
        of = self.denied or (f"port {self.port}" if self.port is not None else "")
        what = " or ".join(sorted(self.calls)) or "a call"
        return f"a refusal of {what}" + (f" on {of}" if of else "")


def attributed(calls: frozenset[str], sentinel: str, layout: Layout) -> Attributed:
    """The act `calls` on a sentinel of this kind, whose place the layout knows."""
    match sentinel:
        case "port":
            return Attributed(calls=calls, port=layout.port)
        case "tty" | "peer":
            return Attributed(calls=calls)
        case "deputy":
            return Attributed(calls=calls, denied=str(layout.denied_directory))
    return Attributed(calls=calls, denied=str(layout.denied))


def witnessed(events: Sequence[Event]) -> bool:
    """Whether the enforcer says, with evidence, that enforcement was on in this run."""
    return any(event.get("event") == EventKind.ENFORCING for event in events)


def unwitnessed(events: Sequence[Event]) -> str:
    """What was missing when a target was looked at from outside; empty: nobody looked."""
    return next((str(each["unwitnessed"]) for each in events if "unwitnessed" in each), "")


def filter_is_on(events: Sequence[Event]) -> bool:
    """Whether that evidence has a seccomp filter in it, which may kill with SIGSYS."""
    for event in events:
        if event.get("event") == EventKind.ENFORCING:
            inner = event.get("witness")
            evidence = {**event, **(inner if isinstance(inner, dict) else {})}
            modes = {str(evidence.get(key)) for key in ("Seccomp", "mode", "seccomp")}
            if str(FILTER_MODE) in modes:
                return True
    return False


def killed_by_enforcer(events: Sequence[Event]) -> bool:
    """Whether the enforcer says that it killed: by a rule, or for an interference.

    A supervisor that fails is no enforcement, though all that it held dies with it.
    """
    return any(event.get("action") == Action.KILL for event in events)


def failure(events: Sequence[Event]) -> str:
    """What a supervisor or tracer says of its own failure, with the line; empty: it says nothing.

    All that it held is refused then, which is no enforcement either.
    """
    for event in events:
        if event.get("event") == EventKind.DETECTION and event.get("error"):
            return f"{event.get('reason')}: {event.get('place')}: {event['error']}"
    return ""


def judged(events: Sequence[Event], calls: frozenset[str]) -> int | None:
    """How many of `calls` the enforcer judged, by its log's end; None where that is missing."""
    for event in reversed(events):
        if event.get("event") == EventKind.END:
            counts = event.get("judged")
            if not isinstance(counts, dict):
                return None
            return sum(int(counts.get(call, 0)) for call in calls)
    return None


def _refuses(event: Event) -> bool:
    kind = event.get("event")
    return kind == EventKind.DETECTION or (
        kind == EventKind.DECISION and event.get("action") != Action.PERMIT
    )


def _calls(event: Event) -> set[object]:
    """The call that a line names; a security module knows only which of several it was."""
    several = event.get("calls")
    return {event.get("call"), *(several if isinstance(several, list) else ())}


def _values(event: Event) -> list[str]:
    """Every text that the event gives for an argument."""
    values = event.get("values")
    if not isinstance(values, dict):
        return []
    return [str(text) for texts in values.values() if isinstance(texts, list) for text in texts]
