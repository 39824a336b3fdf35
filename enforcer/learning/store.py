"""A directory of policies as systrace had it: one file a binary, under the binary's own name.

What stands in a file stays: comments, hand-made rules, other policies. What a recording adds comes
behind the rules of its policy, and only what these do not permit already.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from enforcer.call import Action, Call, Value
from enforcer.learning.observation import Observation
from enforcer.learning.rules import line_of
from enforcer.policy.ast import Policy, Rule
from enforcer.policy.decide import decide
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_systrace
from enforcer.policy.problem import PolicyError

PARTIAL = "# This policy is partial: the recording ended before the command did."
_HEADER = re.compile(
    r"^\s*policy:\s*(?P<binary>[^,]*?)\s*,\s*emulation:\s*(?P<emulation>\S+)", re.I
)
_ANY_HEADER = re.compile(r"^\s*(policy|template):", re.I)


def user_directory() -> Path:
    """~/.systrace"""
    return Path.home() / ".systrace"


def file_name(binary: str) -> str:
    """`/usr/sbin/inetd` -> `usr_sbin_inetd`"""
    return re.sub(r"[^A-Za-z0-9]", "_", binary).removeprefix("_")


class PolicyStore:
    """The policies of a directory, for whoever adds to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, binary: str) -> Path:
        """Where the policy of a binary stands, or would."""
        return self.directory / file_name(binary)

    def text(self, binary: str) -> str:
        """The file as it is, empty without one. Raises OSError, UnicodeDecodeError."""
        try:
            return self.path(binary).read_text("utf-8")
        except FileNotFoundError:
            return ""

    def policy(self, binary: str) -> Policy | None:
        """What is in force for a binary now. Raises PolicyError, OSError, UnicodeDecodeError."""
        text = self.text(binary)
        if not text.strip():
            return None
        path = self.path(binary)
        found = prepared(parse_systrace(text, str(path)), beside=self.directory)
        return next((each for each in found if each.binary == binary), None)

    def missing(self, binary: str, seen: Iterable[Observation]) -> list[Observation]:
        """What the policy in force does not permit already, by a rule or a refusal of its own."""
        policy = self.policy(binary)
        if policy is None:
            return list(seen)
        return [each for each in seen if not _is_settled(policy, each)]

    def add(self, binary: str, rules: Mapping[str, Rule], *, partial: bool) -> int:
        """Put rules behind those that are there; how many were new.

        The file is replaced in one step, so that nobody reads half of it. Raises OSError.
        """
        text = self.text(binary)
        lines = [line for line in text.splitlines() if line != PARTIAL]
        start, end, emulation = _section(lines, binary)
        if start < 0:
            if lines and lines[-1].strip():
                lines.append("")
            lines.append(f"Policy: {binary}, Emulation: {emulation}")
            start = end = len(lines)
        there = {line.strip() for line in lines[start:end]}
        new = [
            line
            for rule in rules.values()
            if (line := line_of(rule, emulation)).strip() not in there
        ]
        lines[end:end] = new
        if partial:
            lines.insert(0, PARTIAL)
        whole = "\n".join(lines) + "\n"
        if whole != text:
            self._replace(self.path(binary), whole)
        return len(new)

    def _replace(self, path: Path, text: str) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _section(lines: list[str], binary: str) -> tuple[int, int, str]:
    """The first and the last line but one of a binary's rules, and their emulation; -1: none."""
    for place, line in enumerate(lines):
        header = _HEADER.match(line)
        if header is None or header["binary"] != binary:
            continue
        end = next(
            (at for at in range(place + 1, len(lines)) if _ANY_HEADER.match(lines[at])), len(lines)
        )
        while end > place + 1 and not lines[end - 1].strip():
            end -= 1
        return place + 1, end, header["emulation"]
    return -1, -1, "native"


def _is_settled(policy: Policy, seen: Observation) -> bool:
    """Whether the policy permits it, or some rule of its own refuses it."""
    args = tuple(seen.args) if len(seen.args) == 6 else (0,) * 6
    values = tuple(
        Value(translator=translator, text=text, exists=place not in seen.absent)
        for translator, place, text in seen.values
    )
    a, b, c, d, e, f = args
    call = Call(name=seen.call, abi=seen.abi, args=(a, b, c, d, e, f), values=values)
    decision = decide(policy, call)
    if decision.action is Action.PERMIT:
        return True
    return decision.rule is not None and decision.action is not Action.ASK


__all__ = ["PARTIAL", "PolicyError", "PolicyStore", "file_name", "user_directory"]
