"""The abstract syntax of a policy, the same for both dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from enforcer.call import Action, Elevation, Transition
from enforcer.condition import Operator


@dataclass(frozen=True)
class Position:
    """A place in a source text; line and column count from 1."""

    line: int
    column: int
    length: int = 1


class Dialect(StrEnum):
    """`systrace` keeps the historic quirks, `strict` corrects them."""

    SYSTRACE = "systrace"
    STRICT = "strict"


class TextOperator(StrEnum):
    """Comparison of a translated argument with a string."""

    MATCH = "match"
    EQ = "eq"
    NEQ = "neq"
    SUB = "sub"
    NSUB = "nsub"
    INPATH = "inpath"
    RE = "re"


@dataclass(frozen=True, kw_only=True)
class TextSymbol:
    """`translator[index] operator "operand"`."""

    translator: str
    index: int = 0
    operator: TextOperator
    operand: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class RegisterSymbol:
    """`arg[argument] [& mask] operator value` (strict dialect); `:32` is a mask of 32 ones.

    `constants` keeps the source spelling of mask and value for printing.
    """

    argument: int
    operator: Operator
    value: int
    mask: int = 0xFFFF_FFFF_FFFF_FFFF
    spelling: str = field(default="", compare=False)
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True)
class TrueSymbol:
    """`true`."""


@dataclass(frozen=True)
class NotExpression:
    operand: Expression


@dataclass(frozen=True)
class AndExpression:
    left: Expression
    right: Expression


@dataclass(frozen=True)
class OrExpression:
    left: Expression
    right: Expression


Expression = TextSymbol | RegisterSymbol | TrueSymbol | NotExpression | AndExpression | OrExpression


class Principal(StrEnum):
    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """`if user = 33`: compared with the caller's effective id; names are resolved when loaded."""

    principal: Principal
    operator: Operator
    value: int
    spelling: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `calls` are kernel names or aliases; a rule without `when` is plain.

    `number` counts the rules of its policy in the file `source` from 1 (0: it stands in none); both
    stay what they are when a template is included or a rule is made into several.
    """

    calls: tuple[str, ...]
    when: Expression | None
    action: Action
    errno: int = 0
    now: bool = False
    log: bool = False
    elevation: Elevation | None = None
    transition: Transition = Transition.SWITCH
    predicate: Predicate | None = None
    position: Position | None = field(default=None, compare=False)
    call_positions: tuple[Position, ...] = field(default=(), compare=False)
    number: int = field(default=0, compare=False)
    source: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """File and line, as far as they are known."""
        return f"{self.source}:{self.position.line}" if self.position else self.source


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules for one binary (None: any), first match wins; `default` answers the rest.

    A `template` is a named part of other policies: those that have its name in `include` get its
    rules, after their own, when they are loaded to be enforced (enforcer/policy/load.py).
    """

    binary: str | None
    dialect: Dialect
    rules: tuple[Rule, ...]
    default: Action = Action.ASK
    default_errno: int = 1
    emulation: str = "native"
    detached: bool = False
    include: tuple[str, ...] = ()
    template: str = ""
    description: str = ""
    source: str = field(default="", compare=False)

    @cached_property
    def rules_on(self) -> Mapping[str, tuple[int, ...]]:
        """The indices of the rules that name each call or alias."""
        found: dict[str, list[int]] = {}
        for index, rule in enumerate(self.rules):
            for name in rule.calls:
                found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}
