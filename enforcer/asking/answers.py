"""What a person types to answer a question, and what the supervisor is told."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

import yaml

from enforcer.asking.suggestions import Suggestion, rule_text
from enforcer.call import Action
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.load import shipped_template, template_names
from enforcer.policy.parser import parse_yaml
from enforcer.policy.problem import PolicyError
from enforcer.policy.wire import policy_to_json

HELP = """\
permit          this call, once           (p, permit-now)
deny            this call, once, EPERM    (d, deny-now; deny[ENOENT]: another errno)
kill            the process
always N        permit for good what suggestion N says (a)
never N         deny for good what suggestion N says   (never[errno] N)
templates       lists and numbers rules for what many programs do
template N      permit for good what template N permits
detach          ask no more under this policy: everything that it asks is permitted
RULE            a rule typed by hand: permit: openat when filename match "/srv/*"
review          the answers given for good
save FILE       write them as a policy; nothing is written unless asked
help, quit      quit goes away: what is asked then is denied"""

_WORDS = {"p": "permit", "permit-now": "permit", "d": "deny", "deny-now": "deny", "a": "always"}
_ANSWER = re.compile(r"([a-z-]+)(?:\[(\w+)\])?(?:\s+(\d+))?\Z")
_RULE = re.compile(r"(permit|deny(?:\[\w+\])?|kill)\s*:\s*(.+?)(?:\s+when:?\s+(.+))?\Z")


class Wrong(Exception):
    """What was typed is no answer; says why."""


class Answer(NamedTuple):
    """Fields of the message to the supervisor, and in words what will be done."""

    fields: Mapping[str, object]
    words: str


def parse_answer(text: str, offered: list[Suggestion]) -> Answer:
    """Raises Wrong."""
    text = text.strip()
    typed = _RULE.match(text)
    if typed is not None:
        action, calls, when = typed.groups()
        rule = f"- {action}: {calls}\n" + (f"  when: {json.dumps(when)}\n" if when else "")
        return _for_good(rule, f"{action}: {calls}" + (f" when {when}" if when else ""))
    found = _ANSWER.match(text)
    if found is None:
        raise Wrong("no answer; `help` lists them")
    word, name, place = found.groups()
    word = _WORDS.get(word, word)
    if name is not None and word not in ("deny", "never"):
        raise Wrong(f"{word} has no errno; deny[{name}] has one")
    match word:
        case "permit" | "kill" | "detach" if place is None:
            fields = {"detach": True} if word == "detach" else {"action": word}
            return Answer(fields, word if word == "detach" else f"{word} this once")
        case "deny" if place is None:
            number = errno.EPERM if name is None else _errno(name)
            return Answer({"action": "deny", "errno": number}, "deny this once")
        case "always" | "never":
            index = int(place or 1)
            if not 1 <= index <= len(offered):
                raise Wrong(f"there are suggestions 1 to {len(offered)}")
            action = "permit" if word == "always" else f"deny[{name}]" if name else "deny"
            if name is not None:
                _errno(name)
            chosen = offered[index - 1]
            return _for_good(rule_text(chosen, action), f"{word}: {chosen.reaches}")
        case "template" if place is not None:
            return _by_template(int(place))
    raise Wrong(f"`{word}` is no answer; `help` lists them")


def templates() -> str:
    """What `template N` can mean, a line each."""
    return "\n".join(
        f"{place}) {name}: {shipped_template(name).description}"
        for place, name in enumerate(template_names(), 1)
    )


def _by_template(place: int) -> Answer:
    names = template_names()
    if not 1 <= place <= len(names):
        raise Wrong(f"there are templates 1 to {len(names)}; `templates` lists them")
    name = names[place - 1]
    rules = shipped_template(name).rules
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=rules, default=Action.ASK)
    return Answer({"rules": policy_to_json(policy)}, f"always: what template {name} says")


def _errno(name: str) -> int:
    number = int(name) if name.isdigit() else getattr(errno, name.upper(), None)
    if not isinstance(number, int) or not 0 < number < 4096:
        raise Wrong(f"{name} is no errno")
    return number


def _for_good(rule: str, words: str) -> Answer:
    indented = "".join(f"  {line}\n" for line in rule.splitlines())
    try:
        policy = parse_yaml(f"default: ask\nrules:\n{indented}", "<answer>")
    except (PolicyError, yaml.YAMLError) as error:
        raise Wrong(str(error).strip().splitlines()[0]) from None
    if any(each.elevation is not None for each in policy.rules):
        raise Wrong("other ids are given by a policy, not by an answer")
    return Answer({"rules": policy_to_json(policy)}, words)
