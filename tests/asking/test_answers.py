"""What a person types, and what is suggested: pure."""

from __future__ import annotations

from errno import ENOENT, EPERM

import pytest

from enforcer.asking.answers import Wrong, parse_answer
from enforcer.asking.suggestions import Suggestion, Texts, suggestions
from enforcer.call import Action, Decision
from enforcer.policy.decider import Decider
from enforcer.policy.load import template_names
from enforcer.policy.wire import policy_from_json
from enforcer.supervision.desk import given_answer

OFFERED = suggestions("openat", {"filename": ("/etc/passwd",), "oflags": ("ro",)})


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ("permit", {"action": "permit"}),
        ("p", {"action": "permit"}),
        ("permit-now", {"action": "permit"}),
        ("deny", {"action": "deny", "errno": EPERM}),
        ("deny-now", {"action": "deny", "errno": EPERM}),
        ("deny[enoent]", {"action": "deny", "errno": ENOENT}),
        ("deny[2]", {"action": "deny", "errno": ENOENT}),
        ("kill", {"action": "kill"}),
        ("detach", {"detach": True}),
    ],
)
def test_answers_for_once(typed: str, fields: dict[str, object]) -> None:
    """As systrace took them."""
    assert parse_answer(f" {typed} ", OFFERED).fields == fields


READ_PASSWD = {"filename": ("/etc/passwd",)}
READ_SHADOW = {"filename": ("/etc/shadow",)}


@pytest.mark.parametrize(
    ("typed", "action", "errno", "others"),
    [
        ("always 1", "permit", 0, "ask"),
        ("a 2", "permit", 0, "permit"),
        ("always 4", "permit", 0, "permit"),
        ("never 1", "deny", EPERM, "ask"),
        ("never[ENOENT] 2", "deny", ENOENT, "deny"),
        ('deny[ENOENT]: openat when filename eq "/etc/passwd"', "deny", ENOENT, "ask"),
        ("permit: [openat, open]", "permit", 0, "permit"),
        (f"template {1 + template_names().index('program')}", "permit", 0, "ask"),
        ('kill: fsread when: filename match "/etc/s*"', "ask", 0, "kill"),
    ],
)
def test_answers_for_good(typed: str, action: str, errno: int, others: str) -> None:
    """They are rules, of suggestions or typed, that decide such calls and no others."""
    policy = policy_from_json(parse_answer(typed, OFFERED).fields["rules"])
    decider = Decider(policy)
    passwd = decider.decide("openat", (0,) * 6, READ_PASSWD)
    assert (passwd.action, passwd.errno) == (action, errno)
    assert decider.decide("openat", (0,) * 6, READ_SHADOW).action == others


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "yes",
        "permit[EPERM]",
        "deny[enosuch]",
        "deny[0]",
        "always 9",
        "always 0",
        "kill 1",
        "permit: nosuchcall",
        "permit: openat when filename is x",
        "ask: openat",
    ],
)
def test_what_is_no_answer_is_refused(typed: str) -> None:
    """With the question still standing."""
    with pytest.raises(Wrong):
        parse_answer(typed, OFFERED)


@pytest.mark.parametrize(
    ("call", "values", "reaches"),
    [
        (
            "openat",
            {"filename": ("/srv/a/b",), "oflags": ("rw",)},
            ["this file alone, for both", "everything beneath /srv/a, for both", "every openat"],
        ),
        ("rename", {"filename": ("/a/x", "/b/y")}, ["this file alone", "every rename"]),
        (
            "connect",
            {"sockaddr": ("inet-[192.0.2.7]:443",)},
            ["this address", "every port of 192.0.2.7", "port 443 of the network 192.0.2.0/24", ""],
        ),
        ("kill", {}, ["every kill of this program"]),
        ("openat", {"filename": (None,)}, ["every openat"]),
    ],
)
def test_suggestions_say_what_else_they_permit(
    call: str, values: Texts, reaches: list[str]
) -> None:
    """From just this call to all of its kind, each in words."""
    found = suggestions(call, values)
    assert len(found) == len(reaches)
    assert all(words in each.reaches for each, words in zip(found, reaches, strict=True))


@pytest.mark.parametrize(
    ("call", "values"),
    [
        ("openat", {"filename": ('/srv/[a]*"\\ #: x/y\n',), "oflags": ("ro",)}),
        ("connect", {"sockaddr": ("inet6-[2001:db8::1]:80",)}),
        ("connect", {"sockaddr": ("inet-[192.0.2.7]:443",)}),
        ("rename", {"filename": ("/a/x", "/b/y")}),
    ],
)
def test_every_suggestion_holds_for_what_was_asked(call: str, values: Texts) -> None:
    """Whatever stands in a name: the rule is one, and permits the very call."""
    offered = suggestions(call, values)
    for place in range(1, len(offered) + 1):
        policy = policy_from_json(parse_answer(f"always {place}", offered).fields["rules"])
        if "fsread" in policy.rules[0].calls:
            continue
        decision = Decider(policy).decide(call, (0,) * 6, values)
        assert decision.action == "permit", offered[place - 1]


def test_the_narrowest_permits_nothing_else() -> None:
    """A name that is a pattern stands for itself."""
    (first, second, *_) = suggestions("openat", {"filename": ("/srv/[a]*/y",), "oflags": ("ro",)})
    assert isinstance(first, Suggestion)
    for suggestion in (first, second):
        rules = parse_answer("always 1", [suggestion]).fields["rules"]
        decision = Decider(policy_from_json(rules)).decide(
            "openat", (0,) * 6, {"filename": ("/srv/a/z/y",)}
        )
        assert decision.action == "ask"


def test_an_answer_is_to_what_was_asked() -> None:
    """When the same call comes round and means another object by now, it is asked about again."""
    asked, permitted = Decision(action=Action.ASK), Decision(action=Action.PERMIT)
    granted = [("openat", READ_PASSWD, permitted)]
    assert given_answer(granted, "openat", READ_PASSWD, asked) is permitted
    assert given_answer(granted, "openat", READ_SHADOW, asked) is asked
    assert given_answer(granted, "unlink", READ_PASSWD, asked) is asked
