"""Somebody else's sandbox as a backend: everything about it stands in its YAML file.

Its target is held at a gate (external/gate.c), and what confines it is seen there from outside.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

from enforcer.access.kinds import Access
from enforcer.arch import native
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs
from enforcer.kernel.seccomp import status
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    LaunchError,
    Missing,
    Plan,
    Unavailable,
)
from enforcer.mechanisms.preparing import Event, Met, Needs, Stage
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import execute
from enforcer.syscalls import number
from harness import process
from harness.backends.definition import Definition
from harness.backends.fitting import fit, nearest
from harness.installing import by_pip
from harness.model import VerdictKind

VERSION_S = 20.0
PREPARE_S = 20.0
LOG_BYTES = 4 << 20
STAGE = "stage"
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_TMP = Path("/tmp")
_UNLISTENED = 1  # a port of this machine's that nobody listens on
_FILTER_MODE = 2


@dataclass(frozen=True)
class External:
    """The backend that a description makes."""

    definition: Definition
    leaky: bool = False
    weakness: str = ""
    held: bool = True
    counts: bool = False

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def mechanism(self) -> str:
        return self.definition.name

    @property
    def needs(self) -> Needs:
        return self.definition.needs

    @property
    def rooted(self) -> bool:
        return self.definition.needs.root

    @property
    def logs(self) -> bool:
        return self.definition.log is not None

    @property
    def usual(self) -> VerdictKind:
        return self.definition.expect

    @property
    def own(self) -> tuple[Path, ...]:
        """The files that its commands name, and the description's directory if they say
        `${here}`.
        """
        definition = self.definition
        commands = (definition.command, *definition.prepare, *definition.undo)
        words = [word for command in commands for word in command]
        files = {Path(word) for word in words if word.startswith("/") and Path(word).is_file()}
        says_here = any("${here}" in word for word in words)
        here = {definition.path.resolve().parent} if says_here else set()
        return tuple(sorted(files | here))

    @property
    def refusals(self) -> frozenset[int]:
        return self.definition.rights.refusals

    def probe(self) -> tuple[Missing, ...]:
        """Programs, packages and privilege that this machine lacks; features are probed with the
        case's.
        """
        needs = self.definition.needs
        installs = " or ".join(_installed(name, what) for name, what in needs.packages.items())
        missing = [
            Missing(feature=f"{each} is not installed", mend=installs)
            for each in needs.binaries
            if shutil.which(each) is None
        ]
        missing += [
            Missing(feature=f"the Python package {each} is not installed", mend=installs)
            for each in needs.modules
            if importlib.util.find_spec(each) is None
        ]
        if needs.root and os.geteuid() != 0:
            missing.append(Missing(feature="it needs root", mend="run the laboratory as root"))
        return tuple(missing)

    def version(self) -> str:
        """The first line of its version command that has a number, or why there is none."""
        try:
            said = process.run(self._words(self.definition.version, {}), timeout_s=VERSION_S)
        except (OSError, process.ProcessTimeout) as error:
            return f"unknown: {error}"
        lines = f"{said.stdout}\n{said.stderr}".splitlines()
        found = next((line.strip() for line in lines if re.search(r"\d\.?\d", line)), "")
        if not found:
            return f"unknown: {' '.join(said.describe().split())}"
        # PRoot draws its name.
        return found if found[0].isalnum() else f"{self.name} {found.split()[-1]}"

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return fit(policy, abis, self.definition.rights).covers

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
        """What the sandbox is told. Raises Inexpressible for a rule of which nothing is kept."""
        fitted = fit(policies[0], abis, self.definition.rights)
        covers = list(fitted.covers)
        if any(policy != policies[0] for policy in policies):
            reason = "it has one policy for all programs"
            covers.append(Cover(rule=None, extent=Extent.NONE, reason=reason))
        if any(cover.extent is Extent.NONE for cover in covers):
            raise Inexpressible([cover for cover in covers if cover.extent is not Extent.FULL])
        return Plan(
            mechanism="none",
            machine=abis[0].name,
            data={
                "told": [[path, list(words)] for path, words in fitted.told],
                "permitted": _listed(fitted.permitted),
                "wanted": _listed(fitted.wanted),
                "ports": {call: sorted(ports) for call, ports in fitted.ports.items()},
                "calls": dict(fitted.calls),
                "inexpressible": [
                    {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                    for c in covers
                    if c.extent is not Extent.FULL
                ],
            },
        )

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage) -> Iterator[Plan]:
        """Its own files and what its file asks for under `prepare`; gone with the run's mounts."""
        lacking = self.probe()
        if lacking:
            raise Unavailable("; ".join(f"{each.feature} ({each.mend})" for each in lacking))
        if (self.rooted or self.definition.prepare) and not stage.walled:
            raise Unavailable("it needs a run with mounts of its own: root")
        for word in map(Path, self._words(self.definition.command, {})):
            if any(map(word.is_relative_to, (_TMP, stage.root))) and not word.exists():
                why = f"a run has a {stage.root} of its own; move it elsewhere"
                beneath = f": {why}, or write it under `files`" * word.is_relative_to(stage.root)
                raise LaunchError(f"{self.definition.path}: {word} is not there{beneath}")
        stage.state.mkdir(mode=0o755)
        if not stage.denied.is_file():
            stage.beside.write_text("a probe\n")
            os.chown(stage.beside, stage.uid, stage.gid)
        if not self.rooted:
            os.chown(stage.state, stage.uid, stage.gid)
        try:
            self._do(self.definition.prepare, stage)
            yield replace(plan, data={**plan.data, STAGE: values_of(stage)})
        finally:
            self._do(self.definition.undo, stage)

    def _do(self, commands: Sequence[Sequence[str]], stage: Stage) -> None:
        values = {**values_of(stage), "init": str(os.getpid())}
        for words in commands:
            try:
                done = process.run(self._words(words, values), timeout_s=PREPARE_S)
            except (OSError, process.ProcessTimeout) as error:
                raise LaunchError(
                    f"{self.definition.path}: {shlex.join(words)}: {error}"
                ) from error
            if done.status != 0:
                raise LaunchError(f"{self.definition.path}: {done.describe()}")

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """What the policy denies of the denied object, of ports and of calls, one of each kind."""
        found: list[str] = []
        tried = stage.tried
        permitted = nearest(str(tried), _sets(plan.data["wanted"]))
        for kind in (Access.READ, Access.WRITE, Access.EXECUTE):
            can = kind is not Access.EXECUTE or os.access(tried, os.X_OK)
            if kind in self.definition.rights.controlled - permitted and can:
                found.append(f"{kind}:{tried}")
        found += [f"{call}:{_UNLISTENED}" for call in _mapping(plan.data["ports"])]
        native_abi = native().abis[0].name
        names = (call for call in _mapping(plan.data["calls"]) if call in _HARMLESS)
        numbers = [nr for call in names if (nr := number(native_abi, call)) is not None]
        return (*found, *(f"call:{nr}" for nr in numbers[:1]))

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Become the sandbox. Raises LaunchError, OSError."""
        words, files = self.command_line(plan, command)
        for name, text in files.items():
            Path(name).write_text(text)
        log.emit(
            EventKind.START,
            mechanism=self.name,
            version=self.version(),
            command=words,
            inexpressible=plan.data["inexpressible"],
        )
        try:
            execute(words)
        except OSError as error:
            # Of execve(2), also for what a script's first line names.
            raise LaunchError(
                f"{self.definition.path}: `{words[0]}` cannot be started: {error.strerror}"
            ) from error

    def command_line(self, plan: Plan, command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The words that run `command` in the sandbox by a plan that was prepared, and the files
        that they need, by name. Raises LaunchError.
        """
        values = cast("Mapping[str, str]", plan.data[STAGE])
        told = self._told(plan, command, values)
        files = {
            f"{values['state']}/{name}": self._text(text, told, values, command)
            for name, text in self.definition.files.items()
        }
        words: list[str] = []
        for word in self.definition.command:
            words += told[word] if word in told else self._words([word], values)
        return words, files

    def _told(
        self, plan: Plan, command: Sequence[str], values: Mapping[str, str]
    ) -> dict[str, list[str]]:
        """The words that `${grants}` and the like stand for."""
        rights = self.definition.rights
        plain = cast("list[tuple[str, list[str]]]", plan.data["told"])
        told = [(path, words) for path, words in plain]
        permitted = _sets(plan.data["permitted"])
        programs = [word for word in command if word.startswith(f"{values['root']}/bin/")]
        for path in dict.fromkeys(programs):
            # Of the sandbox, not of the policy: without it nothing could be started.
            if Access.EXECUTE in nearest(path, permitted):
                continue
            giving = [right for right in rights.grants if Access.EXECUTE in right.access]
            least = min(giving, key=lambda right: len(right.access), default=None)
            if least is None:
                raise LaunchError(f"{self.definition.path}: no grant gives `execute`")
            told.append((path, list(least.words)))
        grants = [
            word
            for path, words in sorted(told, key=lambda each: each[0].rstrip("/").split("/"))
            for word in self._words(words, {**values, "path": path})
        ]
        ports: list[str] = []
        for call, numbers in _mapping(plan.data["ports"]).items():
            opened = cast("list[int]", numbers)
            if not opened:
                ports += self._words(rights.closed.get(call, ()), values)
            for port in opened:
                ports += self._words(rights.ports[call], {**values, "port": str(port)})
        calls = [
            word
            for call, refusal in _mapping(plan.data["calls"]).items()
            for word in self._words(
                rights.calls,
                {
                    **values,
                    "call": call,
                    "errno": str(refusal),
                    "ERRNO": errno.errorcode.get(int(str(refusal)), str(refusal)),
                },
            )
        ]
        return {
            "${grants}": grants,
            "${ports}": ports,
            "${calls}": calls,
            "${command}": list(command),
        }

    def _text(
        self,
        text: str,
        told: Mapping[str, Sequence[str]],
        values: Mapping[str, str],
        command: Sequence[str],
    ) -> str:
        """A file's text: several words are joined, the command is a JSON list."""
        join = self.definition.join
        joined = {word[2:-1]: join.join(words) for word, words in told.items()}
        joined["command"] = json.dumps(list(command))
        return _PLACEHOLDER.sub(lambda found: {**values, **joined}.get(found[1], found[0]), text)

    def _words(self, words: Sequence[str], values: Mapping[str, str]) -> list[str]:
        here = self.definition.path.resolve().parent
        known = {"python": sys.executable, "here": str(here), **values}
        return [_PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), w) for w in words]

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """ENFORCING with what was seen, if all that the file states under `witness` is there.

        Where nothing of a policy can be tried, the other evidence has to do.
        """
        evidence: dict[str, object] = {"pid": met.pid}
        lacking = ""
        stated = self.definition.witness
        for each in stated:
            kind, _, which = each.partition(":")
            if kind == "probe" and not met.answers and len(stated) > 1:
                continue
            seen, there = _WITNESSES[kind](met, which, self.refusals)
            evidence[each] = seen
            if not there:
                lacking = lacking or f"{each}: {seen}"
        if lacking:
            return ({"event": EventKind.START.value, "unwitnessed": lacking},)
        return (
            {
                "event": EventKind.ENFORCING.value,
                "mechanism": self.name,
                "witness": evidence,
                "Seccomp": evidence.get("seccomp"),
            },
        )

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """The refusals in the sandbox's own log, as decisions."""
        log = self.definition.log
        if log is None:
            return ()
        name = self._words([log.path], values_of(stage))[0]
        try:
            text = Path(name).read_bytes()[:LOG_BYTES].decode("utf-8", "backslashreplace")
        except OSError:
            return ()
        return tuple(
            {
                "event": EventKind.DECISION.value,
                "action": Action.DENY.value,
                "call": found["call"],
                "values": {"object": [found["object"]]},
                "line": found[0],
            }
            for found in re.finditer(log.refusal, text, re.M)
        )


