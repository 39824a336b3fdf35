"""Whether another name puts an object under a weaker rule: a pure question about a policy.

Rules speak of names, and mean objects. So a call that brings an object, and all that lies beneath,
under another name (rename, link) is permitted only where no call on it is refused less there.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from enforcer.call import STRICTNESS, Action, Decision, Elevation
from enforcer.condition import TRUE, holds
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.operators import text_test
from enforcer.policy.order import Judged, judged_rules
from enforcer.policy.remainders import Remainder, remainder
from enforcer.policy.translators import source
from enforcer.syscalls import syscall
from enforcer.syscalls.loader import modelled
from enforcer.syscalls.model import Syscall

REFUSED = errno.EXDEV
"""What Landlock says of a link or rename by which a file would gain rights (landlock(7)): programs
that move files then copy them, and are judged by what they read and write."""

NAMELESS = "a node of a device whose own name nobody can tell"

_MOST_SITUATIONS = 512
"""How many combinations of what is not known are looked at; beyond, the answer is the safe one."""
_MOST_KNOWN = 4096
_WRITES = "writes"

DEVICE = "device"
"""Under this key a mechanism says of which device a call makes a node: what /dev calls it."""

Formula = Hashable
"""True, False, or what hangs on unknowns: ("not", f), ("and", f, g), ("or", f, g), else a key."""

Texts = Callable[[TextSymbol], Formula]
"""What is known of a comparison with the name in question."""


@dataclass(frozen=True)
class _Situation:
    """The rules that see the (first) name of `call`, and of the other calls that are alike.

    The object of a second name is the one that gives way to another (rename), or must not be there.
    """

    call: str
    judged: tuple[Judged, ...]


class Renaming:
    """A policy's word on other names for objects."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[tuple[str, str], Decision | None] = {}

    @cached_property
    def matters(self) -> bool:
        """Whether any rule that holds looks at the name of an object."""
        return bool(self._symbols) and not self._policy.detached

    def refusal(
        self,
        model: Syscall,
        args: Sequence[int],
        names: Sequence[str | None],
        rule: int | None,
        devices: Sequence[str | None] = (),
    ) -> Decision | None:
        """Why a call that rule `rule` permits is refused all the same; None where it is not.

        `names` are its file names, in argument order; None for one that cannot be read. A rule that
        says of each of them in full which it is speaks of this very move; one that gives mknod
        other ids speaks of devices, for other nodes take no rights. `devices`: see DEVICE; None for
        one without a name.
        """
        if rule is not None and _spells_out(self._policy.rules[rule].when, names):
            return None
        if devices and model.node is not None:
            if rule is not None and _makes_nodes(self._policy.rules[rule], model.name):
                return None
            return self._node(devices[0], names[0] if names else None)
        for move in model.moves:
            if not holds(move.when, args):
                continue
            pair = [names[at] if at < len(names) else None for at in (move.old, move.new)]
            if pair[0] is None or pair[1] is None:
                reason = "what it renames cannot be read"
                return Decision(action=Action.DENY, errno=errno.EFAULT, reason=reason)
            refused = self.weakened(pair[0], pair[1])
            if refused is not None:
                return refused
        return None

    def _node(self, device: str | None, name: str | None) -> Decision | None:
        """The refusal of making a node `name` of a device: mknod(2) opens it under that name."""
        if device is None or name is None:
            return Decision(action=Action.DENY, errno=errno.EPERM, reason=NAMELESS)
        refused = self.weakened(device, name)
        if refused is None:
            return None
        return replace(refused, errno=errno.EPERM, reason=f"of {device}: {refused.reason}")

    def weakened(self, old: str, new: str) -> Decision | None:
        """The refusal of giving object `old`, with all that may lie beneath, the name `new`."""
        key = (old, new)
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._compared(old, new)
        return self._known[key]

    def _compared(self, old: str, new: str) -> Decision | None:
        found = None
        if any(test(old) != test(new) for test in self._tests.values()):
            found = self._weakened_by(
                lambda symbol: self._tests[symbol](old), lambda symbol: self._tests[symbol](new)
            )
        here, there = (name if name.endswith("/") else name + "/" for name in (old, new))
        if found is None and any(rest(here) != rest(there) for rest in self._remainders.values()):
            found = self._weakened_by(
                lambda symbol: self._beneath(symbol, here),
                lambda symbol: self._beneath(symbol, there),
            )
        return found

    def _weakened_by(self, before: Texts, after: Texts) -> Decision | None:
        for situation in self._situations:
            found = _Comparison(self._policy, situation, before, after).weakened()
            if found is not None:
                reason = f"by its new name {situation.call} would {found}"
                return Decision(action=Action.DENY, errno=REFUSED, reason=reason)
        return None

    def _beneath(self, symbol: TextSymbol, begun: str) -> Formula:
        """What is known of all objects beneath a directory."""
        rest = self._remainders[symbol](begun)
        return rest if isinstance(rest, bool) else (symbol.operator, symbol.operand, rest)

    @cached_property
    def _symbols(self) -> frozenset[TextSymbol]:
        return frozenset(symbol for rule in self._policy.rules for symbol in _names_in(rule.when))

    @cached_property
    def _tests(self) -> Mapping[TextSymbol, Callable[[str], bool]]:
        dialect = self._policy.dialect
        return {each: text_test(each.operator, each.operand, dialect) for each in self._symbols}

    @cached_property
    def _remainders(self) -> Mapping[TextSymbol, Remainder]:
        dialect = self._policy.dialect
        return {each: remainder(each.operator, each.operand, dialect) for each in self._symbols}

    @cached_property
    def _situations(self) -> tuple[_Situation, ...]:
        """Every way in which some call's name is judged, once."""
        found: dict[Hashable, _Situation] = {}
        for call in sorted(modelled()):
            model = syscall(call)
            if source(call, "filename") is not None:
                judged = judged_rules(self._policy, model)
                key = tuple((each.index, each.when, _belongs(each)) for each in judged)
                found.setdefault(key, _Situation(call, judged))
        return tuple(found.values())


