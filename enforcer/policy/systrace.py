"""Reads systrace's own policy files (`*.systrace`): several policies a file, one rule a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from enforcer.call import Action, Transition
from enforcer.policy.ast import (
    Dialect,
    Expression,
    Policy,
    Position,
    Predicate,
    Rule,
)
from enforcer.policy.expressions import Parser
from enforcer.policy.names import errno_names, parse_errno
from enforcer.policy.problem import Problems, suggestion
from enforcer.policy.tokens import (
    Fragment,
    SyntaxProblem,
    Token,
    TokenKind,
    fragment_of,
    tokenize,
)

EPERM = 1

_CASELESS = re.IGNORECASE | re.ASCII
_POLICY = re.compile(r"\s*policy:\s*(\S.*?)\s*,\s*emulation:\s*([A-Za-z0-9_]+)\s*\Z", _CASELESS)
_TEMPLATE = re.compile(
    r"\s*template:\s*(\S.*?)\s*,\s*emulation:\s*([A-Za-z0-9_]+)\s*,\s*description:\s*(.*?)\s*\Z",
    _CASELESS,
)
_HEADER = re.compile(r"\s*(policy|template)\s*:", _CASELESS)
_DETACHED = re.compile(r"\s*detached\s*\Z", re.ASCII)
_DEFAULT = re.compile(r"\s*default:\s+(\S.*?)\s*\Z", re.ASCII)
"""Ours: systrace asked about every call that no rule answers."""
_RULE = re.compile(r"\s*([A-Za-z0-9_]+)-(#?[A-Za-z0-9_-]+)\s*:(?=\s|\Z)", re.ASCII)
_SIMPLE = ("permit", "permit-now", "deny", "deny-now", "ask")
_ACTIONS = ("permit", "deny", "ask")


@dataclass
class _Open:
    """A policy whose lines are being read."""

    binary: str | None
    emulation: str
    template: str = ""
    description: str = ""
    detached: bool = False
    default: Action = Action.ASK
    default_errno: int = EPERM
    rules: list[Rule] = field(default_factory=list)

    def close(self, source: str) -> Policy:
        return Policy(
            binary=self.binary,
            dialect=Dialect.SYSTRACE,
            rules=tuple(self.rules),
            emulation=self.emulation,
            detached=self.detached,
            default=self.default,
            default_errno=self.default_errno,
            template=self.template,
            description=self.description,
            source=source,
        )


def read_systrace(
    text: str, source: str, constants: Mapping[str, int]
) -> tuple[tuple[Policy, ...], Problems]:
    """The policies of a file, and what is wrong with them (nothing is raised)."""
    problems = Problems(source, text)
    policies: list[_Open] = []
    for number, line in _statements(text):
        if _HEADER.match(line):
            policies.append(_header(line, number, problems))
        elif not policies:
            problems.add(
                _whole(line, number),
                "this stands before any policy",
                "begin with: Policy: /path/of/binary, Emulation: native",
            )
        elif _DETACHED.match(line):
            policies[-1].detached = True
        elif found := _DEFAULT.match(line):
            _default(found, number, policies[-1], problems)
        else:
            rule = _rule(line, number, policies[-1], problems, constants)
            if rule is not None:
                policies[-1].rules += _today(rule)
    if not policies and not problems.found:
        problems.add(
            Position(1, 1, 1),
            "the file has no policy",
            "begin with: Policy: /path/of/binary, Emulation: native",
        )
    return tuple(each.close(source) for each in policies), problems


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Headers and rules with the number of their first line, comments blanked.

    A line that begins neither continues the one before, as a wrapped filter does in print.
    """
    pending: tuple[int, str] | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _without_comment(raw.rstrip("\r"))
        starts = any(each.match(line) for each in (_HEADER, _DETACHED, _DEFAULT, _RULE))
        if pending is not None and not starts and (line.strip() or _is_open(pending[1])):
            pending = (pending[0], pending[1] + "\n" + line)
            continue
        if pending is not None:
            yield pending
        pending = (number, line) if line.strip() else None
    if pending is not None:
        yield pending


def _is_open(statement: str) -> bool:
    """Whether a filter still lacks its action, so that empty lines belong to it too."""
    return bool(re.search(r"(\b(then|and|or|not)|->|[:(])\s*\Z", statement))


def _without_comment(line: str) -> str:
    """The line with its comment cut; `#` in a string or after `-` begins none."""
    quoted = False
    place = 0
    while place < len(line):
        character = line[place]
        if quoted and character == "\\":
            place += 1
        elif character == '"':
            quoted = not quoted
        elif character == "#" and not quoted and line[place - 1 : place] != "-":
            return line[:place]
        place += 1
    return line


def _whole(line: str, number: int) -> Position:
    first = line.split("\n", 1)[0]
    start = len(first) - len(first.lstrip())
    return Position(number, start + 1, max(1, len(first.strip())))


def _header(line: str, number: int, problems: Problems) -> _Open:
    line = line.replace("\n", " ")
    if found := _POLICY.match(line):
        binary = found.group(1)
        if binary != "*" and not binary.startswith("/"):
            problems.add(
                Position(number, found.start(1) + 1, len(binary)),
                "the path of a binary is absolute",
                "write /path/of/binary, or * for any",
            )
        return _Open(None if binary == "*" else binary, found.group(2))
    if found := _TEMPLATE.match(line):
        name, emulation, description = found.groups()
        return _Open(None, emulation, name, description)
    problems.add(
        _whole(line, number),
        "this header is not complete",
        "Policy: /path, Emulation: native   or   "
        "Template: name, Emulation: native, Description: text",
    )
    return _Open(None, "native")