# Calls that take a name first: with none they do nothing, and answer EFAULT if nobody refuses.
_HARMLESS = ("mkdir", "rmdir", "unlink", "chmod", "truncate", "creat", "chdir", "stat", "access")
_INSTALLS = {"debian": "apt-get install", "go": "go install", "source": "a build of"}


def _installed(where: str, what: str) -> str:
    """What to do for packages that are kept there."""
    return by_pip(what) if where == "pypi" else f"{_INSTALLS[where]} {what}"


def values_of(stage: Stage) -> dict[str, str]:
    """What a description may write as `${name}` of the place of a run."""
    return {
        "state": str(stage.state),
        "dir": str(stage.directory),
        "root": str(stage.root),
        "uid": str(stage.uid),
        "gid": str(stage.gid),
    }


def _mapping(data: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", data)


def _listed(found: Mapping[str, frozenset[Access]]) -> dict[str, list[str]]:
    return {path: sorted(kinds) for path, kinds in found.items()}


def _sets(data: object) -> dict[str, frozenset[Access]]:
    found = cast("Mapping[str, Sequence[str]]", data)
    return {path: frozenset(map(Access, kinds)) for path, kinds in found.items()}


Seen = tuple[object, bool]


def _probed(met: Met, which: str, refusals: frozenset[int]) -> Seen:
    """Every act that must be refused was, as the file says that it refuses."""
    if not met.answers:
        return "nothing of this policy can be tried harmlessly", False
    named = {act: errno.errorcode.get(code, str(code)) for act, code in met.answers.items()}
    return named, all(code in refusals for code in met.answers.values())


def _filtered(met: Met, which: str, refusals: frozenset[int]) -> Seen:
    """Seccomp in /proc/PID/status: it is under a filter, as we are not."""
    if met.pid is None:
        return "no process here is the target", False
    found = status(met.pid)
    return found.mode, found.mode == _FILTER_MODE


def _traced(met: Met, which: str, refusals: frozenset[int]) -> Seen:
    """TracerPid in /proc/PID/status."""
    if met.pid is None:
        return "no process here is the target", False
    fields = procfs.status_fields(procfs.read(met.pid, "status"))
    tracer = int(fields.get(b"TracerPid", b"0"))
    return tracer, tracer != 0


def _apart(met: Met, which: str, refusals: frozenset[int]) -> Seen:
    """/proc/PID/ns/NAME is another than that of the run's init."""
    if met.pid is None:
        return "no process here is the target", False
    theirs = os.stat(f"{met.pid}/ns/{which}", dir_fd=procfs.root()).st_ino
    return theirs, theirs != Path(f"/proc/self/ns/{which}").stat().st_ino


def _told_by_environment(met: Met, which: str, refusals: frozenset[int]) -> Seen:
    """For what lives in the target itself there is no more to see; it may still be left out."""
    if met.pid is None:
        return "no process here is the target", False
    prefix = which.encode() + b"="
    said = [
        each for each in procfs.read(met.pid, "environ").split(b"\0") if each.startswith(prefix)
    ]
    return b" ".join(said).decode("utf-8", "backslashreplace") or f"no {which}", bool(said)


_WITNESSES: Mapping[str, Callable[[Met, str, frozenset[int]], Seen]] = {
    "probe": _probed,
    "seccomp": _filtered,
    "tracer": _traced,
    "namespace": _apart,
    "environment": _told_by_environment,
}
