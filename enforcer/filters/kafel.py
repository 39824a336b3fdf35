"""Kafel's language, as nsjail takes it: policies of action blocks, the first rule that holds wins.

Format: kafel's README and src/parser.y. Argument names are those of the call's declaration, which
are the model's; a comparison of two arguments is refused, because no condition here says it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from enforcer.arch import native
from enforcer.arch.others import abi_named
from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, KILL_PROCESS, KILL_THREAD, LOG, TRACE, TRAP, USER_NOTIF
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.filters.model import Entry, Filter, Form, errno_answer, filter_of, note
from enforcer.filters.nsjail import NSJAIL, holds_kafel, kafel_of
from enforcer.filters.words import DEEPEST, Reader, Stuck, Word, included, parse_number, words
from enforcer.policy.ast import Position
from enforcer.policy.problem import Problems, suggestion
from enforcer.syscalls import names, syscall, table

_WORD = re.compile(
    r"(?P<SKIP>\s+|//[^\n]*|/\*(?s:.)*?\*/)|(?P<INCLUDE>\#include[^\n;]*[\n;]?)|"
    r"(?P<NUMBER>-?0x[0-9a-fA-F]+|-?0b[01]+|-?[0-9]+)|(?P<NAME>[A-Za-z][A-Za-z0-9_]*)|"
    r"(?P<SIGN>==|!=|<=|>=|\|\||&&|[<>&|!(){}\[\],\#])"
)
_ANSWERS: Mapping[str, int] = {
    "ALLOW": ALLOW,
    "LOG": LOG,
    "DENY": KILL_THREAD,
    "KILL": KILL_THREAD,
    "KILL_THREAD": KILL_THREAD,
    "KILL_PROCESS": KILL_PROCESS,
    "USER_NOTIF": USER_NOTIF,
}
_NUMBERED: Mapping[str, Callable[[int], int | None]] = {
    "ERRNO": errno_answer,
    "TRAP": lambda data: TRAP | data if 0 <= data <= 0xFFFF else None,
    "TRACE": lambda data: TRACE(data) if 0 <= data <= 0xFFFF else None,
}
_OPERATORS: Mapping[str, Operator] = {operator.value: operator for operator in Operator}
_TURNED: Mapping[Operator, Operator] = {
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}
_RENAMED: Mapping[str, str] = {"newstat": "stat", "newfstat": "fstat", "newlstat": "lstat"}
"""Kafel takes the names of the kernel's functions, some of which are not those of the calls."""
_MOST_INCLUDES = 16
MOST_ENTRIES = 20_000
"""Rules, used ones counted each time: USE within USE doubles."""

_Operand = tuple[int | None, int, bool]
"""A register (None: no register) and the mask on it, or the number itself; whether it is long."""
_LONG = frozenset(
    {
        *(("clone", "clone_flags"), ("ptrace", "pid")),
        *(("mmap", name) for name in ("prot", "flags", "fd")),
        *((call, "fd") for call in ("readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2")),
    }
)
"""Arguments that the kernel declares as `long`, although it takes 32 bits of them."""


def read_kafel(text: str, source: str) -> Filter:
    """The filter of a policy on this machine's native ABI. Raises PolicyError."""
    problems = Problems(source, text)
    reading = _Reading(native().abis[0], source, problems)
    if source.endswith(NSJAIL) and not holds_kafel(text):
        mend = "name the file that its seccomp_policy_file names, if it has one"
        problems.add(Position(1, 1), "no seccomp_string in it", mend)
    else:
        inner = kafel_of(text) if source.endswith(NSJAIL) else text
        reading.text(inner, source, (Path(source).absolute(),), problems)
    problems.raise_errors()
    _note_unreachable(reading.main, problems)
    default = KILL_THREAD if reading.default is None else reading.default
    return filter_of(
        reading.main,
        source=source,
        form=Form.KAFEL,
        abis=(reading.abi,),
        default=default,
        foreign=KILL_THREAD,
        unlisted=default,  # kafel looks at AUDIT_ARCH alone, which x32 shares
        problems=problems,
    )


