"""Docker's, Podman's and OCI's seccomp JSON, as runc and crun give it to libseccomp.

Formats: moby/profiles (seccomp/seccomp.go) and the OCI runtime specification, "linux.seccomp".
Docker resolves includes and excludes first; libseccomp then compares whole 64-bit registers.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from enforcer.arch import native
from enforcer.arch.others import abi_named
from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ACTION_MASK, DATA_MASK, ERRNO, KILL_THREAD, TRACE
from enforcer.condition import TRUE, WORD, All, Compare, Condition, Operator
from enforcer.filters.model import ANSWERS, Entry, Filter, Form, errno_answer, filter_of, note
from enforcer.policy.ast import Position
from enforcer.policy.names import LAST_ERRNO, parse_errno
from enforcer.policy.problem import Problems, suggestion
from enforcer.syscalls import names

CAPABILITIES = frozenset(
    f"CAP_{word}"
    for word in [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""What a container has where nobody asks for more: includes and excludes are judged by it."""

_OPERATORS: Mapping[str, Operator] = {
    f"SCMP_CMP_{operator.name}": operator for operator in Operator
}
_MASKED = "SCMP_CMP_MASKED_EQ"
_ACTIONS: Mapping[str, int] = {f"SCMP_ACT_{word.upper()}": value for word, value in ANSWERS.items()}
_NUMBERED = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_KEYS = frozenset(
    {
        *("defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap"),
        *("syscalls", "flags", "listenerPath", "listenerMetadata"),
    }
)
_ENTRY_KEYS = frozenset(
    ["names", "name", "action", "errnoRet", "args", "comment", "includes", "excludes", "errno"]
)
_ARCH = "SCMP_ARCH_"


def read_docker(text: str, source: str) -> Filter:
    """The filter of a profile on this machine. Raises PolicyError with every mistake."""
    problems = Problems(source, text)
    document = _parsed(text, problems)
    problems.raise_errors()
    return _Reader(text, document, source, problems).filter()


def resolved(text: str, source: str) -> str:
    """The profile as OCI's `linux.seccomp`: what Docker or Podman give to the runtime.

    Entries that `includes` and `excludes` take away are left out, and the architectures are named.
    Raises PolicyError.
    """
    problems = Problems(source, text)
    document = _parsed(text, problems)
    problems.raise_errors()
    return json.dumps(_Reader(text, document, source, problems).resolved(), indent=1)


def _parsed(text: str, problems: Problems) -> Mapping[str, object]:
    found: object = None
    twice: list[str] = []
    try:
        found = json.loads(text, object_pairs_hook=partial(_object, twice=twice))
    except json.JSONDecodeError as error:
        message = f"this is no JSON: {error.msg}" if text.strip() else "the file is empty"
        mend = "" if text.strip() else "a profile is a JSON object with `defaultAction`"
        problems.add(Position(error.lineno, error.colno), message, mend)
    except RecursionError:
        problems.add(None, "this JSON is nested too deep", "a profile is nested four deep")
    except ValueError:
        problems.add(None, "a number of thousands of digits", "the kernel's have 64 bits")
    if isinstance(found, dict) and isinstance(found.get("linux"), dict):
        found = found["linux"].get("seccomp", {})
        if found in ({}, None) and not problems.found:
            message = "a config.json without `linux.seccomp`: it is under no filter"
            problems.add(None, message, "a profile is an object with `defaultAction` there")
    if isinstance(found, dict) and not problems.found:
        for key in twice:
            if key in found.keys() & (_KEYS - _ENTRY_KEYS):
                places = [each.start() for each in re.finditer(re.escape(json.dumps(key)), text)]
                line = text.count("\n", 0, places[-1]) + 1 if places else 1
                problems.add(Position(line, 1), f"`{key}` stands there twice", "take one out")
        return found
    if not problems.found:
        problems.add(None, "a profile is a JSON object with `defaultAction` and `syscalls`")
    return {}


