"""systemd's SystemCallFilter=, in a unit or as a plain list of calls and sets.

Meaning: systemd.exec(5) and src/shared/seccomp-util.c. An allow list has @default in it; every
ABI that SystemCallArchitectures= does not take away is judged by the same names; others kill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from enforcer.arch import native
from enforcer.arch.others import abi_named
from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, ERRNO, KILL_PROCESS, KILL_THREAD, LOG
from enforcer.filters.call_sets import call_sets, members
from enforcer.filters.model import Entry, Filter, Form, filter_of, note
from enforcer.policy.ast import Position
from enforcer.policy.names import parse_errno
from enforcer.policy.problem import Problems, suggestion
from enforcer.syscalls import names

KEYS = ("SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures", "SystemCallLog")
_FILTERS_OF_THEIR_OWN = (
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
)


def read_systemd(text: str, source: str) -> Filter:
    """The filter of a unit on the ABIs of this machine. Raises PolicyError."""
    problems = Problems(source, text)
    found = _Unit(source, problems, call_sets()).read(text)
    problems.raise_errors()
    return found


def directives(text: str) -> tuple[str, ...]:
    """The lines of a unit that are about system calls, as systemd takes them in [Service]."""
    found = [(key, value) for _, key, value in _settings(text) if key in KEYS]
    found = found or [("SystemCallFilter", word) for _, word in _plain(text)]
    return tuple(f"{key}={value}" for key, value in found)


class _Unit:
    def __init__(
        self, source: str, problems: Problems, sets: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.source = source
        self.problems = problems
        self.sets = sets
        self.negative = KILL_PROCESS
        self.permits: bool | None = None
        self.listed: dict[str, tuple[int | None, int]] = {}
        self.logged: dict[str, int] = {}
        self.abis: tuple[Abi, ...] = native().abis
        self.restricted = False

    def read(self, text: str) -> Filter:
        settings = list(_settings(text))
        if not any(key in KEYS for _, key, _ in settings):
            settings = [(line, "SystemCallFilter", word) for line, word in _plain(text)]
        for line, key, value in settings:
            if key == "SystemCallFilter":
                self._filter(line, value)
            elif key == "SystemCallErrorNumber":
                self._error_number(line, value)
            elif key == "SystemCallArchitectures":
                self._architectures(line, value)
            elif key == "SystemCallLog":
                for name in self._calls(line, value.removeprefix("~")):
                    self.logged[name] = line
            elif key in _FILTERS_OF_THEIR_OWN and value.lower() not in ("", "no", "false", "0"):
                note(self.problems, line, f"{key}= is a filter of its own, which is not read here")
        if self.permits is None and not self.logged:
            self.problems.add(None, "no SystemCallFilter= in it", "name a unit that has one")
        self.problems.raise_errors()
        return self._made()

    def _made(self) -> Filter:
        permits = bool(self.permits)
        entries = []
        for name, (answer, line) in self.listed.items():
            plain = ALLOW if permits else self.negative
            entries.append(
                Entry(
                    call=name,
                    answer=plain if answer is None else answer,
                    line=line,
                    source=self.source,
                )
            )
        if self.logged:
            strict = {entry.call for entry in entries if entry.answer != ALLOW}
            kept = [entry for entry in entries if entry.call not in self.logged]
            kept += [entry for entry in entries if entry.call in self.logged and not permits]
            entries = kept + [
                Entry(call=name, answer=LOG, line=line, source=self.source)
                for name, line in self.logged.items()
                if name not in strict and (not permits or name in self.listed)
            ]
        return filter_of(
            entries,
            source=self.source,
            form=Form.SYSTEMD,
            abis=self.abis,
            default=self.negative if permits else ALLOW,
            foreign=KILL_THREAD if self.restricted else ALLOW,
            problems=self.problems,
            by_libseccomp=True,
        )

    def _filter(self, line: int, value: str) -> None:
        if not value:
            self.permits, self.listed = None, {}
            return
        inverted = value.startswith("~")
        if self.permits is None:
            self.permits = not inverted
            if self.permits:
                self._put(line, "@default", None)
        adds = inverted != self.permits
        for word in value.removeprefix("~").split():
            name, colon, number = word.partition(":")
            known = len(self.problems.found)
            answer = self._number(line, number) if colon else None
            if colon and not inverted:  # config_parse_syscall_filter
                message = f"{word}: systemd leaves out what has an errno without a `~`"
                if len(self.problems.found) == known:
                    note(self.problems, line, message, f"write SystemCallFilter=~{word}")
                continue
            if adds or answer is not None:  # what is taken out with an errno is put in with it
                self._put(line, name, answer)
            else:
                for each in self._calls(line, name):
                    self.listed.pop(each, None)

    def _put(self, line: int, name: str, answer: int | None) -> None:
        for each in self._calls(line, name):
            self.listed[each] = (answer, line)

    def _calls(self, line: int, text: str) -> Iterator[str]:
        known = names()
        for word in text.split():
            if word.startswith("@"):
                if not self.sets:
                    message = f"{word}: the sets are asked from systemd-analyze, which is not here"
                    self.problems.add(Position(line, 1), message, "install systemd, or list calls")
                elif word not in self.sets:
                    near = suggestion(word, self.sets)
                    self.problems.add(Position(line, 1), f"no set {word} in this systemd", near)
                else:
                    yield from (each for each in members(word, self.sets))
            elif word not in known:
                near = suggestion(word, known)
                note(self.problems, line, f"no ABI here has a call {word}: left out", near)
            else:
                yield word

    def _number(self, line: int, text: str) -> int:
        if text == "kill":
            return KILL_PROCESS
        value = 0 if text == "0" else parse_errno(text)
        if value is None:
            self.problems.add(Position(line, 1), f"`{text}` is no errno", "write EPERM, or kill")
            return KILL_PROCESS
        return ERRNO(value)

    def _error_number(self, line: int, value: str) -> None:
        self.negative = self._number(line, value) if value else KILL_PROCESS

    def _architectures(self, line: int, value: str) -> None:
        ours = native().abis
        if not value:
            self.abis, self.restricted = ours, False
            return
        wanted = set()
        for word in value.split():
            try:
                abi = ours[0] if word == "native" else abi_named(word)
            except KeyError:
                self.problems.add(Position(line, 1), f"unknown architecture {word}", "or: native")
                continue
            wanted |= {abi.name} if abi is not None else set()
        self.restricted = True
        self.abis = tuple(abi for abi in ours if abi.name in wanted) or ours[:1]


def _settings(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, key, value) of a unit; lines that end in a backslash are joined."""
    waiting, first = "", 0
    lines = [*text.split("\n"), ""]  # systemd takes a last line that ends in a backslash, too
    for line, raw in enumerate(lines, 1):
        if raw.lstrip().startswith(("#", ";")):
            continue
        first = first if waiting else line
        waiting += raw.rstrip("\r")
        if waiting.endswith("\\"):
            waiting = waiting[:-1] + " "
            continue
        key, equals, value = waiting.partition("=")
        if equals:
            yield first, key.strip(), value.strip()
        waiting = ""


def _plain(text: str) -> Iterator[tuple[int, str]]:
    for line, raw in enumerate(text.split("\n"), 1):
        word = raw.strip()
        if word and not word.startswith(("#", ";", "[")) and "=" not in word:
            yield line, word
