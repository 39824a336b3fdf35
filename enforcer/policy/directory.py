"""Directories of policies, as systrace had them: one file a binary, named after it.

A file's name need say nothing of its form: what begins with systrace's header is in its language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from enforcer.policy.ast import Policy
from enforcer.policy.load import load_policies
from enforcer.policy.parser import SUFFIXES
from enforcer.policy.problem import PolicyError, Problem
from enforcer.syscalls.loader import aliases

SYSTEM = Path("/etc/systrace")
_SHIPPED = Path(__file__).with_name("shipped")

_SYSTRACE = re.compile(rb"^\s*(policy|template):[^\n]*\bemulation:", re.IGNORECASE | re.MULTILINE)
_HEAD_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where policies are read, and how: all that reading them again takes.

    `files` come before those of `directories`; the first policy for a binary counts. `forms` says
    how a file is written whose name does not tell it. Without `has_aliases` rules on aliases count
    for nothing.
    """

    files: tuple[Path, ...] = ()
    directories: tuple[Path, ...] = ()
    form: str | None = None
    has_aliases: bool = True
    variables: Mapping[str, str] | None = None

    def paths(self) -> tuple[Path, ...]:
        """The files as they are now. Raises OSError for a directory that cannot be read."""
        found = [path for directory in self.directories for path in _in_directory(directory)]
        return (*self.files, *found)

    def load(self, path: Path) -> tuple[Policy, ...]:
        """The policies of one file, ready to be enforced. Raises PolicyError."""
        form = self.form if path in self.files else None
        if form is None and not path.suffix and path.is_file():
            form = form_of(path)  # not of a pipe, which has its text no second time
        found = load_policies(path, variables=self.variables, form=form)
        return found if self.has_aliases else tuple(map(without_aliases, found))

    def load_all(self) -> tuple[Policy, ...]:
        """All of them. Raises PolicyError with the problems of every file."""
        found: list[Policy] = []
        problems: list[Problem] = []
        for path in self.paths():
            try:
                found += self.load(path)
            except PolicyError as error:
                problems += error.problems
        if problems:
            raise PolicyError(problems)
        return tuple(found)


def shipped(name: str) -> Path | None:
    """The policy that comes with the enforcer for the program `name`; None: there is none."""
    path = _SHIPPED / f"{name}.yaml"
    return path if "/" not in name and path.is_file() else None


def shipped_names() -> tuple[str, ...]:
    """The programs that there is one for."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def _in_directory(directory: Path) -> Iterable[Path]:
    """The files of a directory that may be policies, by name; a missing directory has none."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        is_policy = path.suffix in ("", *SUFFIXES) and not path.name.endswith("~")
        if is_policy and not path.name.startswith(".") and path.is_file():
            yield path


def form_of(path: Path) -> str:
    """How a file is written whose name says nothing of it."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return "systrace"
    return "systrace" if _SYSTRACE.search(head) else "yaml"


def without_aliases(policy: Policy) -> Policy:
    """The policy with rules on real names alone."""
    known = aliases()
    rules = (
        replace(rule, calls=tuple(name for name in rule.calls if name not in known))
        for rule in policy.rules
    )
    return replace(policy, rules=tuple(rule for rule in rules if rule.calls))


def for_command(policies: Sequence[Policy], binary: str) -> tuple[Policy, ...]:
    """Those that a command can come under when nobody sees which image it executes.

    One alone where its policy permits no execution, or is for any binary.
    """
    own = next((policy for policy in policies if policy.binary in (binary, None)), None)
    if own is None:
        return tuple(policies)
    executes = any(
        rule.action == "permit" and {"execve", "execveat"} & set(rule.calls) for rule in own.rules
    )
    return tuple(policies) if executes and own.binary is not None else (own,)