def _object(pairs: list[tuple[str, object]], twice: list[str]) -> dict[str, object]:
    """The object; keys that it has more than once, of which parsers keep different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice += [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    return found


@dataclass(frozen=True, kw_only=True)
class _Said:
    """An entry of `syscalls` and where it stands; `bound`: it has includes or excludes."""

    value: Mapping[str, object]
    line: int
    bound: bool


class _Reader:
    def __init__(
        self, text: str, document: Mapping[str, object], source: str, problems: Problems
    ) -> None:
        self.text = text
        self.document = document
        self.source = source
        self.problems = problems

    def error(self, line: int, message: str, mend: str = "") -> None:
        self.problems.add(Position(line, 1), message, mend)

    def filter(self) -> Filter:
        top = self._line_of("defaultAction")
        for key in self.document.keys() - _KEYS:
            note(self.problems, self._line_of(key), f"unknown key `{key}`: nothing is done by it")
        default = self._action(self.document, "defaultAction", "defaultErrnoRet", top)
        abis = self._abis()
        entries = list(self._entries(default))
        self.problems.raise_errors()
        return filter_of(
            _ordered(entries),
            source=self.source,
            form=Form.DOCKER,
            abis=abis,
            default=default,
            foreign=KILL_THREAD,
            problems=self.problems,
            by_libseccomp=True,
        )

    def resolved(self) -> Mapping[str, object]:
        """The document without what only Docker understands. Raises PolicyError."""
        entries = []
        for said in self._listed():
            answer = {
                "action": said.value.get("action"),
                **_errno_of(self._action(said.value, "action", "errnoRet", said.line)),
            }
            if self._applies(said):
                listed = said.value.get("names") or [said.value.get("name")]
                args = said.value.get("args") or []
                entries.append({"names": listed, **answer, "args": args})
        top = self._line_of("defaultAction")
        default = self._action(self.document, "defaultAction", "defaultErrnoRet", top)
        found: dict[str, object] = {"defaultAction": self.document.get("defaultAction")}
        found |= {f"default{key[0].upper()}{key[1:]}": v for key, v in _errno_of(default).items()}
        named = dict.fromkeys(self._architectures())
        if named:
            found["architectures"] = [*named]
        self.problems.raise_errors()
        return {**found, "syscalls": entries}

    def _line_of(self, key: str) -> int:
        place = self.text.find(json.dumps(key))
        return 1 if place < 0 else self.text.count("\n", 0, place) + 1

    def _abis(self) -> tuple[Abi, ...]:
        """This machine's, as far as the profile wants them, the native one first."""
        ours = native().abis
        wanted: set[str] = {ours[0].name}
        for name in self._architectures():
            line = self._line_of(name)
            if not name.startswith(_ARCH):
                self.error(line, f"`{name}` is no architecture", f"write {_ARCH}X86_64")
                continue
            try:
                abi = abi_named(name.removeprefix(_ARCH))
            except KeyError:
                near = suggestion(name, (f"{_ARCH}{each.name.upper()}" for each in ours))
                self.error(line, f"unknown architecture {name}", near)
                continue
            wanted |= {abi.name} if abi is not None else set()
        return tuple(abi for abi in ours if abi.name in wanted)

    def _architectures(self) -> Iterator[str]:
        listed = self.document.get("architectures")
        if listed is not None:
            yield from self._words(listed, "architectures", self._line_of("architectures"))
        groups = self.document.get("archMap") or []
        line = self._line_of("archMap")
        if not isinstance(groups, list):
            self.error(line, "`archMap` is a list of objects")
            return
        for group in groups:
            if not isinstance(group, dict) or not isinstance(group.get("architecture"), str):
                self.error(line, "each of `archMap` has an `architecture`")
                continue
            name = str(group["architecture"])
            below = self._words(group.get("subArchitectures") or [], "subArchitectures", line)
            try:
                main = abi_named(name.removeprefix(_ARCH))
            except KeyError:
                yield name  # which is said where it is looked up
                continue
            if main is not None and main.name == native().abis[0].name:
                yield from (name, *below)

    def _words(self, value: object, what: str, line: int) -> list[str]:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return [str(each) for each in value]
        self.error(line, f"`{what}` is a list of names")
        return []

    def _action(self, value: Mapping[str, object], key: str, number_key: str, line: int) -> int:
        name = value.get(key)
        if name in _NUMBERED:
            named = self._named_errno(value, number_key.removesuffix("Ret"), line)
            given = value.get(number_key, errno.EPERM) if named is None else named
            answer = None
            if isinstance(given, int) and not isinstance(given, bool):
                if name == "SCMP_ACT_ERRNO":
                    answer = self._errno_answer(given, number_key, line)
                elif 0 <= given <= 0xFFFF:
                    answer = TRACE(given)
            if answer is None:
                said = f"`{number_key}` is a number from 0 to {DATA_MASK}"
                self.error(line, said, f"not {given!r:.60}")
                return KILL_THREAD
            return answer
        if isinstance(name, str) and name in _ACTIONS:
            return _ACTIONS[name]
        near = suggestion(str(name)[:60], (*_ACTIONS, *_NUMBERED))
        said = "is missing" if name is None else f"is no action: {name!r:.60}"
        known = ", ".join(sorted({*_ACTIONS, *_NUMBERED}))
        self.error(line, f"`{key}` {said}", near or f"one of {known}")
        return KILL_THREAD

    def _errno_answer(self, number: int, key: str, line: int) -> int | None:
        """libseccomp takes 16 bits; the kernel answers with MAX_ERRNO what is above it."""
        if LAST_ERRNO < number <= DATA_MASK:
            note(self.problems, line, f"`{key}` {number}: the kernel answers {LAST_ERRNO}")
            return ERRNO(0) | number
        return errno_answer(number)

    def _named_errno(self, value: Mapping[str, object], key: str, line: int) -> int | None:
        """Podman's `errno` and `defaultErrno`: a name, which stands before the number."""
        named = value.get(key)
        if named in (None, ""):
            return None
        found = parse_errno(named) if isinstance(named, str) else None
        if found is None:
            self.error(line, f"`{key}` is the name of an errno", f"not {named!r:.60}")
        return found

    def _listed(self) -> Iterator[_Said]:
        """The entries with their lines, which the parser of JSON does not give."""
        entries = self.document.get("syscalls")
        if not isinstance(entries, list):
            if entries is not None:
                self.error(self._line_of("syscalls"), "`syscalls` is a list of objects")
            return
        found = re.search(r'"syscalls"\s*:\s*\[', self.text)
        place = found.end() if found else 0
        line = self.text.count("\n", 0, place) + 1
        twice: list[str] = []
        decoder = json.JSONDecoder(object_pairs_hook=partial(_object, twice=twice))
        for entry in entries:
            start, twice[:] = place, []
            if found:
                while self.text[start] in " \t\r\n,":
                    start += 1
                line += self.text.count("\n", place, start)
                begun = line
                _, place = decoder.raw_decode(self.text, start)
                line += self.text.count("\n", start, place)
            else:
                begun = 1
            for key in dict.fromkeys(twice):
                self.error(begun, f"`{key}` stands there twice", "take one out")
            if isinstance(entry, dict):
                bound = bool(entry.get("includes") or entry.get("excludes"))
                yield _Said(value=entry, line=begun, bound=bound)
            else:
                self.error(begun, "an entry of `syscalls` is an object")

    def _entries(self, default: int) -> Iterator[Entry]:
        known = names()
        first: dict[str, tuple[int, _Said]] = {}
        for said in self._listed():
            for key in said.value.keys() - _ENTRY_KEYS:
                note(self.problems, said.line, f"unknown key `{key}`: nothing is done by it")
            answer = self._action(said.value, "action", "errnoRet", said.line)
            when = self._condition(said)
            applies = self._applies(said)
            listed = said.value.get("names")
            if listed is None and said.value.get("name") is None:
                self.error(said.line, "`names` is missing", 'write "names": ["read"]')
                continue
            if listed is None:
                listed = [said.value.get("name")]
            for name in dict.fromkeys(self._words(listed, "names", said.line)):
                if name not in known:
                    near = suggestion(name, known)
                    note(self.problems, said.line, f"no ABI here has a call {name}: left out", near)
                if not applies or answer == default:
                    continue  # runc and crun skip what the default says already
                if when == TRUE and name in first and first[name][0] != answer:
                    self._contradiction(name, first[name][1], said)
                    continue
                if when == TRUE:
                    first.setdefault(name, (answer, said))
                yield Entry(call=name, when=when, answer=answer, line=said.line, source=self.source)

    def _contradiction(self, name: str, before: _Said, said: _Said) -> None:
        message = f"{name} is answered otherwise at line {before.line}, always too"
        if before.bound or said.bound:
            note(self.problems, said.line, f"{message}: that answer stands")
        else:
            self.error(said.line, message, "take it out of one of the two entries")

    def _condition(self, said: _Said) -> Condition:
        args = said.value.get("args") or []
        if not isinstance(args, list):
            self.error(said.line, "`args` is a list of objects")
            return TRUE
        found: list[Condition] = []
        for arg in args:
            compare = self._compare(arg, said.line)
            if compare is not None:
                found.append(compare)
        indices = [each.argument for each in found if isinstance(each, Compare)]
        if len(set(indices)) < len(indices):
            # runc, issue 1569: libseccomp refuses two comparisons of one register in one rule
            note(self.problems, said.line, "one register is compared twice: crun refuses that")
        return All(tuple(found)) if found else TRUE

    def _compare(self, arg: object, line: int) -> Compare | None:
        if not isinstance(arg, dict):
            self.error(line, "an argument is an object with index, value and op")
            return None
        index, value, second = (arg.get(key, 0) for key in ("index", "value", "valueTwo"))
        for name, number, top in (("index", index, 5), ("value", value, WORD)):
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= top:
                self.error(line, f"`{name}` is a number from 0 to {top}", f"not {number!r:.60}")
                return None
        second = second or 0
        operator = arg.get("op")
        if operator == _MASKED:
            if not isinstance(second, int) or not 0 <= second <= WORD:
                self.error(line, "`valueTwo` is an unsigned 64-bit number")
                return None
            return Compare(index, Operator.EQ, second, value)
        if not isinstance(operator, str) or operator not in _OPERATORS:
            near = suggestion(str(operator)[:60], (*_OPERATORS, _MASKED))
            self.error(line, f"unknown operator {operator!r:.60}", near)
            return None
        return Compare(index, _OPERATORS[operator], value)

    def _applies(self, said: _Said) -> bool:
        """Whether includes and excludes let the entry count for an ordinary container here."""
        ours = native().abis[0].name
        held = []
        for key in ("includes", "excludes"):
            part = said.value.get(key) or {}
            if not isinstance(part, dict):
                self.error(said.line, f"`{key}` is an object")
                return False
            machines = self._words(part.get("arches") or [], "arches", said.line)
            caps = self._words(part.get("caps") or [], "caps", said.line)
            is_here = any(self._is_machine(each, ours, said.line) for each in machines)
            has = [each in CAPABILITIES for each in caps]
            if key == "includes":
                held += [is_here or not machines, all(has), self._is_kernel(part, said.line)]
            else:
                held += [not is_here, not any(has)]
        return all(held)

    def _is_machine(self, name: str, ours: str, line: int) -> bool:
        try:
            abi = abi_named(name)
        except KeyError:
            self.error(line, f"unknown architecture {name}", "as Docker names them: amd64, arm64")
            return False
        return abi is not None and abi.name == ours

    def _is_kernel(self, part: Mapping[str, object], line: int) -> bool:
        wanted = part.get("minKernel") or "0.0"
        if not isinstance(wanted, str) or not re.fullmatch(r"\d{1,5}\.\d{1,5}", wanted):
            self.error(line, f"`minKernel` is `MAJOR.MINOR`, not {wanted!r:.60}")
            return False
        here = re.findall(r"\d+", os.uname().release)[:2]
        return [*map(int, wanted.split("."))] <= [*map(int, here)]


def _errno_of(answer: int) -> Mapping[str, int]:
    numbered = answer & ACTION_MASK in (ERRNO(0), TRACE(0))
    return {"errnoRet": answer & DATA_MASK} if numbered else {}


def _ordered(entries: list[Entry]) -> list[Entry]:
    """As libseccomp judges them: what has no condition stands before all other rules of a call."""
    return sorted(entries, key=lambda entry: entry.when != TRUE)
