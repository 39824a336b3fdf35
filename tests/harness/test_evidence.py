"""What a log proves: lines of the target's own act, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence import (
    Attributed,
    attributed,
    filter_is_on,
    judged,
    killed_by_enforcer,
    witnessed,
)
from harness.places.layout import Layout

LAYOUT = Layout(root=Path("/srv"), port=4001, allowed_port=4002)
OBJECT = {"filename": ["/srv/shut/object"]}
DENIED = {"event": "decision", "action": "deny", "call": "openat", "pid": 7, "values": OBJECT}
OPEN = frozenset({"openat", "openat2"})
FILE = Attributed(calls=OPEN, denied="/srv/shut/object")
PORT = Attributed(calls=frozenset({"connect"}), port=4001)
CALL = Attributed(calls=frozenset({"ioctl"}))
ANY = Attributed(denied="/srv/shut/object")
START = {"event": "start", "tracer": 4}


def values(*texts: object, key: str = "filename") -> dict[str, object]:
    return {**DENIED, "values": {key: list(texts)}}


def connect(address: str) -> dict[str, object]:
    return {**DENIED, "call": "connect", "values": {"sockaddr": [address]}}


SHOWN = [
    ("a refusal", FILE, [DENIED], True),
    ("a kill", FILE, [{**DENIED, "action": "kill"}], True),
    ("a question", FILE, [{**DENIED, "action": "ask"}], True),
    ("a permission", FILE, [{**DENIED, "action": "permit"}], False),
    ("a permission, then a refusal", FILE, [{**DENIED, "action": "permit"}, DENIED], True),
    ("a detection", FILE, [{**DENIED, "event": "detection", "action": "permit"}], True),
    ("another event", FILE, [{**DENIED, "event": "enforcing"}], False),
    ("nothing", FILE, [], False),
    ("another of the calls", FILE, [{**DENIED, "call": "openat2"}], True),
    ("a call of another act", FILE, [{**DENIED, "call": "stat"}], False),
    ("no call", FILE, [{key: DENIED[key] for key in ("event", "action", "values")}], False),
    ("whichever call", ANY, [{**DENIED, "call": "stat"}], True),
    ("whichever call, another object", ANY, [values("/srv/open/object")], False),
    ("what is beneath", FILE, [values("/srv/shut/object/new")], True),
    ("what begins so", FILE, [values("/srv/shut/objects")], False),
    ("what ends so", FILE, [values("/x/srv/shut/object")], False),
    ("the directory above", FILE, [values("/srv/shut")], False),
    ("the second of two names", FILE, [values("/srv/open/a", "/srv/shut/object")], True),
    ("under another argument's name", FILE, [values("/srv/shut/object", key="newname")], True),
    ("no values", FILE, [{**DENIED, "values": {}}], False),
    ("values that are none", FILE, [{**DENIED, "values": "/srv/shut/object"}], False),
    ("a value that is no list", FILE, [{**DENIED, "values": {"f": "/srv/shut/object"}}], False),
    ("the tracer's own call", FILE, [{"event": "start", "tracer": 7}, DENIED], False),
    ("the supervisor's own call", FILE, [DENIED, {"event": "end", "supervisor": 7}], False),
    ("another supervisor", FILE, [{"event": "start", "tracer": 8}, DENIED], True),
    ("no process", FILE, [START, {k: v for k, v in DENIED.items() if k != "pid"}], True),
    ("the port", PORT, [connect("inet-[127.0.0.1]:4001")], True),
    ("another port", PORT, [connect("inet-[127.0.0.1]:14001")], False),
    ("the twin's port", PORT, [connect("inet-[127.0.0.1]:4002")], False),
    ("a path like a port", PORT, [connect("unix-/a:4001")], False),
    ("a file for a port", PORT, [{**connect("/srv/shut/object")}], False),
    ("registers alone", CALL, [{**DENIED, "call": "ioctl", "values": {}}], True),
    ("registers of another call", CALL, [DENIED], False),
]


@pytest.mark.parametrize(
    ("act", "events", "shown"), [pytest.param(*each, id=name) for name, *each in SHOWN]
)
def test_a_line_is_of_the_act(
    act: Attributed, events: list[dict[str, object]], shown: bool
) -> None:
    """It must be a refusal, of the act's own call, on its own object, by the target."""
    assert act.shown(events) is shown


