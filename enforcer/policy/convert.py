"""From one dialect to the other, with the same meaning, or with a note on what is lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.check import could_hold, symbols
from enforcer.policy.membership import ADDRESS_OF_NO_PATH
from enforcer.policy.order import ALIAS_TRANSLATORS, NEVER, specialise
from enforcer.policy.register_text import register_text_condition
from enforcer.policy.translators import Origin, known_syscall, source, sources
from enforcer.syscalls import ALIASES, names
from enforcer.syscalls.model import Membership

_READS: Expression = AndExpression(
    TextSymbol(translator="oflags", operator=TextOperator.SUB, operand="ro"),
    AndExpression(
        TextSymbol(translator="oflags", operator=TextOperator.NSUB, operand="c"),
        TextSymbol(translator="oflags", operator=TextOperator.NSUB, operand="t"),
    ),
)
_NO_PATH: Expression = TextSymbol(
    translator="sockaddr", operator=TextOperator.RE, operand=ADDRESS_OF_NO_PATH
)


@dataclass
class _Notes:
    """What is lost, said once each."""

    found: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.found:
            self.found.append(text)


def convert(policy: Policy, dialect: Dialect) -> tuple[Policy, tuple[str, ...]]:
    """The policy in `dialect`, and what of its meaning could not be kept.

    Without notes `decide` gives the same answer to every call under both, but for the numbers of
    rules. What cannot be kept refuses more, never less, unless its note says so.
    """
    notes = _Notes()
    if dialect is policy.dialect:
        return policy, ()
    if dialect is Dialect.STRICT:
        rules = _to_strict(policy, notes)
        return replace(policy, dialect=dialect, rules=rules), tuple(notes.found)
    rules = _to_systrace(policy, notes)
    return replace(policy, dialect=dialect, rules=rules, include=()), tuple(notes.found)


def _to_strict(policy: Policy, notes: _Notes) -> tuple[Rule, ...]:
    """In the order in which systrace judges them; rules that can never hold are left out."""
    groups: tuple[list[Rule], list[Rule], list[Rule]] = ([], [], [])
    for rule in policy.rules:
        for name in rule.calls:
            one = replace(rule, calls=(name,), call_positions=())
            if name in ALIASES:
                groups[2].extend(_alias_to_strict(one, notes))
            elif name in names():
                group = groups[0] if rule.when is None else groups[1]
                group.extend(_named_to_strict(one, notes))
            else:
                notes.add(f"{name} is no call of this system; its rules are left out")
    return tuple(rule for group in groups for rule in group)


def _named_to_strict(rule: Rule, notes: _Notes) -> list[Rule]:
    if rule.when is None:
        return [rule]
    name = rule.calls[0]
    when = _folded(specialise(rule.when, name, None, Dialect.SYSTRACE))
    return _unless_never(rule, _with_case(when, name, notes))


def _unless_never(rule: Rule, when: Expression) -> list[Rule]:
    """Nothing for a rule that never holds, unless naming a carrier (io_uring) is what it is for."""
    model = known_syscall(rule.calls[0])
    if when == NEVER and not (model is not None and model.carrier):
        return []
    return [replace(rule, when=when)]


def _alias_to_strict(rule: Rule, notes: _Notes) -> list[Rule]:
    if rule.when is None:
        return [rule]
    alias = rule.calls[0]
    if any(isinstance(each, TextSymbol) and each.index for each, _ in symbols(rule.when)):
        notes.add(
            f"a rule on {alias} looks at filename[1], which not all its calls have; it is left out"
            + ("" if rule.action is Action.PERMIT else ", so that less is refused")
        )
        return []
    when = _folded(_without(rule.when, ALIAS_TRANSLATORS))
    return [] if when == NEVER else [replace(rule, when=_with_case(when, None, notes))]


def _without(expression: Expression, kept: frozenset[str]) -> Expression:
    """Symbols of translators other than `kept` replaced by what they are on an alias: false."""
    match expression:
        case TextSymbol(translator=translator):
            return expression if translator in kept else NEVER
        case NotExpression(operand):
            return NotExpression(_without(operand, kept))
        case AndExpression(left, right):
            return AndExpression(_without(left, kept), _without(right, kept))
        case OrExpression(left, right):
            return OrExpression(_without(left, kept), _without(right, kept))
        case _:
            return expression


def _folded(expression: Expression) -> Expression:
    """The expression without constants inside it; TrueSymbol or NEVER if it is one."""
    match expression:
        case NotExpression(operand):
            inner = _folded(operand)
            return TrueSymbol() if inner == NEVER else NotExpression(inner)
        case AndExpression(left, right):
            first, second = _folded(left), _folded(right)
            if NEVER in (first, second):
                return NEVER
            if first == TrueSymbol():
                return second
            return first if second == TrueSymbol() else AndExpression(first, second)
        case OrExpression(left, right):
            first, second = _folded(left), _folded(right)
            if TrueSymbol() in (first, second):
                return TrueSymbol()
            if first == NEVER:
                return second
            return first if second == NEVER else OrExpression(first, second)
        case _:
            return expression


def _with_case(expression: Expression, name: str | None, notes: _Notes) -> Expression:
    """Notes where case begins to count, and where names of missing directories change."""
    for symbol, _ in symbols(expression):
        if not isinstance(symbol, TextSymbol):
            continue
        if _is_cased(symbol) and not _same_in_both(symbol, name):
            notes.add("eq and neq compare with case now")
        if symbol.translator == "filename":
            notes.add(
                "names in directories that do not exist no longer begin with "
                "/<non-existent filename>:"
            )
    return expression


def _is_cased(symbol: TextSymbol) -> bool:
    compares = symbol.operator in (TextOperator.EQ, TextOperator.NEQ)
    return compares and symbol.operand.upper() != symbol.operand.lower()


def _same_in_both(symbol: TextSymbol, name: str | None) -> bool:
    """Whether the symbol holds for the same registers in both dialects."""
    found = None if name is None else source(name, symbol.translator, symbol.index)
    if found is None or name is None or found.origin is not Origin.REGISTER:
        return False
    one, other = (
        register_text_condition(found, name, symbol.operator, symbol.operand, dialect)
        for dialect in Dialect
    )
    return one == other


def _to_systrace(policy: Policy, notes: _Notes) -> tuple[Rule, ...]:
    """One rule a call; what must keep its place before others is a filter on the real name."""
    if policy.include:
        notes.add("systrace includes no templates; put their rules in first")
    last_named: dict[str, int] = {}
    for index, rule in enumerate(policy.rules):
        for name in rule.calls:
            own = {name} if name not in ALIASES else ALIASES[name] if _is_wide(rule) else ()
            last_named.update(dict.fromkeys(own, index))
    rules: list[Rule] = []
    concerned: set[str] = set()
    for index, rule in enumerate(_answers_of_systrace(policy, notes)):
        for name in rule.calls:
            one = replace(rule, calls=(name,), call_positions=(), position=None)
            if name not in ALIASES:
                rules += _named_to_systrace(one, name in concerned, notes)
                concerned.add(name)
                continue
            members = sorted(ALIASES[name] - set(rule.calls))
            before = [each for each in members if last_named.get(each, -1) > index]
            rules += _alias_to_systrace(one, before, members, notes)
            concerned.update(members)
    return tuple(rules)


def _answers_of_systrace(policy: Policy, notes: _Notes) -> Sequence[Rule]:
    rules: list[Rule] = []
    for rule in policy.rules:
        if rule.action is Action.KILL:
            notes.add("systrace cannot kill; what was killed is denied")
            rule = replace(rule, action=Action.DENY, errno=1)
        if rule.now and rule.when is not None:
            notes.add("a filter of systrace has no -now")
            rule = replace(rule, now=False)
        rules.append(rule)
    return rules


def _named_to_systrace(rule: Rule, is_late: bool, notes: _Notes) -> list[Rule]:
    """A plain rule would be judged first; after other rules it becomes a filter."""
    name = rule.calls[0]
    if rule.when is None:
        return [replace(rule, when=TrueSymbol(), now=False) if is_late else rule]
    seen = specialise(rule.when, name, None, Dialect.STRICT)
    return _unless_never(rule, _folded(_in_systrace(rule, seen, name, notes)))


def _alias_to_systrace(
    rule: Rule, before: Sequence[str], members: Sequence[str], notes: _Notes
) -> list[Rule]:
    """A rule on the alias, after copies for calls that later rules name.

    Where the rule looks at more than file names, which an alias does not show, every member that
    has it gets its own.
    """
    alias = rule.calls[0]
    when = rule.when or TrueSymbol()
    wide = _is_wide(rule)
    rules: list[Rule] = []
    for member in members if wide else before:
        seen = specialise(when, member, None, Dialect.STRICT)
        if not could_hold(seen):
            continue
        if _names_two_files(member) and rule.when is not None:
            notes.add(f"{member} names two files; its rule looks at the first only")
        inner = _in_systrace(rule, seen, member, notes)
        narrowed = [_folded(AndExpression(each, inner)) for each in _belongs(member, alias)]
        rules += [replace(rule, calls=(member,), when=each) for each in narrowed if each != NEVER]
    if wide:
        return rules
    own = rule.when if rule.when is None else _folded(_in_systrace(rule, rule.when, None, notes))
    return rules if own == NEVER else [*rules, replace(rule, when=own)]


def _is_wide(rule: Rule) -> bool:
    """Whether the rule looks at more than an alias shows."""
    return any(
        isinstance(each, RegisterSymbol)
        or each.translator not in ALIAS_TRANSLATORS
        or each.index > 0
        for each, _ in symbols(rule.when or TrueSymbol())
    )


def _names_two_files(name: str) -> bool:
    return sum(each.translator == "filename" for each in sources(name)) > 1


def _belongs(member: str, alias: str) -> list[Expression]:
    """Membership as an expression that systrace can say."""
    model = known_syscall(member)
    found: list[Expression] = []
    for membership in model.aliases if model is not None else ():
        if membership.alias == alias:
            found.append(_membership(member, membership))
    return found


def _membership(member: str, membership: Membership) -> Expression:
    if source(member, "oflags") is not None:
        return _READS if membership.alias == "fsread" else NotExpression(_READS)
    return TrueSymbol() if membership.when is not None else NotExpression(_NO_PATH)


def _in_systrace(
    rule: Rule, expression: Expression, name: str | None, notes: _Notes, positive: bool = True
) -> Expression:
    """The expression with `eq` made exact; a register comparison holds where that refuses more."""
    match expression:
        case NotExpression(operand):
            return NotExpression(_in_systrace(rule, operand, name, notes, not positive))
        case AndExpression(left, right):
            return AndExpression(
                _in_systrace(rule, left, name, notes, positive),
                _in_systrace(rule, right, name, notes, positive),
            )
        case OrExpression(left, right):
            return OrExpression(
                _in_systrace(rule, left, name, notes, positive),
                _in_systrace(rule, right, name, notes, positive),
            )
        case RegisterSymbol():
            notes.add("systrace does not compare registers; those rules refuse more now")
            refuses = rule.action is not Action.PERMIT
            return TrueSymbol() if refuses == positive else NEVER
        case TextSymbol(operator=operator, operand=operand):
            if expression.translator == "filename":
                notes.add(
                    "names in directories that do not exist begin with "
                    "/<non-existent filename>: now"
                )
            if not _is_cased(expression) or _same_in_both(expression, name):
                return expression
            exact = replace(
                expression,
                operator=TextOperator.RE,
                operand="^" + re.sub(r"([.\[\]\\()*+?{}|^$])", r"\\\1", operand) + "$",
            )
            return exact if operator is TextOperator.EQ else NotExpression(exact)
        case _:
            return expression
