"""`decide` compiled once into closures, for the mechanisms' hot path (1 to 3 us a decision)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from enforcer.call import Action, Decision
from enforcer.condition import TRUE, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Predicate,
    RegisterSymbol,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.decide import (
    NOT_THERE,
    decision_of,
    default_decision,
    predicate_holds,
    register_condition,
    strictest,
    unreadable_decision,
)
from enforcer.policy.membership import belongs_by_memory, is_path_of_address, path_of_sockaddr
from enforcer.policy.operators import text_test
from enforcer.policy.order import Judged, judged_rules, refuses_carrier
from enforcer.policy.register_text import argument_text, register_text_condition
from enforcer.policy.renaming import DEVICE, renaming_of
from enforcer.policy.translators import (
    Origin,
    Source,
    is_repeated,
    known_syscall,
    source,
    sources,
)
from enforcer.syscalls.model import Syscall

Texts = Sequence[str | None]
"""The texts of one translator in argument order; None where memory could not be read."""

Read = Callable[[str], Texts | None]
"""The texts of a translator, asked for only when a rule needs them."""

Values = Mapping[str, Texts] | Read

_MAPPINGS = (dict, Mapping)
"""The hot path gives a dict, and to ask an abstract class takes as long as a rule does."""

_Test = Callable[[Sequence[int], Read, int, int], bool | None]
_Holds = Callable[[Sequence[int]], bool]


@dataclass(frozen=True, slots=True)
class _Rule:
    predicate: Predicate | None
    test: _Test
    decision: Decision
    unreadable: Decision


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The rules for one call. `accesses` counts files judged one by one; `repeated` is the
    translator whose texts are, however many there are. `model` is given where what is permitted may
    still free an object of a rule by another name."""

    rules: tuple[_Rule, ...]
    default: Decision
    needs: frozenset[str]
    accesses: int = 1
    repeated: str = ""
    model: Syscall | None = None


