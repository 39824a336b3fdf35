"""Parser of expressions and predicates, the same for both file forms.

Both dialects read chains to the right; they differ in how tightly `not`, `and` and `or` bind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from enforcer.call import Elevation
from enforcer.condition import LOW_HALF, WORD, Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Position,
    Predicate,
    Principal,
    RegisterSymbol,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.names import parse_principal
from enforcer.policy.operators import OperandError, check_operand
from enforcer.policy.problem import Problems, suggestion
from enforcer.policy.tokens import SyntaxProblem, Token, TokenKind

MAX_DEPTH = 200
"""The most levels of one expression; each `and` or `or` of a chain is one."""

MAX_NESTING = 60
"""The deepest nesting of parentheses."""

_Found = TypeVar("_Found")

_OPERATORS = frozenset(operator.value for operator in TextOperator)
_PREDICATE_OPERATORS = {
    "=": Operator.EQ,
    "==": Operator.EQ,
    "!=": Operator.NE,
    "<": Operator.LT,
    ">": Operator.GT,
}
_WORDS = frozenset({"not", "and", "or", "then", "if", "as", "log"})


class Parser:
    """Recursive descent over the tokens of one rule.

    What keeps it from reading on is raised as SyntaxProblem; what is merely wrong is noted in
    `problems`, so that all of it is told at once. `constants` are the names that registers may be
    compared with.
    """

    def __init__(
        self,
        tokens: list[Token],
        dialect: Dialect,
        problems: Problems,
        constants: Mapping[str, int],
    ) -> None:
        self._tokens = tokens
        self._next = 0
        self._dialect = dialect
        self._problems = problems
        self._constants = constants
        self._nesting = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def advance(self) -> Token:
        """The current token; the one after it becomes current."""
        token = self.token
        if token.kind is not TokenKind.END:
            self._next += 1
        return token

    def expect_sign(self, sign: str) -> Token:
        if not self.token.is_sign(sign):
            raise SyntaxProblem(self.token.position, f"expected `{sign}`, found {self.token}")
        return self.advance()

    def expect_end(self) -> None:
        if self.token.kind is not TokenKind.END:
            raise SyntaxProblem(self.token.position, f"unexpected {self.token}")

    def expression(self) -> Expression:
        """expression of the dialect, up to the first token that cannot continue it."""
        start = self.token.position
        found = self._chain() if self._dialect is Dialect.SYSTRACE else self._alternatives()
        if _depth(found) > MAX_DEPTH:
            raise SyntaxProblem(
                start, f"an expression of more than {MAX_DEPTH} levels", "split the rule in two"
            )
        return found

    def predicate(self) -> Predicate | None:
        """("user" | "group") ("=" | "!=" | "<" | ">") (number | name)."""
        word = self.advance()
        if not word.is_word("user", "group"):
            raise SyntaxProblem(
                word.position, f"expected `user` or `group`, found {word}", "write: if user = root"
            )
        principal = Principal(word.text)
        sign = self.advance()
        if not sign.is_sign(*_PREDICATE_OPERATORS):
            raise SyntaxProblem(sign.position, f"expected = != < or >, found {sign}")
        who = self.advance()
        number = self.principal(principal, who)
        if number is None:
            return None
        return Predicate(
            principal=principal,
            operator=_PREDICATE_OPERATORS[sign.text],
            value=number,
            spelling=who.text,
        )

    def elevation(self) -> Elevation:
        """uid | uid ":" gid | ":" gid."""
        uid = gid = None
        if not self.token.is_sign(":"):
            uid = self.principal(Principal.USER, self.advance())
        if self.token.is_sign(":"):
            self.advance()
            gid = self.principal(Principal.GROUP, self.advance())
        return Elevation(uid=uid, gid=gid)

    def principal(self, principal: Principal, token: Token) -> int | None:
        """The id that a name or number token stands for; an unknown one is noted."""
        if token.kind not in (TokenKind.NAME, TokenKind.NUMBER):
            raise SyntaxProblem(token.position, f"expected a {principal}, found {token}")
        number = parse_principal(principal, token.text)
        if number is None:
            self._problems.add(
                token.position, f"no {principal} `{token.text}` on this machine", "give the number"
            )
        return number

    def _chain(self) -> Expression:
        """primary [("and" | "or") chain], and `not` takes all that follows."""
        parts: list[tuple[Expression, bool]] = []
        while True:
            if self.token.is_word("not"):
                self.advance()
                last: Expression = NotExpression(self._nested(self._chain))
                break
            last = self._primary()
            if not self.token.is_word("and", "or"):
                break
            parts.append((last, self.advance().text == "and"))
        for left, is_and in reversed(parts):
            last = AndExpression(left, last) if is_and else OrExpression(left, last)
        return last

    def _alternatives(self) -> Expression:
        """conjunction {"or" conjunction}."""
        parts = [self._conjunction()]
        while self.token.is_word("or"):
            self.advance()
            parts.append(self._conjunction())
        last = parts.pop()
        for part in reversed(parts):
            last = OrExpression(part, last)
        return last

    def _conjunction(self) -> Expression:
        """negation {"and" negation}."""
        parts = [self._negation()]
        while self.token.is_word("and"):
            self.advance()
            parts.append(self._negation())
        last = parts.pop()
        for part in reversed(parts):
            last = AndExpression(part, last)
        return last

    def _negation(self) -> Expression:
        """{"not"} primary."""
        negations = 0
        while self.token.is_word("not"):
            self.advance()
            negations += 1
        found = self._primary()
        for _ in range(negations):
            found = NotExpression(found)
        return found

    def _primary(self) -> Expression:
        """True, `( expression )`, `NAME [n] OP string` or `arg[n] comparison`."""
        token = self.advance()
        if token.is_sign("("):
            inside = self._chain if self._dialect is Dialect.SYSTRACE else self._alternatives
            found = self._nested(inside)
            self.expect_sign(")")
            return found
        if token.kind is not TokenKind.NAME or token.text in _WORDS:
            raise SyntaxProblem(
                token.position,
                f"expected a condition, found {token}",
                'a condition reads: filename eq "/etc/passwd"',
            )
        if token.text == "true":
            return TrueSymbol()
        index = self._index()
        if token.text == "arg" and self.token.kind is TokenKind.SIGN:
            return self._register(token, index)
        return self._text(token, index)

    def _nested(self, parse: Callable[[], _Found]) -> _Found:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise SyntaxProblem(self.token.position, f"nested more than {MAX_NESTING} levels deep")
        found = parse()
        self._nesting -= 1
        return found

    def _index(self) -> int:
        if not self.token.is_sign("["):
            return 0
        self.advance()
        token = self.advance()
        if token.kind is not TokenKind.NUMBER or not token.text.isdecimal():
            raise SyntaxProblem(token.position, f"expected an index, found {token}")
        self.expect_sign("]")
        index = int(token.text) if len(token.text) < 4 else 999
        if index > 9:
            self._problems.add(token.position, "an index is 0 to 9")
            return 0
        return index

    def _text(self, name: Token, index: int) -> TextSymbol:
        word = self.advance()
        if word.text not in _OPERATORS or word.kind is not TokenKind.NAME:
            raise SyntaxProblem(
                word.position,
                f"expected an operator after `{name.text}`, found {word}",
                suggestion(word.text, _OPERATORS) or "operators: " + " ".join(TextOperator),
            )
        operator = TextOperator(word.text)
        operand = self.advance()
        if operand.kind is not TokenKind.STRING:
            raise SyntaxProblem(
                operand.position, f"expected a string in double quotes, found {operand}"
            )
        try:
            check_operand(operator, operand.text)
        except OperandError as error:
            self._problems.add(operand.position, str(error), error.mend)
        return TextSymbol(
            translator=name.text,
            index=index,
            operator=operator,
            operand=operand.text,
            position=_span(name.position, operand.position),
        )

    def _register(self, name: Token, index: int) -> RegisterSymbol:
        if self._dialect is Dialect.SYSTRACE:
            raise SyntaxProblem(
                name.position,
                "the systrace dialect does not compare registers",
                "write the policy in YAML (enforcer convert)",
            )
        if index > 5:
            self._problems.add(name.position, "registers are arg[0] to arg[5]")
            index = 0
        spelling, mask, width = f"arg[{index}]", WORD, WORD
        if self.token.is_sign(":"):
            self.advance()
            if self.token.text != "32":
                raise SyntaxProblem(self.token.position, f"expected 32, found {self.token}")
            self.advance()
            spelling, mask, width = spelling + ":32", LOW_HALF, LOW_HALF
        if self.token.is_sign("&"):
            self.advance()
            bits, written = self._value(width)
            mask &= bits
            spelling += f" & {written}"
        sign = self.advance()
        if sign.text not in tuple(Operator) or sign.kind is not TokenKind.SIGN:
            raise SyntaxProblem(
                sign.position, f"expected one of {' '.join(Operator)}, found {sign}"
            )
        last = self.token
        value, written = self._value(width)
        return RegisterSymbol(
            argument=index,
            operator=Operator(sign.text),
            value=value,
            mask=mask,
            spelling=f"{spelling} {sign.text} {written}",
            position=_span(name.position, last.position),
        )

    def _value(self, width: int) -> tuple[int, str]:
        """term {"|" term}; the number within `width`, and how it was written."""
        number, written = self._term(width)
        several = False
        while self.token.is_sign("|"):
            self.advance()
            more, text = self._term(width)
            number, written, several = number | more, f"{written}|{text}", True
        return number, f"({written})" if several else written

    def _term(self, width: int) -> tuple[int, str]:
        """number | "-" number | constant | "(" value ")"."""
        token = self.advance()
        if token.is_sign("("):
            number, written = self._nested(lambda: self._value(width))
            self.expect_sign(")")
            return number, written
        if token.is_sign("-"):
            token = self.advance()
            number, written = self._number(token), f"-{token.text}"
            if not 0 <= number <= (width >> 1) + 1:
                self._problems.add(token.position, "too small a number for this register")
            return -number & width, written
        number = self._number(token)
        if number > width:
            self._problems.add(
                token.position, f"{token.text} does not fit into {width.bit_length()} bits"
            )
        return number & width, token.text

    def _number(self, token: Token) -> int:
        if token.kind is TokenKind.NUMBER:
            if len(token.text) > 24:
                raise SyntaxProblem(token.position, "a number of more than 64 bits")
            if token.text[:2] in ("0x", "0X"):
                return int(token.text, 16)
            if token.text.startswith("0") and token.text != "0":
                raise SyntaxProblem(
                    token.position, "a number with a leading zero", "write 0x... or decimal"
                )
            return int(token.text)
        if token.kind is not TokenKind.NAME:
            raise SyntaxProblem(token.position, f"expected a number or a constant, found {token}")
        known = self._constants.get(token.text)
        if known is None:
            self._problems.add(
                token.position,
                f"unknown constant `{token.text}`",
                suggestion(token.text, self._constants),
            )
            return 0
        return known


def _span(first: Position, last: Position) -> Position:
    if first.line != last.line:
        return first
    return replace(first, length=last.column + last.length - first.column)


def _depth(expression: Expression) -> int:
    """Levels of an expression, counted without recursion."""
    deepest, waiting = 0, [(expression, 1)]
    while waiting:
        each, depth = waiting.pop()
        deepest = max(deepest, depth)
        match each:
            case NotExpression(operand):
                waiting.append((operand, depth + 1))
            case AndExpression(left, right) | OrExpression(left, right):
                waiting += [(left, depth + 1), (right, depth + 1)]
            case _:
                pass
    return deepest
