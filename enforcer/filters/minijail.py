"""Minijail's .policy files, as minijail0 -S reads them and as its newer compiler does.

Format: minijail0(5), and tools/parser.py of minijail. `expression; return ERRNO` allows where the
expression holds (syscall_filter.c); within braces the first filter that holds answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from enforcer.arch import native
from enforcer.arch.others import abi_named
from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, KILL_THREAD
from enforcer.condition import TRUE, WORD, All, Any, Compare, Condition, Operator
from enforcer.filters.model import ANSWERS, Entry, Filter, Form, errno_answer, filter_of, note
from enforcer.filters.words import DEEPEST, Reader, Stuck, Word, included, parse_number, words
from enforcer.policy.names import parse_errno
from enforcer.policy.problem import Problems, suggestion
from enforcer.syscalls import names, table
from enforcer.syscalls.constants import constants

_WORD = re.compile(
    r"(?P<SKIP>[ \t\r]+|\\[ \t\r]*\n)|(?P<COMMENT>\#[^\n]*)|(?P<END>\n)|"
    r"(?P<AT>@[a-z]+)|(?P<PATH>\.{0,2}/[^\s]+)|"
    r"(?P<NUMBER>-?(?:0[xX][0-9a-fA-F]+|[0-9]+)(?![A-Za-z_]))|"
    r"(?P<SIGN>\|\||&&|==|!=|<=|>=|[<>&|~(){}\[\]:;,=])|"
    r"(?P<ARG>arg[0-9]+\b)|(?P<NAME>[A-Za-z_][A-Za-z_0-9@-]*)"
)
_OPERATORS: Mapping[str, Operator] = {
    "==": Operator.EQ,
    "!=": Operator.NE,
    "<": Operator.LT,
    "<=": Operator.LE,
    ">": Operator.GT,
    ">=": Operator.GE,
}
_ACTIONS: Mapping[str, int] = {
    word.replace("_", "-").replace("notify", "user-notify"): value
    for word, value in ANSWERS.items()
}


def read_minijail(text: str, source: str) -> Filter:
    """The filter of a policy file on this machine's native ABI. Raises PolicyError.

    minijail compiles for one ABI and kills what comes from another.
    """
    problems = Problems(source, text)
    abi = native().abis[0]
    reading = _Reading(abi, problems)
    reading.file(text, source, problems, (Path(source).absolute(),))
    problems.raise_errors()
    default = KILL_THREAD if reading.default is None else reading.default
    default = ALLOW if reading.denylist else default
    return filter_of(
        reading.entries,
        source=source,
        form=Form.MINIJAIL,
        abis=(abi,),
        default=default,
        foreign=KILL_THREAD,
        unlisted=default,  # minijail looks at AUDIT_ARCH alone, which x32 shares
        problems=problems,
    )


class _Reading:
    """One compilation, over all files that it includes."""

    def __init__(self, abi: Abi, problems: Problems) -> None:
        self.abi = abi
        self.problems = problems
        self.entries: list[Entry] = []
        self.default: int | None = None
        self.denylist = False
        self._open: dict[str, str] = {}
        self._closed: dict[str, str] = {}

    def file(self, text: str, source: str, problems: Problems, chain: tuple[Path, ...]) -> None:
        """Read one file; `chain` are the files by which one came here, itself the last."""
        try:
            reader = Reader(list(words(_WORD, text, problems)), problems)
        except Stuck:
            return
        while reader.next.kind:
            if reader.accept("\n"):
                continue
            try:
                _Statement(self, reader, source, chain).read()
                if reader.next.kind and not reader.accept("\n"):
                    reader.fail("the line goes on where it should end")
            except Stuck:
                reader.skip_past("\n")

    def include(self, word: Word, named: str, chain: tuple[Path, ...], problems: Problems) -> None:
        """Read an included file in place. Mistakes in it are told with its own name."""
        path = Path(named)
        beside = chain[-1].parent / (path.name if path.is_absolute() else path)
        if path.is_absolute() and not _is_there(path) and _is_there(beside):
            # Where policies are published they stand together, and name where they are installed.
            note(problems, word.position.line, f"no file at {path}: the one beside is taken")
            path = beside
        elif not path.is_absolute():
            # The compiler takes it from the file's directory, minijail0 from the one that it is in.
            path = next((each for each in (beside, path) if _is_there(each)), path)
        if len(chain) > 10:
            problems.add(word.position, "@include is nested too deep")
            return
        try:
            text = included(path, chain)
        except OSError as error:
            problems.add(word.position, f"{named} cannot be included: {error.strerror}")
            return
        if len(chain) == 2:
            note(problems, word.position.line, "minijail0 refuses @include in an included file")
        inner = Problems(str(path), text)
        self.file(text, str(path), inner, (*chain, path))
        self.problems.found += [each for each in inner.found if inner is not self.problems]

    def say(self, call: str, place: str, word: Word, problems: Problems, *, closes: bool) -> None:
        """A call has one more statement, which `closes` where it answers always.

        The compiler in Python joins the filters of several (parser.py, parse_file).
        """
        if call in self._closed:
            message = f"{call} is answered in every case already: {self._closed[call]}"
            problems.add(word.position, message, "take one of the two out")
        elif call in self._open:
            note(
                problems,
                word.position.line,
                f"minijail0 -S refuses a second statement for {call}, after {self._open[call]}; "
                "its compiler in Python joins them",
            )
        self._open.setdefault(call, place)
        if closes:
            self._closed.setdefault(call, place)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name that is too long


class _Statement:
    """One statement of a policy."""

    def __init__(
        self, reading: _Reading, reader: Reader, source: str, chain: tuple[Path, ...]
    ) -> None:
        self.reading = reading
        self.reader = reader
        self.source = source
        self.chain = chain
        self._constants = constants(reading.abi.name)
        self._most = (1 << reading.abi.bits) - 1

    def read(self) -> None:
        """Take the whole statement. Raises Stuck."""
        word = self.reader.next
        if word.kind == "AT":
            self._directive(self.reader.take())
            return
        calls = self._calls()
        self.reader.expect(":", "the call's name")
        filters = list(self._filters())
        closes = any(when == TRUE for when, _ in filters)
        place = f"{self.source}:{word.position.line}"
        for call in calls:
            self.reading.say(call.text, place, call, self.reader.problems, closes=closes)
        for when, answer in filters:
            for call in calls:
                self.reading.entries.append(
                    Entry(
                        call=call.text,
                        when=when,
                        answer=answer,
                        line=word.position.line,
                        source=self.source,
                    )
                )

    def _directive(self, word: Word) -> None:
        reader, reading = self.reader, self.reading
        match word.text:
            case "@denylist":
                reading.denylist = True
            case "@default":
                answer = self._action()
                if reading.default not in (None, answer):
                    reader.fail("@default is stated already, with another answer", at=word)
                if answer == ALLOW:
                    reader.fail("@default cannot permit", "write @denylist", at=word)
                reading.default = answer
            case "@include" | "@frequency":
                path = reader.take()
                if path.kind != "PATH":
                    reader.fail("a path that begins with ./ or /", at=path)
                if word.text == "@include":
                    reading.include(path, path.text, self.chain, reader.problems)
            case _:
                near = suggestion(word.text, ("@include", "@default", "@denylist", "@frequency"))
                reader.fail(f"unknown directive {word.text}", near, at=word)

    def _calls(self) -> list[Word]:
        if not self.reader.accept("{"):
            return self._call()
        found = self._call()
        while self.reader.accept(","):
            found += self._call()
        self.reader.expect("}", "the calls")
        return found

    def _call(self) -> list[Word]:
        word = self.reader.take()
        if word.kind != "NAME":
            self.reader.fail("a call's name is missing", at=word)
        if self.reader.accept("[") and not self._is_ours():
            return []
        if "@" in word.text:
            self.reader.fail(f"{word.text}: groups of calls stand in minijail's constants.json")
        known = table(self.reading.abi.name)
        if word.text not in known:
            if word.text in names():
                line = word.position.line
                note(self.reader.problems, line, f"{self.reading.abi.name} has no {word.text}")
                return []
            near = suggestion(word.text, known)
            self.reader.fail(f"unknown call {word.text}", near, at=word)
        return [word]

    def _is_ours(self) -> bool:
        """Whether `[arch=x86_64,arm]` names this machine."""
        ours = True
        while True:
            key = self.reader.take()
            self.reader.expect("=", "a key")
            values = [self.reader.take()]
            while self.reader.accept(","):
                values.append(self.reader.take())
            if key.text == "arch":
                ours = any(self._is_machine(each) for each in values)
            if not self.reader.accept(";"):
                break
        self.reader.expect("]", "the values")
        return ours

    def _is_machine(self, word: Word) -> bool:
        try:
            abi = abi_named(word.text)
        except KeyError:
            self.reader.fail(f"unknown architecture {word.text}", "as x86_64, arm64", at=word)
        return abi is not None and abi.name == self.reading.abi.name

    def _filters(self) -> Iterator[tuple[Condition, int]]:
        """(condition, answer) in the order in which they are judged; else the default answers."""
        if self.reader.accept("{"):
            while True:
                yield self._filter()
                if not self.reader.accept(","):
                    break
            self.reader.expect("}", "the filters")
            return
        if self.reader.next.kind != "ARG":
            yield TRUE, self._action()
            return
        when = self._expression()
        second = self.reader.accept(";")
        answer = self._action() if second else None
        if second and not self.reading.denylist:
            line = second.position.line
            message = "minijail0 -S allows where the expression holds and else refuses so; "
            note(self.reader.problems, line, message + "its compiler in Python refuses all")
        if self.reading.denylist:
            yield when, KILL_THREAD if answer is None else answer
            return
        yield when, ALLOW
        if answer is not None:
            yield TRUE, answer

    def _filter(self) -> tuple[Condition, int]:
        if self.reader.next.kind != "ARG":
            return TRUE, self._action()
        when = self._expression()
        return when, self._action() if self.reader.accept(";") else ALLOW

    def _action(self) -> int:
        word = self.reader.take()
        if word.text == "1":
            return ALLOW
        if word.text == "return":
            number = self.reader.take()
            value = parse_errno(number.text) if number.kind == "NAME" else parse_number(number.text)
            answer = None if value is None else errno_answer(value)
            if answer is None:
                self.reader.fail(f"`{number.text}` is no errno", "write EPERM, or 1", at=number)
            return answer
        if word.text not in _ACTIONS:
            near = suggestion(word.text, (*_ACTIONS, "return"))
            self.reader.fail(f"`{word.text.strip()}` is no answer", near, at=word)
        return _ACTIONS[word.text]

    def _expression(self) -> Condition:
        found = [self._conjunction()]
        while self.reader.accept("||"):
            found.append(self._conjunction())
        return Any(tuple(found))

    def _conjunction(self) -> Condition:
        found = [self._atom()]
        while self.reader.accept("&&"):
            found.append(self._atom())
        return All(tuple(found))

    def _atom(self) -> Condition:
        word = self.reader.take()
        if word.kind != "ARG" or word.text[3:] not in "012345":
            self.reader.fail("one of arg0 to arg5 is missing", at=word)
        register = int(word.text[3:])
        sign = self.reader.take()
        value = self._value(0)
        if sign.text == "&":
            return Compare(register, Operator.NE, 0, value)
        if sign.text == "in":
            return Compare(register, Operator.EQ, 0, ~value & self._most)
        if sign.text not in _OPERATORS:
            known = (*_OPERATORS, "&", "in")
            self.reader.fail(f"`{sign.text}` is no comparison", f"one of {' '.join(known)}", sign)
        return Compare(register, _OPERATORS[sign.text], value)

    def _value(self, depth: int) -> int:
        value = self._constant(depth)
        while self.reader.accept("|"):
            value |= self._constant(depth)
        return value

    def _constant(self, depth: int) -> int:
        if depth > DEEPEST:
            self.reader.fail("nested too deep")
        if self.reader.accept("~"):
            return ~self._constant(depth + 1) & self._most
        if self.reader.accept("("):
            value = self._value(depth + 1)
            self.reader.expect(")", "the value")
            return value
        word = self.reader.take()
        found = parse_number(word.text) if word.kind == "NUMBER" else None
        if word.kind == "NAME":
            found = self._constants.get(word.text)
        if found is None:
            near = suggestion(word.text, self._constants) if word.kind == "NAME" else ""
            self.reader.fail(f"`{word.text.strip()}` is no known number", near, at=word)
        return found & self._most & WORD