def _note_unreachable(entries: Iterable[Entry], problems: Problems) -> None:
    """Say which rules never count, because one without a condition stands before them."""
    always: dict[str | int, Entry] = {}
    for each in entries:
        before = always.get(each.call)
        is_mine = each.source == problems.source
        if before is not None and before.answer != each.answer and is_mine:
            place = f"{before.source}:{before.line}"
            note(problems, each.line, f"{each.call} is answered already, always: {place}")
        if each.when == TRUE:
            always.setdefault(each.call, each)


class _Reading:
    """One compilation over all included files."""

    def __init__(self, abi: Abi, source: str, problems: Problems) -> None:
        self.abi = abi
        self.problems = problems
        self.main: list[Entry] = []
        self.default: int | None = None
        self.numbers: dict[str, int] = {}
        self.policies: dict[str, list[Entry]] = {}

    def text(self, text: str, source: str, chain: tuple[Path, ...], problems: Problems) -> None:
        try:
            reader = Reader(list(words(_WORD, text, problems)), problems)
            _Program(self, reader, source, chain).read()
        except Stuck:
            return  # a language without lines: what follows a mistake means nothing


class _Program:
    """The statements of one file."""

    def __init__(
        self, reading: _Reading, reader: Reader, source: str, chain: tuple[Path, ...]
    ) -> None:
        self.reading = reading
        self.reader = reader
        self.source = source
        self.chain = chain

    def read(self) -> None:
        """The whole file. Raises Stuck."""
        reader = self.reader
        while reader.next.kind:
            if reader.next.kind == "INCLUDE":
                self._include(reader.take())
            elif reader.accept("#"):
                reader.expect("define", "#")
                name, value = reader.take(), reader.take()
                number = parse_number(value.text)
                if name.kind != "NAME" or number is None:
                    reader.fail("#define needs a name and a number", at=name)
                self.reading.numbers[name.text] = number
            elif reader.accept("POLICY"):
                self._policy()
            elif word := reader.accept("DEFAULT"):
                answer = self._action()
                if self.reading.default is not None:
                    reader.fail("the default action is stated twice", at=word)
                self.reading.default = answer
            else:
                self.reading.main += self._statements()

    def _include(self, word: Word) -> None:
        quoted = re.findall(r'"([^"]+)"', word.text)
        if not quoted:
            self.reader.fail("#include needs a file in quotes", at=word)
        for name in quoted:
            path = self.chain[-1].parent / name
            if len(self.chain) > _MOST_INCLUDES:
                self.reader.fail("#include is nested too deep", at=word)
            try:
                text = included(path, self.chain)
            except OSError as error:
                self.reader.fail(f"{name} cannot be included: {error.strerror}", at=word)
            inner = Problems(str(path), text)
            self.reading.text(text, str(path), (*self.chain, path), inner)
            self.reading.problems.found += inner.found

    def _policy(self) -> None:
        reader = self.reader
        name = reader.take()
        if name.kind != "NAME":
            reader.fail("a policy has a name", at=name)
        if name.text in self.reading.policies:
            reader.fail(f"policy {name.text} is defined twice", at=name)
        reader.expect("{", "the policy's name")
        entries = [] if reader.next.text == "}" else self._statements()
        reader.expect("}", "the policy")
        self.reading.policies[name.text] = entries

    def _statements(self) -> list[Entry]:
        found = self._statement()
        while self.reader.accept(","):
            found += self._statement()
            if len(found) > MOST_ENTRIES:
                self.reader.fail(f"more than {MOST_ENTRIES} rules")
        return found

    def _statement(self) -> list[Entry]:
        reader = self.reader
        if reader.accept("USE"):
            name = reader.take()
            if name.text not in self.reading.policies:
                near = suggestion(name.text, self.reading.policies)
                mend = near or "a policy is defined before it is used"
                reader.fail(f"no policy {name.text}", mend, at=name)
            return list(self.reading.policies[name.text])
        answer = self._action()
        reader.expect("{", "the action")
        found: list[Entry] = []
        while not reader.accept("}"):
            found += self._rule(answer)
            if not reader.accept(","):
                reader.expect("}", "the rules")
                break
        return found

    def _action(self) -> int:
        reader = self.reader
        word = reader.take()
        if word.text in _ANSWERS:
            return _ANSWERS[word.text]
        if word.text not in _NUMBERED:
            near = suggestion(word.text, (*_ANSWERS, *_NUMBERED, "USE", "POLICY", "DEFAULT"))
            reader.fail(f"`{word.text}` is no action", near, at=word)
        reader.expect("(", word.text)
        number = reader.take()
        value = parse_number(number.text)
        answer = None if value is None else _NUMBERED[word.text](value)
        if answer is None:
            reader.fail(f"{word.text} takes a number that the kernel knows", at=number)
        reader.expect(")", "the number")
        return answer

    def _rule(self, answer: int) -> list[Entry]:
        reader = self.reader
        word = reader.next
        call = self._call()
        arguments = self._arguments(call)
        here = self._is_here()
        when: Condition = TRUE
        if reader.accept("{") and not reader.accept("}"):
            when = _Expression(reader, self.reading.numbers, arguments).read()
            reader.expect("}", "the expression")
        if not here or call is None:
            return []
        entry = Entry(
            call=call, when=when, answer=answer, line=word.position.line, source=self.source
        )
        return [entry]

    def _call(self) -> str | int | None:
        """A name, a number, or None for a call that this ABI lacks."""
        reader = self.reader
        word = reader.take()
        if word.text == "SYSCALL":
            reader.expect("[", "SYSCALL")
            number = reader.take()
            value = parse_number(number.text)
            if value is None:
                reader.fail("SYSCALL takes a number", at=number)
            reader.expect("]", "the number")
            return value & 0xFFFF_FFFF
        if word.text in self.reading.numbers:
            return self.reading.numbers[word.text] & 0xFFFF_FFFF
        name = _RENAMED.get(word.text, word.text)
        if name in table(self.reading.abi.name):
            return name
        if name in names():
            note(reader.problems, word.position.line, f"{self.reading.abi.name} has no {name}")
            return None
        return reader.fail(f"unknown call {word.text}", suggestion(word.text, names()), at=word)

    def _arguments(self, call: str | int | None) -> Mapping[str, tuple[int, bool]]:
        """The register of each argument, and whether all of it is compared (src/codegen.c).

        Of those that the kernel declares with 32 bits kafel compares the lower half; what a policy
        names itself is long.
        """
        reader = self.reader
        if reader.accept("("):
            found: dict[str, tuple[int, bool]] = {}
            while reader.next.kind == "NAME":
                word = reader.take()
                if word.text in found or len(found) == 6:
                    reader.fail(f"argument {word.text} is one too many", at=word)
                found[word.text] = len(found), True
                if not reader.accept(","):
                    break
            reader.expect(")", "the arguments")
            return found
        if not isinstance(call, str):
            return {}
        return {
            each.name: (each.index, not each.width32 or (call, each.name) in _LONG)
            for each in syscall(call, self.reading.abi.name).arguments
        }

    def _is_here(self) -> bool:
        reader = self.reader
        if not reader.accept("ON"):
            return True
        several = reader.accept("{")
        held = False
        while True:
            word = reader.take()
            try:
                abi = abi_named(word.text)
            except KeyError:
                mend = "as kafel names them: amd64, i386, arm, aarch64"
                reader.fail(f"unknown architecture {word.text}", mend, at=word)
            held = held or (abi is not None and abi.name == self.reading.abi.name)
            if not several or not reader.accept(","):
                break
        if several:
            reader.expect("}", "the architectures")
        return held