class Decider:
    """A policy ready to judge calls; equal to `decide` on the same call."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._renaming = renaming_of(policy)
        self._calls: dict[tuple[str, str | None], _Compiled] = {}

    def needs(self, name: str, abi: str | None = None) -> frozenset[str]:
        """The translators from memory that some rule for the call compares."""
        return self._compiled(name, abi).needs

    def decide(
        self,
        name: str,
        args: Sequence[int],
        values: Values,
        uid: int = 0,
        gid: int = 0,
        missing: int = 0,
        abi: str | None = None,
    ) -> Decision:
        """The decision on a call with these registers (unsigned 64-bit) and texts from memory.

        `values` gives the texts of a translator that `needs` names; a mapping without it, or None,
        means that they cannot be read. `uid` and `gid` are the caller's effective ids. Bit n of
        `missing` says that the directory of the n-th file name does not exist. `abi` counts for the
        few calls whose arguments vary between ABIs.
        """
        compiled = self._calls.get((name, abi)) or self._compiled(name, abi)
        read: Read = values.get if isinstance(values, _MAPPINGS) else values
        accesses = compiled.accesses
        if compiled.repeated:
            accesses = max(1, len(read(compiled.repeated) or ()))
        if accesses == 1:
            answer = _judge(compiled, args, read, 0, missing, uid, gid)
        else:
            each = range(accesses)
            answer = strictest(
                [_judge(compiled, args, read, access, missing, uid, gid) for access in each]
            )
        if compiled.model is None or answer.action is not Action.PERMIT:
            return answer
        names = read("filename") or ()
        devices = () if compiled.model.node is None else read(DEVICE) or ()
        refused = self._renaming.refusal(compiled.model, args, names, answer.rule, devices)
        return refused or answer

    def _compiled(self, name: str, abi: str | None) -> _Compiled:
        compiled = self._calls.get((name, abi))
        if compiled is None:
            model = known_syscall(name, abi)
            if abi is not None and model is known_syscall(name):
                compiled = self._calls[name, abi] = self._compiled(name, None)
                return compiled
            compiled = _compile(self.policy, name, abi)
            if model is not None and model.gives_names and self._renaming.matters:
                needs = compiled.needs | {"filename"}
                compiled = replace(compiled, needs=needs, model=model)
            self._calls[name, abi] = compiled
        return compiled


def _judge(
    compiled: _Compiled,
    args: Sequence[int],
    read: Read,
    access: int,
    missing: int,
    uid: int,
    gid: int,
) -> Decision:
    for rule in compiled.rules:
        if rule.predicate is not None and not predicate_holds(rule.predicate, uid, gid):
            continue
        held = rule.test(args, read, access, missing)
        if held:
            return rule.decision
        if held is None:
            return rule.unreadable
    return compiled.default


def _compile(policy: Policy, name: str, abi: str | None) -> _Compiled:
    nothing: frozenset[str] = frozenset()
    if policy.detached:
        permit = Decision(action=Action.PERMIT, reason="the policy is detached")
        return _Compiled((), permit, nothing)
    model = known_syscall(name, abi)
    if model is None:
        return _Compiled((), _enosys(f"unknown call {name}"), nothing)
    if refuses_carrier(policy, model):
        return _Compiled((), _enosys(f"{name} performs other calls unseen"), nothing)
    judged_list = judged_rules(policy, model, abi)
    if not judged_list:
        return _Compiled((), default_decision(policy), nothing)
    needs: set[str] = set()
    rules = tuple(
        _Rule(
            judged.rule.predicate,
            _both(
                _membership(judged, name, abi, needs),
                _Compiler(name, abi, policy.dialect, judged.by_alias, needs).test(judged.when),
            ),
            decision_of(judged.rule, judged.index),
            unreadable_decision(judged),
        )
        for judged in judged_list
    )
    accesses = 1
    if "filename" in needs and any(judged.by_alias for judged in judged_list):
        accesses = sum(each.translator == "filename" for each in sources(name, abi))
    repeated = next((each.translator for each in sources(name, abi) if is_repeated(each)), "")
    return _Compiled(
        rules,
        default_decision(policy),
        frozenset(needs),
        accesses,
        repeated if repeated in needs else "",
    )


def _enosys(reason: str) -> Decision:
    return Decision(action=Action.DENY, errno=errno.ENOSYS, reason=reason)


def _always(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
    return True


def _never(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
    return False


def _membership(judged: Judged, name: str, abi: str | None, needs: set[str]) -> _Test:
    """Whether the call belongs to an alias of the rule."""
    if not judged.by_alias:
        return _always
    test: _Test = _never
    for each in judged.memberships:
        test = _either(
            test,
            _on_registers(each.when)
            if each.when is not None
            else _membership_by_memory(name, abi, each.alias, needs),
        )
    return test


def _membership_by_memory(name: str, abi: str | None, alias: str, needs: set[str]) -> _Test:
    needs.update(
        translator
        for translator in ("oflags", "sockaddr")
        if (found := source(name, translator, 0, abi)) is not None and found.origin is Origin.MEMORY
    )

    def test(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        def text(translator: str, index: int) -> str | None:
            texts = read(translator)
            return texts[index] if texts is not None and index < len(texts) else None

        return belongs_by_memory(name, alias, text)

    return test


class _Compiler:
    """Compiles the expression of one rule for one call."""

    def __init__(
        self,
        name: str,
        abi: str | None,
        dialect: Dialect,
        by_alias: bool,
        needs: set[str],
    ) -> None:
        self._name = name
        self._abi = abi
        self._dialect = dialect
        self._by_alias = by_alias
        self._needs = needs

    def test(self, expression: Expression) -> _Test:
        match expression:
            case TrueSymbol():
                return _always
            case NotExpression(operand):
                return _not(self.test(operand))
            case AndExpression(left, right):
                return _both(self.test(left), self.test(right))
            case OrExpression(left, right):
                return _either(self.test(left), self.test(right))
            case RegisterSymbol():
                return _on_registers(register_condition(expression))
            case TextSymbol():
                return self._symbol(expression)

    def _symbol(self, symbol: TextSymbol) -> _Test:
        found = source(self._name, symbol.translator, symbol.index, self._abi)
        assert found is not None
        test = text_test(symbol.operator, symbol.operand, self._dialect)
        if found.origin is Origin.NAME:
            return _always if test(self._name) else _never
        if found.origin is Origin.REGISTER:
            return self._register(found, symbol, test)
        self._needs.add(symbol.translator)
        by_access = symbol.index == 0 and (
            is_repeated(found) or (self._by_alias and symbol.translator == "filename")
        )
        if is_path_of_address(self._name, symbol.translator):
            self._needs.add("sockaddr")
            return _in_address(test, self._dialect)
        if self._dialect is Dialect.SYSTRACE and symbol.translator == "filename":
            return _on_file(test, symbol.index, by_access)
        return _on_memory(test, symbol.translator, symbol.index, by_access)

    def _register(self, found: Source, symbol: TextSymbol, test: Callable[[str], bool]) -> _Test:
        must, may = register_text_condition(
            found, self._name, symbol.operator, symbol.operand, self._dialect
        )
        if must == may:
            return _on_registers(must)
        argument, translator, name = found.argument, found.translator, self._name
        assert argument is not None
        index = argument.index
        return lambda args, read, access, missing: test(
            argument_text(translator, argument, name, args[index])
        )


def _on_memory(test: Callable[[str], bool], translator: str, index: int, by_access: bool) -> _Test:
    def symbol(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        texts = read(translator)
        place = access if by_access else index
        if texts is None or place >= len(texts):
            return None
        text = texts[place]
        return None if text is None else test(text)

    return symbol


def _on_file(test: Callable[[str], bool], index: int, by_access: bool) -> _Test:
    """A file name as the systrace dialect prints it."""

    def symbol(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        texts = read("filename")
        place = access if by_access else index
        if texts is None or place >= len(texts):
            return None
        text = texts[place]
        if text is None:
            return None
        return test(NOT_THERE + text if missing >> place & 1 else text)

    return symbol


def _in_address(test: Callable[[str], bool], dialect: Dialect) -> _Test:
    """The file name of an address, where nobody gave one of its own."""

    def symbol(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        texts = read("filename")
        if texts:
            text = texts[0]
            if text is not None and missing & 1 and dialect is Dialect.SYSTRACE:
                text = NOT_THERE + text
        else:
            addresses = read("sockaddr")
            address = addresses[0] if addresses else None
            text = None if address is None else path_of_sockaddr(address)
        return None if text is None else test(text)

    return symbol


def _not(inner: _Test) -> _Test:
    def test(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        held = inner(args, read, access, missing)
        return None if held is None else not held

    return test


def _both(left: _Test, right: _Test) -> _Test:
    if left is _always or right is _never:
        return right
    if right is _always or left is _never:
        return left

    def test(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        first = left(args, read, access, missing)
        if first is False:
            return False
        second = right(args, read, access, missing)
        return first if second else second

    return test


def _either(left: _Test, right: _Test) -> _Test:
    if left is _never or right is _always:
        return right
    if right is _never or left is _always:
        return left

    def test(args: Sequence[int], read: Read, access: int, missing: int) -> bool | None:
        first = left(args, read, access, missing)
        if first:
            return True
        second = right(args, read, access, missing)
        return True if second else (None if first is None else second)

    return test


def _on_registers(condition: Condition) -> _Test:
    if condition == TRUE:
        return _always
    holds = _registers(condition)
    return lambda args, read, access, missing: holds(args)


def _registers(condition: Condition) -> _Holds:
    """`holds` compiled for one condition."""
    match condition:
        case Not(member):
            inner = _registers(member)
            return lambda args: not inner(args)
        case All(members):
            return _every(tuple(map(_registers, members)))
        case Any(members):
            return _some(tuple(map(_registers, members)))
        case Compare():
            return _comparison(condition)


def _every(members: tuple[_Holds, ...]) -> _Holds:
    def holds(args: Sequence[int]) -> bool:
        for each in members:  # noqa: SIM110 - a generator costs more than the members
            if not each(args):
                return False
        return True

    return holds


def _some(members: tuple[_Holds, ...]) -> _Holds:
    def holds(args: Sequence[int]) -> bool:
        for each in members:  # noqa: SIM110 - a generator costs more than the members
            if each(args):
                return True
        return False

    return holds


def _comparison(compare: Compare) -> _Holds:
    index, value, mask = compare.argument, compare.value, compare.mask
    match compare.operator:
        case Operator.EQ:
            if mask == WORD:
                return lambda args: args[index] == value
            return lambda args: args[index] & mask == value
        case Operator.NE:
            return lambda args: args[index] & mask != value
        case Operator.LT:
            return lambda args: args[index] & mask < value
        case Operator.LE:
            return lambda args: args[index] & mask <= value
        case Operator.GT:
            return lambda args: args[index] & mask > value
        case Operator.GE:
            return lambda args: args[index] & mask >= value
