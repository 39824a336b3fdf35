"""Refusals out of logs, whatever wrote them: events in JSON, systrace's lines, syslog's files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

BEYOND = "left its policy"
"""The rule of an alarm where none was for the call: what a learned policy has never seen."""

_LINE = re.compile(
    r"(?P<action>deny|kill|would-deny|would-kill) user: (?P<user>.*?), prog: (?P<program>.*?), "
    r"pid: (?P<pid>\d+).*?, syscall: native-(?P<call>[^(,]*)\(-?\d+\)(?P<rest>.*)"
)
_RULE = re.compile(r", rule: (.*)$")
_RFC_5424 = re.compile(r"<\d+>1 \S+ (?P<host>\S+) enforcer ")
_RFC_3164 = re.compile(r"(?:\w{3} [ \d]\d [\d:]{8}|\d{4}-\S+) (?P<host>\S+) enforcer(?:\[\d+\])?: ")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One refusal. `host` is empty for a log of this machine."""

    host: str
    program: str
    rule: str
    call: str
    subject: str


@dataclass
class Group:
    """How often a program was refused something by one rule, and the last time what."""

    count: int = 0
    last: Alarm | None = None


@dataclass
class Groups:
    """Alarms by host, program and rule, in the order in which they first came."""

    found: dict[tuple[str, str, str], Group] = field(default_factory=dict)

    def add(self, alarm: Alarm) -> None:
        group = self.found.setdefault((alarm.host, alarm.program, alarm.rule), Group())
        group.count += 1
        group.last = alarm


def alarm_of(line: str) -> Alarm | None:
    """The alarm that a line of a log is; None: it says something else."""
    if line.startswith("{"):
        return _of_event(line)
    found = _LINE.search(line)
    if found is None:
        return None
    head = _RFC_5424.match(line) or _RFC_3164.match(line)
    rest = found["rest"].rstrip("\n")
    rule = _RULE.search(rest)
    reason = rest.rpartition(", reason: ")[2] if ", reason: " in rest else ""
    by_default = BEYOND if reason == "default" else reason
    return Alarm(
        host=head["host"] if head is not None else "",
        program=found["program"],
        rule=rule[1] if rule is not None else by_default,
        call=found["call"],
        subject=re.sub(r", (rule|reason): .*$", "", rest).removeprefix(", "),
    )


def _of_event(line: str) -> Alarm | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, Mapping) or event.get("event") != "decision":
        return None
    if event.get("action") == "permit" and event.get("would_be") is None:
        return None
    rule = BEYOND if event.get("reason") == "default" else str(event.get("reason"))
    if event.get("rule") is not None:
        rule = f"{event.get('file')}:{event.get('line')}"
    values = event.get("values")
    texts = values.items() if isinstance(values, Mapping) else ()
    told = [f"{name}: {text}" for name, each in texts for text in each]
    return Alarm(
        host="",
        program=str(event.get("program")),
        rule=rule,
        call=str(event.get("call")),
        subject=", ".join(told),
    )


def table(groups: Groups) -> Iterable[str]:
    """A line for each group: how often, where, who, by which rule, and what last."""
    for (host, program, rule), group in groups.found.items():
        assert group.last is not None
        where = f"{host} " if host else ""
        yield f"{group.count:6}  {where}{program}  {rule}  {group.last.call} {_briefly(group.last)}"


def _briefly(alarm: Alarm) -> str:
    """The names or addresses that it was about; all of its texts where it has neither."""
    found = re.findall(r"(?:^|, )(?:filename|sockaddr): (.*?)(?=, [a-z]+: |$)", alarm.subject)
    return " ".join(found) or alarm.subject
