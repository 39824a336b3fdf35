"""What is wrong with a policy beyond its grammar, and what its author should know."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from enforcer.call import Action, Transition
from enforcer.condition import FALSE, LOW_HALF, Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Position,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.membership import ALL, MULTIPLEXERS
from enforcer.policy.order import ALIAS_TRANSLATORS, specialise
from enforcer.policy.patterns import can_take_long
from enforcer.policy.problem import Problem, Problems, Severity, suggestion
from enforcer.policy.register_text import register_text_condition
from enforcer.policy.tokens import ESCAPE, ESCAPES
from enforcer.policy.translators import TRANSLATORS, Origin, known_syscall, source
from enforcer.syscalls import ALIASES, names, varies
from enforcer.syscalls.constants import differing
from enforcer.syscalls.sockaddr import meant_text

_EXECUTES = frozenset({"execve", "execveat"})
_CONSTANT = re.compile(r"\b[A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+\b|\b[A-Z]{4,}[A-Z0-9]*\b")
_BRACKETED_SLASH = re.compile(r"(?<!\\)\[[^\]]*/[^\[]*\]")
_SHOWN_NAMES = 3


def check_policy(policy: Policy, text: str = "") -> tuple[Problem, ...]:
    """Errors that keep the policy from being loaded, and warnings, in file order.

    `text` is the source of the policy, for problems that show their line.
    """
    check = _Check(policy, text)
    for index, rule in enumerate(policy.rules):
        check.calls(rule)
        check.answer(rule)
        if rule.when is not None:
            for symbol, positive in symbols(rule.when):
                check.symbol(rule, symbol, positive)
            check.members(rule, rule.when)
        check.reached(index, rule)
        check.equivalents(rule)
    return tuple(sorted(check.problems.found, key=lambda each: (each.line, each.column)))


def symbols(
    expression: Expression, positive: bool = True
) -> Iterator[tuple[TextSymbol | RegisterSymbol, bool]]:
    """Every comparison of an expression, and whether it stands under an even number of `not`."""
    match expression:
        case NotExpression(operand):
            yield from symbols(operand, not positive)
        case AndExpression(left, right) | OrExpression(left, right):
            yield from symbols(left, positive)
            yield from symbols(right, positive)
        case TextSymbol() | RegisterSymbol():
            yield expression, positive
        case TrueSymbol():
            return


class _Check:
    """The checks of one policy."""

    def __init__(self, policy: Policy, text: str) -> None:
        self.policy = policy
        self.problems = Problems(policy.source, text)
        self._lines = text.split("\n")
        self._strict = policy.dialect is Dialect.STRICT
        self._wrong = Severity.ERROR if self._strict else Severity.WARNING

    def _warn(self, position: Position | None, message: str, mend: str = "") -> None:
        self.problems.add(position, message, mend, Severity.WARNING)

    def calls(self, rule: Rule) -> None:
        """Names of calls: known, not multiplexers, not written twice."""
        for place, name in enumerate(rule.calls):
            position = _position(rule, place)
            if name not in names() and name not in ALIASES:
                near = suggestion(name, {*names(), *ALIASES, ALL})
                self.problems.add(position, f"unknown call `{name}`", near, self._wrong)
            elif name in MULTIPLEXERS:
                self._warn(
                    position,
                    f"{name} is judged as the calls that it stands for, never by this rule",
                    "name those: connect, bind, sendto, shmget...",
                )
            elif name in rule.calls[:place]:
                self._warn(position, f"`{name}` stands twice in this rule")

    def answer(self, rule: Rule) -> None:
        """Elevation and transition belong to permits, the latter to those of programs."""
        if rule.action is not Action.PERMIT and rule.elevation is not None:
            self.problems.add(rule.position, f"`as` belongs to permit, not to {rule.action}")
        if rule.transition is Transition.SWITCH:
            return
        if rule.action is not Action.PERMIT:
            self.problems.add(rule.position, f"[{rule.transition}] belongs to permit")
        for place, name in enumerate(rule.calls):
            if name not in _EXECUTES:
                self._warn(
                    _position(rule, place),
                    f"[{rule.transition}] says nothing of {name}",
                    "it is for execve and execveat",
                )

    def symbol(self, rule: Rule, symbol: TextSymbol | RegisterSymbol, positive: bool) -> None:
        if isinstance(symbol, RegisterSymbol):
            self._register(rule, symbol, positive)
        elif symbol.translator not in TRANSLATORS:
            self.problems.add(
                symbol.position,
                f"unknown translator `{symbol.translator}`",
                suggestion(symbol.translator, TRANSLATORS)
                or "translators: " + " ".join(sorted(TRANSLATORS)),
                self._wrong,
            )
        else:
            if not self._strict:
                self._escapes(symbol)
            self._text(rule, symbol)
            if symbol.translator == "sockaddr":
                self._address(rule, symbol)

    def _escapes(self, symbol: TextSymbol) -> None:
        """A backslash that systrace dropped, and that a pattern was perhaps to have."""
        place = symbol.position
        if place is None or place.line > len(self._lines):
            return
        written = self._lines[place.line - 1][place.column - 1 :][: place.length]
        for found in ESCAPE.finditer(written):
            if found[1] not in ESCAPES:
                self._warn(
                    Position(place.line, place.column + found.start(), 2),
                    f"`{found[0]}` is `{found[1]}` in systrace's strings",
                    "write \\\\ for a backslash that belongs to the text",
                )
                return

    def _text(self, rule: Rule, symbol: TextSymbol) -> None:
        """A translator that a named call lacks, and texts that no argument can have."""
        spelled = symbol.translator + (f"[{symbol.index}]" if symbol.index else "")
        for name in rule.calls:
            if name in ALIASES:
                if not self._strict and symbol.translator not in ALIAS_TRANSLATORS:
                    self._warn(
                        symbol.position,
                        f"a rule on {name} sees file names only, so this is always false",
                        "name the calls, or use the strict dialect",
                    )
                continue
            model = known_syscall(name)
            if model is None:
                continue
            found = source(name, symbol.translator, symbol.index)
            if found is None:
                has = ", ".join(dict.fromkeys(model.translators))
                self.problems.add(
                    symbol.position,
                    f"{name} has no {spelled}"
                    + ("" if self._strict else ", so this is always false"),
                    f"{name} has {has}" if has else f"{name} has nothing to compare",
                    self._wrong,
                )
            elif found.origin is Origin.REGISTER and symbol.operator is TextOperator.EQ:
                must, may = register_text_condition(
                    found, name, symbol.operator, symbol.operand, self.policy.dialect
                )
                if may == must == FALSE:
                    self._warn(
                        symbol.position, f'no {spelled} of {name} prints as "{symbol.operand}"'
                    )
        self._operand(symbol)

    def _operand(self, symbol: TextSymbol) -> None:
        """Strings that look like something else than they mean, or that a target can abuse."""
        if symbol.operator is TextOperator.RE and can_take_long(symbol.operand):
            self._warn(
                symbol.position,
                "a repeated group that repeats or chooses: some texts take very long to compare",
                "use match or several rules; the texts are the program's choice",
            )
        match symbol.translator, symbol.operator:
            case "sockaddr", TextOperator.MATCH:
                if "[" in symbol.operand.replace("\\[", ""):
                    self._warn(
                        symbol.position,
                        "`[...]` in a pattern is any one of these characters",
                        "use eq or sub, or write \\\\[ for the bracket of an address",
                    )
            case "filename", TextOperator.MATCH if _BRACKETED_SLASH.search(symbol.operand):
                self._warn(
                    symbol.position,
                    "`[...]` with a `/` in it is no choice of characters, but stands for itself",
                    "leave the / out: * ? and [...] never match it",
                )
            case "filename", TextOperator.EQ | TextOperator.NEQ | TextOperator.MATCH:
                if symbol.operand[:1] not in ("", "/", "*", "$", "?", "["):
                    self._warn(
                        symbol.position,
                        "file names are absolute, so this never matches",
                        f'write "/{symbol.operand}"',
                    )

    def _address(self, rule: Rule, symbol: TextSymbol) -> None:
        """Addresses spelled as rules never see them."""
        if symbol.operator not in (TextOperator.EQ, TextOperator.NEQ):
            return
        texts = {meant_text(symbol.operand, name) for name in rule.calls}
        if symbol.operand not in texts:
            self._warn(
                symbol.position,
                "rules never see an address written like this",
                " or ".join(f'write "{text}"' for text in sorted(texts)),
            )

    def _register(self, rule: Rule, symbol: RegisterSymbol, positive: bool) -> None:
        """Comparisons that an upper half evades (C7), that cannot differ, or that vary by ABI."""
        if _is_constant(symbol):
            self._warn(symbol.position, "no register makes a difference to this comparison")
        for name in rule.calls:
            for member in sorted(ALIASES.get(name, {name})):
                self._width(rule, symbol, positive, member)
        for constant in sorted(set(_CONSTANT.findall(symbol.spelling))):
            others = differing(constant)
            if others:
                self._warn(
                    symbol.position,
                    f"{constant} has another value on {', '.join(sorted(others))}",
                    "this rule has the value of x86; compare the translated text instead",
                )

    def _width(self, rule: Rule, symbol: RegisterSymbol, positive: bool, name: str) -> None:
        model = known_syscall(name)
        if model is None:
            return
        if varies(name):
            self._warn(
                symbol.position,
                f"the registers of {name} are not the same on every ABI",
                "compare the translated text instead",
            )
        argument = next((a for a in model.arguments if a.index == symbol.argument), None)
        if argument is None:
            self._warn(symbol.position, f"{name} has no arg[{symbol.argument}]")
        elif argument.width32 and symbol.mask & ~LOW_HALF:
            self._warn(
                symbol.position,
                f"the kernel takes arg[{symbol.argument}] of {name} as {argument.width} bits; "
                + _effect_of_junk(rule, symbol, positive),
                f"write arg[{symbol.argument}]:32",
            )

    def members(self, rule: Rule, when: Expression) -> None:
        """Strict: a member of an alias that could match must have what the rule compares.

        `filename eq "/x" and oflags sub "ro"` on fsread concerns the opens alone; with `or` it
        would concern stat, of which nothing is known.
        """
        if not self._strict:
            return
        for place, alias in enumerate(rule.calls):
            lacking: dict[TextSymbol, list[str]] = {}
            concerned = False
            for member in sorted(ALIASES.get(alias, frozenset()) - set(rule.calls)):
                absent = [
                    each
                    for each, _ in symbols(when)
                    if isinstance(each, TextSymbol)
                    and each.translator in TRANSLATORS
                    and source(member, each.translator, each.index) is None
                ]
                could = could_hold(specialise(when, member, None, Dialect.STRICT))
                concerned = concerned or could
                for each in absent if could else ():
                    lacking.setdefault(each, []).append(member)
            for symbol, found in lacking.items():
                more = f" and {len(found) - _SHOWN_NAMES} more" if len(found) > 3 else ""
                self.problems.add(
                    symbol.position,
                    f"{', '.join(found[:_SHOWN_NAMES])}{more} of {alias} have no "
                    f"{symbol.translator}" + (f"[{symbol.index}]" if symbol.index else ""),
                    "name the calls that have it, or put it in a rule of its own",
                )
            if alias in ALIASES and not concerned:
                self.problems.add(_position(rule, place), f"no call of {alias} can match this rule")

    def reached(self, index: int, rule: Rule) -> None:
        """A rule whose calls were all answered by plain rules before it."""
        if self.policy.dialect is Dialect.SYSTRACE:
            return
        answered: set[str] = set()
        for earlier in self.policy.rules[:index]:
            if earlier.when is None and earlier.predicate is None:
                answered.update(earlier.calls)
        if rule.calls and answered.issuperset(rule.calls):
            self._warn(rule.position, "earlier plain rules answer these calls already")

    def equivalents(self, rule: Rule) -> None:
        """A refused call whose work another, permitted call does.

        Where the call is said not to exist (ENOSYS), programs are meant to use the others.
        """
        if rule.action is Action.PERMIT or self.policy.default is not Action.PERMIT:
            return
        if rule.errno == errno.ENOSYS:
            return
        named = {name for each in self.policy.rules for name in each.calls}
        compared = {
            each.translator
            for each, _ in symbols(rule.when or TrueSymbol())
            if isinstance(each, TextSymbol)
        }
        for place, name in enumerate(rule.calls):
            model = known_syscall(name)
            if model is None:
                continue
            others = sorted(
                other
                for other in model.equivalents
                if other not in named
                and (found := known_syscall(other)) is not None
                and found.implemented
                and compared.issubset({"call", *found.translators})
                and not any(membership.alias in named for membership in found.aliases)
            )
            if others:
                self._warn(
                    _position(rule, place),
                    f"{', '.join(others)} can do what {name} does, and no rule speaks of "
                    + ("it" if len(others) == 1 else "them"),
                    f"add to the rule: {', '.join(others)}",
                )


def _position(rule: Rule, place: int) -> Position | None:
    return rule.call_positions[place] if place < len(rule.call_positions) else rule.position


def could_hold(expression: Expression, wanted: bool = True) -> bool:
    """Whether the expression can come out as `wanted`, every comparison being free."""
    match expression:
        case TrueSymbol():
            return wanted
        case NotExpression(operand):
            return could_hold(operand, not wanted)
        case AndExpression(left, right):
            both = (could_hold(left, wanted), could_hold(right, wanted))
            return all(both) if wanted else any(both)
        case OrExpression(left, right):
            both = (could_hold(left, wanted), could_hold(right, wanted))
            return any(both) if wanted else all(both)
        case _:
            return True


def _is_constant(symbol: RegisterSymbol) -> bool:
    mask, value = symbol.mask, symbol.value
    match symbol.operator:
        case Operator.EQ | Operator.NE:
            return value & ~mask != 0
        case Operator.LT | Operator.GE:
            return value == 0 or value > mask
        case Operator.GT | Operator.LE:
            return value >= mask


def _effect_of_junk(rule: Rule, symbol: RegisterSymbol, positive: bool) -> str:
    """What set bits above the ones that count do: they can make a comparison only larger."""
    becomes_true = symbol.operator in (Operator.NE, Operator.GT, Operator.GE)
    holds_more = becomes_true == positive
    if rule.action is Action.PERMIT:
        return (
            "set upper bits slip through this permit"
            if holds_more
            else "a program with set upper bits is refused"
        )
    return (
        "a program with set upper bits is refused"
        if holds_more
        else "set upper bits evade this rule"
    )
