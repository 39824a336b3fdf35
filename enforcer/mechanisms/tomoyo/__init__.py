"""TOMOYO: a domain of one target, whose rules permit names, entered by the target itself.

It is switched on for a machine once, by whoever executes its trigger, and for ever. Names are
judged, so a hard link or a bind mount from before gives a permitted name to a denied object.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from enforcer.access.kinds import Access
from enforcer.access.mediation import Mediation
from enforcer.access.tree import Node
from enforcer.kernel import namespaces
from enforcer.mechanisms.contract import LaunchError, Plan, PreparedName
from enforcer.mechanisms.preparing import Event, Needs, Run, Stage
from enforcer.mechanisms.security_module import SecurityModule, programs_of, tree_of_plan
from enforcer.mechanisms.tomoyo.records import CALLS, refusals
from enforcer.mechanisms.tomoyo.rules import DOMAIN, profiles, told

TOMOYO = Path("/sys/kernel/security/tomoyo")
SYSTEM = Path("/usr/sbin")
TRIGGERS = "/sbin/init"
TRIGGER, LOADER = SYSTEM / "init", SYSTEM / "tomoyo-init"
"""What security/tomoyo/load_policy.c waits for, and asks for, by their names in /sbin."""
READ_BYTES = 1 << 16


class Tomoyo(SecurityModule):
    """The mechanism."""

    name = PreparedName.TOMOYO
    needs = Needs(machine=True, lsm=("tomoyo",))
    says = Mediation(
        calls=frozenset().union(*CALLS.values()),
        refusals=frozenset({errno.EPERM}),
        together=frozenset({Access.WRITE, Access.CREATE}),
    )
    confined = DOMAIN

    def __init__(self) -> None:
        self.is_on = False

    def settle(self) -> None:
        """It is switched on, off for everybody: whoever does it, and is forked from them, may write
        the policy.
        """
        _tell_managers(TOMOYO)
        _switch_on()
        self.is_on = True

    def told(self, tree: Node, programs: Iterable[Path]) -> str:
        lines = told(tree, programs)
        return "\n".join((*lines.groups, "", DOMAIN, *lines.rules, ""))

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """Whoever enforces may write the policy before the trigger, and a manager after it."""
        files = stage.state / "securityfs"
        files.mkdir()
        namespaces.mount("securityfs", files, "securityfs")
        tomoyo = files / "tomoyo"
        lines = told(tree_of_plan(plan), programs_of(stage))
        own = _tell_managers(tomoyo)
        _write(tomoyo / "exception_policy", "\n".join((*lines.groups, "")))
        mine = (own, "use_profile 0", f"task manual_domain_transition {DOMAIN}")
        _write(tomoyo / "domain_policy", "\n".join((*mine, DOMAIN, *lines.rules, "")))
        if not self.is_on:
            _switch_on()
        try:
            _logged(tomoyo)
            yield replace(plan, data={**plan.data, "files": str(tomoyo)})
        finally:
            _write(tomoyo / "domain_policy", f"delete {DOMAIN}\n")
            gone = (f"delete {line}" for line in lines.groups)
            _write(tomoyo / "exception_policy", "\n".join((*gone, "")))
            namespaces.unmount(files)

    def enter(self, plan: Plan) -> None:
        _write(Path(str(plan.data["files"])) / "self_domain", f"{DOMAIN}\n")

    def confinement(self, plan: Plan, pid: int) -> str:
        """The domain, as the policy's own file tells it of a pid of the reader's."""
        policy = os.open(f"{plan.data['files']}/domain_policy", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(policy, f"select pid={pid}\n".encode("ascii"))
            said = os.read(policy, READ_BYTES).decode("ascii", "replace")
        finally:
            os.close(policy)
        return next((line for line in said.splitlines() if line.startswith("<")), "unknown")

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        return tuple(refusals(_logged(Path(str(plan.data["files"])))))


def _tell_managers(tomoyo: Path) -> str:
    """The profiles, and that this process's domain manages: its name."""
    own = (tomoyo / "self_domain").read_text(encoding="ascii").strip()
    _write(tomoyo / "profile", profiles())
    _write(tomoyo / "manager", f"{own}\n")
    return own


def _switch_on() -> None:
    """Execute the trigger. Both files are needed for a moment: whether the kernel's own helper
    finds the loader or not, the policy stays as it is, and is switched on.
    """
    script = "#!/bin/sh\nexit 0\n"
    namespaces.mount("tmpfs", SYSTEM, "tmpfs")
    try:
        for program in (TRIGGER, LOADER):
            program.write_text(script, encoding="ascii")
            program.chmod(0o755)
        _, status = os.waitpid(os.posix_spawn(TRIGGERS, [TRIGGERS], {}), 0)
        if status:
            raise LaunchError(f"{TRIGGERS}, TOMOYO's trigger: wait status {status}")
    finally:
        namespaces.unmount(SYSTEM)


def _logged(tomoyo: Path) -> str:
    """The records since they were last read; each read gives one, and the last one nothing."""
    found = b""
    audit = os.open(tomoyo / "audit", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while record := os.read(audit, READ_BYTES):
            found += record + b"\n\n"
    finally:
        os.close(audit)
    return found.decode("ascii", "replace")


def _write(file: Path, text: str) -> None:
    """Raises OSError; what is no rule is left out by the kernel without a word."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        data = text.encode("ascii")
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


MECHANISM = Tomoyo()
