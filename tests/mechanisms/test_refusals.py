"""Every refusal is one event, whichever call it is and whoever in the supervisor refuses it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from errno import EFAULT, ENOSYS, ENOTTY, EPERM
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.syscalls import names, table
from tests.mechanisms.questions import Question, right
from tests.mechanisms.sandbox import run

ABI = native().abis[0].name
MARK = 0x5A5A
OF_SIX = 6
BY_REGISTERS = f"""
default: deny[enotty]
rules:
  - permit: [{", ".join(sorted(names()))}]
    when: arg[5]:32 != {MARK}
"""
BY_TEXTS = (
    BY_REGISTERS
    + """
  - permit: [fsread, fswrite, chdir, chroot, execve, execveat, mount, umount2]
    when: filename eq "/no such file"
  - permit: [connect, bind, sendto, sendmsg, sendmmsg]
    when: sockaddr eq "inet-[192.0.2.1]:9"
  - permit: [clone3]
    when: flags sub "no such flag"
"""
)
LEFT_OUT = frozenset({"sendto", "uprobe", "uretprobe"})
"""The last argument of sendto, the mark, is the length of an address: the kernel refuses that. The
probes' calls are made by the kernel's own code in a program, and pass every filter (SIGILL)."""
OTHERWISE = {
    ("notify", "clone3"): ENOSYS,  # by the filter, so that C libraries fall back to clone
    # No rule on names can read a handle: ptrace refuses it as such, notify where all of a policy
    # is enforced, which its rules on names for all calls are not.
    ("ptrace texts", "open_by_handle_at"): EPERM,
    ("notify texts", "open_by_handle_at"): EFAULT,
}
"""Refusals that are the mechanism's own."""


def _marked(call: str) -> Question:
    words = right(call, ABI)[: OF_SIX - 1]
    return (*words, *[0] * (OF_SIX - 1 - len(words)), MARK)


@pytest.mark.parametrize("rules", ["registers", "texts"])
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_default_refuses_every_call_in_one_event(
    mechanism: str, rules: str, tmp_path: Path
) -> None:
    """What no rule permits fails with the default's errno and is written down once, by its name."""
    calls = [call for call in sorted(table(ABI)) if call not in LEFT_OUT]
    (tmp_path / "where").mkdir()
    (tmp_path / "asked").write_text(json.dumps([(call, _marked(call)) for call in calls]))
    program = Path(__file__).with_name("asking.py")
    files = (tmp_path / "asked", tmp_path / "answers")
    asking = ("-I", "-S", program, json.dumps(dict(table(ABI))), *files)
    there = ("env", "-C", tmp_path / "where", sys.executable, *asking)
    policy = {"registers": BY_REGISTERS, "texts": BY_TEXTS}[rules]
    ran = run(mechanism, policy, there, tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    answers = dict(zip(calls, json.loads((tmp_path / "answers").read_text()), strict=True))
    asked = (mechanism, f"{mechanism} {rules}")
    own = {call: [-number] for (who, call), number in OTHERWISE.items() if who in asked}
    assert {call: said for call, said in answers.items() if said != own.get(call, [-ENOTTY])} == {}
    told = Counter(
        event["call"]
        for event in ran.events
        if event["event"] == "decision" and event["reason"] == "default"
    )
    assert told == Counter(call for call in calls if call not in own)