@lru_cache(maxsize=64)
def renaming_of(policy: Policy) -> Renaming:
    """What a policy says of other names; made once."""
    return Renaming(policy)


class _Comparison:
    """One situation by the old name and by the new one, whatever else may be the case."""

    def __init__(self, policy: Policy, situation: _Situation, before: Texts, after: Texts) -> None:
        self._policy = policy
        self._left = _MOST_SITUATIONS
        self._elevates = any(policy.rules[each.index].elevation for each in situation.judged)
        self._before = _rules_by(situation, before)
        self._after = _rules_by(situation, after)

    def weakened(self) -> str | None:
        """What would be done that is not now, and by which rule; None where nothing is."""
        return None if self._before == self._after else self._search({})

    def _search(self, known: Mapping[Hashable, bool]) -> str | None:
        self._left -= 1
        before = self._answer(self._before, known)
        if isinstance(before, _Unknown):
            return self._either(before.key, known)
        if before.action is Action.PERMIT and not self._elevates:
            return None
        after = self._answer(self._after, known)
        if isinstance(after, _Unknown):
            return self._either(after.key, known)
        if STRICTNESS[after.action] < STRICTNESS[before.action]:
            return f"not be refused by {self._named(before.rule)}"
        if after.elevation not in (None, before.elevation):
            return f"be made with other ids by {self._named(after.rule)}"
        return None

    def _either(self, key: Hashable, known: Mapping[Hashable, bool]) -> str | None:
        if self._left <= 0:
            return "rules too many to be compared"
        return self._search({**known, key: True}) or self._search({**known, key: False})

    def _answer(
        self, rules: Sequence[tuple[Formula, int]], known: Mapping[Hashable, bool]
    ) -> _Answer | _Unknown:
        for formula, index in rules:
            held = _value(formula, known)
            if isinstance(held, _Unknown):
                return held
            if held:
                rule = self._policy.rules[index]
                return _Answer(rule.action, index, rule.elevation)
        return _Answer(self._policy.default)

    def _named(self, index: int | None) -> str:
        if index is None:
            return "the default"
        rule = self._policy.rules[index]
        line = f":{rule.position.line}" if rule.position else ""
        place = f"{rule.source or self._policy.source}{line}"
        return f"rule {rule.number or index + 1}" + (f", {place}" if place else "")