class _Expression:
    """A list of boolean expressions, of which one has to hold."""

    def __init__(
        self,
        reader: Reader,
        numbers: Mapping[str, int],
        arguments: Mapping[str, tuple[int, bool]],
    ) -> None:
        self.reader = reader
        self.numbers = numbers
        self.arguments = arguments

    def read(self) -> Condition:
        """Raises Stuck."""
        found = [self._or(0)]
        while self.reader.accept(","):
            found.append(self._or(0))
        return Any(tuple(found))

    def _or(self, depth: int) -> Condition:
        if depth > DEEPEST:
            self.reader.fail("nested too deep")
        found = [self._and(depth)]
        while self.reader.accept("||"):
            found.append(self._and(depth))
        return Any(tuple(found))

    def _and(self, depth: int) -> Condition:
        found = [self._primary(depth)]
        while self.reader.accept("&&"):
            found.append(self._primary(depth))
        return All(tuple(found))

    def _primary(self, depth: int) -> Condition:
        reader = self.reader
        if reader.accept("!"):
            reader.expect("(", "!")
            inner = self._or(depth + 1)
            reader.expect(")", "the expression")
            return Not(inner)
        place = reader.place
        known = len(reader.problems.found)
        if reader.next.text == "(":
            try:
                return self._comparison(depth)
            except Stuck:
                first = reader.problems.found[known:]
                del reader.problems.found[known:]
                reader.place = place
                reader.expect("(")
                try:
                    inner = self._or(depth + 1)
                except Stuck:
                    reader.problems.found[known:] = first
                    raise
                reader.expect(")", "the expression")
                return inner
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Condition:
        left = self._bits(depth)
        word = self.reader.take()
        operator = _OPERATORS.get(word.text)
        if operator is None:
            self.reader.fail(f"`{word.text}` is no comparison", at=word)
        right = self._bits(depth)
        if left[0] is None:
            left, right, operator = right, left, _TURNED.get(operator, operator)
        if left[0] is None:
            self.reader.fail("a comparison of two numbers", at=word)
        if right[0] is not None:
            self.reader.fail("two arguments are compared, which is not supported", at=word)
        is_long = left[2] or right[2]
        return Compare(left[0], operator, right[1], left[1] if is_long else left[1] & LOW_HALF)

    def _bits(self, depth: int) -> _Operand:
        found = self._masked(depth)
        while word := self.reader.accept("|"):
            other = self._masked(depth)
            if found[0] is not None or other[0] is not None:
                self.reader.fail("`|` joins numbers only", at=word)
            found = (None, found[1] | other[1], found[2] or other[2])
        return found

    def _masked(self, depth: int) -> _Operand:
        found = self._operand(depth)
        while word := self.reader.accept("&"):
            other = self._operand(depth)
            if found[0] is not None and other[0] is not None:
                self.reader.fail("two arguments are joined, which is not supported", at=word)
            register = found[0] if other[0] is None else other[0]
            found = (register, found[1] & other[1], found[2] or other[2])
        return found

    def _operand(self, depth: int) -> _Operand:
        if depth > DEEPEST:
            self.reader.fail("nested too deep")
        if self.reader.accept("("):
            found = self._bits(depth + 1)
            self.reader.expect(")", "the value")
            return found
        word = self.reader.take()
        if word.kind == "NUMBER":
            number = parse_number(word.text)
            if number is None:
                self.reader.fail(f"{word.text} is out of range", at=word)
            return None, number, number > LOW_HALF
        if word.text in self.arguments:
            register, is_long = self.arguments[word.text]
            return register, WORD, is_long
        if word.text in self.numbers:
            return None, self.numbers[word.text], self.numbers[word.text] > LOW_HALF
        near = suggestion(word.text, (*self.arguments, *self.numbers))
        return self.reader.fail(f"`{word.text}` is no argument and no constant", near, at=word)