def _default(found: re.Match[str], number: int, policy: _Open, problems: Problems) -> None:
    """ "default:" ( "permit" | "deny" ["[" errno "]"] | "ask" | "kill" )."""
    text = found.group(1)
    answer = re.fullmatch(r"(permit|ask|kill)|deny(?:\[\s*(\w+)\s*\])?", text)
    errno = parse_errno(answer.group(2) or "eperm") if answer else None
    if answer is None or errno is None:
        problems.add(
            Position(number, found.start(1) + 1, len(text)),
            f"unknown default {text}",
            "write permit, deny, deny[errno], ask or kill",
        )
        return
    policy.default = Action(answer.group(1) or "deny")
    policy.default_errno = errno


def _rule(
    line: str, number: int, policy: _Open, problems: Problems, constants: Mapping[str, int]
) -> Rule | None:
    """emul "-" syscall ":" ( simple [", if" predicate] | filter )."""
    found = _RULE.match(line)
    if found is None:
        problems.add(_whole(line, number), "this is not a rule", "write: native-open: permit")
        return None
    emulation, call = found.groups()
    if emulation != policy.emulation:
        problems.add(
            Position(number, found.start(1) + 1, len(emulation)),
            f"a rule for {emulation} in a policy for {policy.emulation}",
            f"write {policy.emulation}-{call}",
        )
    whole = fragment_of(line, line=number)
    fragment = Fragment(whole.text[found.end() :], whole.places[found.end() :])
    place = Position(number, found.start(1) + 1, len(emulation) + 1 + len(call))
    try:
        tail = _Tail(tokenize(fragment, any_escape=True), problems, constants)
        return tail.rule(call, place)
    except SyntaxProblem as problem:
        problems.add(problem.position, problem.message, problem.mend)
        return None


def _today(rule: Rule) -> Iterator[Rule]:
    """The rule, or one for each call of Linux that does what a BSD's did under the rule's name."""
    (call,) = rule.calls
    for name in BSD_CALLS.get(call, (call,)):
        yield replace(rule, calls=(name,))


BSD_CALLS: Mapping[str, tuple[str, ...]] = {
    "__getcwd": ("getcwd",),
    "__sysctl": ("_sysctl",),
    "closefrom": ("close_range",),
    "fhopen": ("open_by_handle_at",),
    "fstatat": ("newfstatat", "fstatat64"),
    "getdirentries": ("getdents", "getdents64"),
    "getentropy": ("getrandom",),
    "pread": ("pread64",),
    "pwrite": ("pwrite64",),
    "sbrk": ("brk",),
    "setegid": ("setresgid", "setregid"),
    "seteuid": ("setresuid", "setreuid"),
    "thrkill": ("tgkill", "tkill"),
}
"""Names of calls of NetBSD and OpenBSD that Linux has by another name."""


class _Tail(Parser):
    """What follows `native-open: `."""

    def __init__(
        self, tokens: list[Token], problems: Problems, constants: Mapping[str, int]
    ) -> None:
        super().__init__(tokens, Dialect.SYSTRACE, problems, constants)
        self._noted = problems

    def rule(self, call: str, place: Position) -> Rule:
        """[expression ("then" | "->")] action [errno] ["log"] ["as" ids] [", if" predicate]."""
        when: Expression | None = None
        if not self.token.is_word(*_SIMPLE):
            when = self.expression()
            if not self.token.is_word("then") and not self.token.is_sign("->"):
                raise SyntaxProblem(
                    self.token.position,
                    f"expected `then` and an action, found {self.token}",
                    'write: filename eq "/tmp" then permit',
                )
            self.advance()
        known = _SIMPLE if when is None else _ACTIONS
        word = self.advance()
        if not word.is_word(*known):
            raise SyntaxProblem(
                word.position,
                f"expected an action, found {word}",
                suggestion(word.text, known) or "actions: " + " ".join(known),
            )
        action = Action(word.text.removesuffix("-now"))
        errno = self._errno() if action is Action.DENY else 0
        transition = self._transition() if action is Action.PERMIT else Transition.SWITCH
        log = self.token.is_word("log")
        if log:
            self.advance()
        elevation = None
        if self.token.is_word("as"):
            self.advance()
            elevation = self.elevation()
        predicate = self._predicate()
        self.expect_end()
        return Rule(
            calls=(call,),
            when=when,
            action=action,
            errno=errno,
            now=word.text.endswith("-now"),
            log=log,
            elevation=elevation,
            transition=transition,
            predicate=predicate,
            position=place,
            call_positions=(place,),
        )

    def _errno(self) -> int:
        if not self.token.is_sign("["):
            return EPERM
        self.advance()
        token = self.advance()
        number = None
        if token.kind in (TokenKind.NAME, TokenKind.NUMBER):
            number = parse_errno(token.text)
        if number is None:
            self._noted.add(
                token.position,
                f"unknown error code {token}",
                suggestion(token.text.lower(), errno_names()),
            )
        self.expect_sign("]")
        return number or EPERM

    def _transition(self) -> Transition:
        if not self.token.is_sign("["):
            return Transition.SWITCH
        self.advance()
        token = self.advance()
        if not token.is_word("inherit", "detach"):
            raise SyntaxProblem(
                token.position,
                f"expected inherit or detach, found {token}",
                "an error code belongs to deny",
            )
        self.expect_sign("]")
        return Transition(token.text)

    def _predicate(self) -> Predicate | None:
        if not self.token.is_sign(","):
            return None
        self.advance()
        if not self.token.is_word("if"):
            raise SyntaxProblem(
                self.token.position, f"expected `if`, found {self.token}", "write: , if user = root"
            )
        self.advance()
        return self.predicate()