@pytest.mark.parametrize(
    ("sentinel", "wanted"),
    [
        ("file", Attributed(calls=OPEN, denied="/srv/shut/object")),
        ("dir", Attributed(calls=OPEN, denied="/srv/shut/object")),
        ("socket", Attributed(calls=OPEN, denied="/srv/shut/object")),
        ("port", Attributed(calls=OPEN, port=4001)),
        ("tty", Attributed(calls=OPEN)),
    ],
)
def test_every_sentinel_has_its_object(sentinel: str, wanted: Attributed) -> None:
    """The denied one of the layout, never the permitted twin."""
    assert attributed(OPEN, sentinel, LAYOUT) == wanted


def test_an_act_is_described() -> None:
    """By its calls and its object, for people."""
    assert FILE.described() == "a refusal of openat or openat2 on /srv/shut/object"
    assert PORT.described() == "a refusal of connect on port 4001"
    assert CALL.described() == "a refusal of ioctl"
    assert ANY.described() == "a refusal of a call on /srv/shut/object"


@pytest.mark.parametrize(
    ("events", "on"),
    [
        ([{"event": "enforcing", "Seccomp": "2"}], True),
        ([{"event": "enforcing", "Seccomp": 2}], True),
        ([{"event": "enforcing", "mode": 2}], True),
        ([{"event": "enforcing", "seccomp": "2"}], True),
        ([{"event": "enforcing", "witness": {"Seccomp": "2"}}], True),
        ([{"event": "enforcing"}, {"event": "enforcing", "Seccomp": "2"}], True),
        ([{"event": "enforcing", "Seccomp": "0"}], False),
        ([{"event": "enforcing", "Seccomp": "1"}], False),
        ([{"event": "enforcing", "tracer": 2}], False),
        ([{"event": "start", "Seccomp": "2"}], False),
        ([], False),
    ],
)
def test_a_filter_is_witnessed(events: list[dict[str, object]], on: bool) -> None:
    """Mode 2 of seccomp, in the evidence that enforcement is on, and nowhere else."""
    assert filter_is_on(events) is on


def test_enforcement_is_witnessed() -> None:
    """By the line that says so, wherever it stands."""
    assert witnessed([START, {"event": "enforcing"}])
    assert not witnessed([START, DENIED])
    assert not witnessed([])


def test_who_killed() -> None:
    """The enforcer by a rule or for an interference; no refusal and no failure is a kill."""
    assert killed_by_enforcer([DENIED, {**DENIED, "action": "kill"}])
    assert killed_by_enforcer([{"event": "detection", "action": "kill"}])
    assert not killed_by_enforcer([DENIED])
    assert not killed_by_enforcer([{"event": "detection", "reason": "the tracer failed"}])
    assert not killed_by_enforcer([])


@pytest.mark.parametrize(
    ("events", "calls", "count"),
    [
        ([{"event": "end", "judged": {"openat": 3, "openat2": 4, "stat": 90}}], OPEN, 7),
        ([{"event": "end", "judged": {"openat": 3}}], OPEN, 3),
        ([{"event": "end", "judged": {"stat": 9}}], OPEN, 0),
        ([{"event": "end", "judged": {}}], OPEN, 0),
        ([{"event": "end", "judged": {"openat": 3}}, DENIED], OPEN, 3),
        (
            [{"event": "end", "judged": {"openat": 1}}, {"event": "end", "judged": {"openat": 2}}],
            OPEN,
            2,
        ),
        ([{"event": "end"}], OPEN, None),
        ([{"event": "end", "judged": 12}], OPEN, None),
        ([{"event": "start", "judged": {"openat": 3}}], OPEN, None),
        ([], OPEN, None),
    ],
)
def test_how_many_were_judged(
    events: list[dict[str, object]], calls: frozenset[str], count: int | None
) -> None:
    """The last end's count of the act's own calls; without one nobody knows."""
    assert judged(events, calls) == count
