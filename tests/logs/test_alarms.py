"""Alarms out of logs of every kind, grouped by host, program and rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.cli import cli
from enforcer.events import EventKind
from enforcer.logs.alarms import BEYOND, alarm_of
from enforcer.logs.line import systrace_line
from enforcer.logs.syslog import message
from tests.logs.test_logs import EVENT

BY_RULE = {**EVENT, "rule": 3, "file": "p.yaml", "line": 9, "reason": ""}
LINE = systrace_line(EVENT)


@pytest.mark.parametrize(
    ("line", "host", "rule"),
    [
        (json.dumps({"event": "decision", **EVENT}), "", BEYOND),
        (json.dumps({"event": "decision", **BY_RULE}), "", "p.yaml:9"),
        (LINE, "", BEYOND),
        (systrace_line(BY_RULE), "", "p.yaml:9"),
        (f"Nov 27 06:00:00 web1 enforcer[7]: {LINE}", "web1", BEYOND),
        (f"<84>1 2026-11-27T06:00:00Z web2 enforcer 7 decision - \ufeff{LINE}", "web2", BEYOND),
    ],
    ids=["json", "json rule", "line", "line rule", "syslog", "RFC 5424"],
)
def test_an_alarm_is_read_from_every_log(line: str, host: str, rule: str) -> None:
    """Host, program, rule, call and what it was about."""
    alarm = alarm_of(line + "\n")
    assert alarm is not None
    assert (alarm.host, alarm.program, alarm.rule) == (host, "/usr/bin/cat", rule)
    assert (alarm.call, alarm.subject) == ("openat", "filename: /etc/shadow, oflags: ro")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        json.dumps({"event": "end"}),
        json.dumps({"event": "decision", **EVENT, "action": "permit"}),
        systrace_line({**EVENT, "action": "permit"}),
        "sshd[4]: deny nobody",
    ],
)
def test_what_is_no_refusal_is_no_alarm(line: str) -> None:
    """Nor what another program wrote."""
    assert alarm_of(line) is None


def test_a_message_to_a_host_is_read_as_what_it_was() -> None:
    """What is sent is what is understood."""
    alarm = alarm_of(message(EventKind.DECISION, EVENT, LINE).decode())
    assert alarm is not None
    assert alarm.host
    assert alarm.program == "/usr/bin/cat"


def test_alarms_are_counted_by_who_and_rule(tmp_path: Path) -> None:
    """On two machines, by a rule and by none."""
    lines = [LINE, LINE, systrace_line(BY_RULE), f"Nov 27 06:00:00 web1 enforcer[7]: {LINE}"]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    done = CliRunner().invoke(cli, ["alarms", str(tmp_path / "log")])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "1", "1"]
    done = CliRunner().invoke(cli, ["alarms", "--json", str(tmp_path / "log")])
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["host"], each["count"]) for each in found] == [("", 2), ("", 1), ("web1", 1)]