@dataclass(frozen=True)
class _Answer:
    action: Action
    rule: int | None = None
    elevation: Elevation | None = None


@dataclass(frozen=True)
class _Unknown:
    key: Hashable


def _value(formula: Formula, known: Mapping[Hashable, bool]) -> bool | _Unknown:
    """What a formula comes to; what it hangs on where that is not known."""
    match formula:
        case bool():
            return formula
        case ("not", inner):
            held = _value(inner, known)
            return held if isinstance(held, _Unknown) else not held
        case ("and" | "or" as word, left, right):
            ends_with = word == "or"
            first = _value(left, known)
            if first is ends_with:
                return ends_with
            second = _value(right, known)
            if second is ends_with:
                return ends_with
            return first if isinstance(first, _Unknown) else second
        case _:
            return known[formula] if formula in known else _Unknown(formula)


def _rules_by(situation: _Situation, texts: Texts) -> tuple[tuple[Formula, int], ...]:
    """The rules that may hold, by what is known of the name, up to one that does for sure."""
    found: list[tuple[Formula, int]] = []
    for judged in situation.judged:
        formula = _both(_belongs(judged), _formula(judged.when, texts))
        predicate = judged.rule.predicate
        if predicate is not None:
            formula = _both(("predicate", predicate), formula)
        if formula is not False:
            found.append((formula, judged.index))
        if formula is True:
            break
    return tuple(found)


def _belongs(judged: Judged) -> Formula:
    """Whether the call belongs to an alias of the rule.

    What decides it (open flags, in a register or in memory) decides fsread against fswrite.
    """
    if not judged.by_alias:
        return True
    belongs: Formula = False
    for each in judged.memberships:
        one: Formula = True
        if each.when != TRUE:
            one = _WRITES if each.alias == "fswrite" else ("not", _WRITES)
        belongs = _either(belongs, one)
    return belongs


def _formula(expression: Expression, texts: Texts) -> Formula:
    match expression:
        case TrueSymbol():
            return True
        case NotExpression(operand):
            inner = _formula(operand, texts)
            return not inner if isinstance(inner, bool) else ("not", inner)
        case AndExpression(left, right):
            return _both(_formula(left, texts), _formula(right, texts))
        case OrExpression(left, right):
            return _either(_formula(left, texts), _formula(right, texts))
        case TextSymbol(translator="filename", index=0):
            return texts(expression)
        case _:
            return ("other", expression)


def _both(left: Formula, right: Formula) -> Formula:
    if left is False or right is False:
        return False
    if left is True:
        return right
    return left if right is True else ("and", left, right)


def _either(left: Formula, right: Formula) -> Formula:
    if left is True or right is True:
        return True
    if left is False:
        return right
    return left if right is False else ("or", left, right)


def _spells_out(expression: Expression | None, names: Sequence[str | None]) -> bool:
    """Whether an expression only holds for these two names, each of them compared by `eq`."""
    said = set(_equalities(expression))
    return len(names) == 2 and said.issuperset(enumerate(names))


def _makes_nodes(rule: Rule, call: str) -> bool:
    """Whether a rule has just this call, which makes nodes, made with other ids."""
    return rule.elevation is not None and call in rule.calls


def _equalities(expression: Expression | None) -> Iterator[tuple[int, str | None]]:
    match expression:
        case TextSymbol(translator="filename", operator=TextOperator.EQ):
            yield expression.index, expression.operand
        case AndExpression(left, right):
            yield from _equalities(left)
            yield from _equalities(right)
        case _:
            return


def _names_in(expression: Expression | None) -> Iterator[TextSymbol]:
    """The comparisons of file names in an expression."""
    match expression:
        case TextSymbol(translator="filename", index=0):
            yield expression
        case NotExpression(operand):
            yield from _names_in(operand)
        case AndExpression(left, right) | OrExpression(left, right):
            yield from _names_in(left)
            yield from _names_in(right)
        case _:
            return
