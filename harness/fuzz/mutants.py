"""The known-bug benchmark: wrong decisions that fuzzing must find, planted one at a time.

Each is a historic mistake of filters and enforcers. They are put in place of one function while a
campaign runs and taken out again; nothing of them is in the code that enforces.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from enforcer.cbpf import compiler, graph
from enforcer.cbpf.instruction import NR_OFFSET, Code, Instruction, argument_offsets
from enforcer.cbpf.spec import AbiTable, FilterSpec, SpecClause
from enforcer.condition import LOW_HALF, WORD, Compare, Operator
from enforcer.mechanisms import filter_spec
from enforcer.policy import decide, decider, format, register_text, residual
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    TextOperator,
    TextSymbol,
)
from enforcer.policy.decide import register_condition
from enforcer.policy.operators import text_test
from enforcer.policy.order import Judged, judged_rules
from enforcer.syscalls.model import Syscall


@dataclass(frozen=True, kw_only=True)
class Patch:
    """`owner.attribute` is replaced by what `make` gives for the original."""

    owner: Any
    attribute: str
    make: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One planted mistake and the property that must find it."""

    name: str
    mistake: str
    property: str
    patches: tuple[Patch, ...]


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mistake is made while the context lasts."""
    with contextlib.ExitStack() as stack:
        for patch in mutant.patches:
            original = getattr(patch.owner, patch.attribute)
            stack.callback(setattr, patch.owner, patch.attribute, original)
            setattr(patch.owner, patch.attribute, patch.make(original))
        yield


def _low_half_only(original: Any) -> Any:
    def equal(self: Any, value: int, yes: int, no: int) -> int:
        if value & ~self._mask:
            return no
        found: int = self._half_equal(self._low, value & LOW_HALF, yes, no)
        return found

    return equal


def _halves_unconnected(original: Any) -> Any:
    def above(self: Any, value: int, yes: int, no: int) -> int:
        lower = self._half_above(self._low, value & LOW_HALF, yes, no)
        found: int = self._half_above(self._high, value >> 32, yes, lower)
        return found

    return above


def _less_and_greater_swapped(original: Any) -> Any:
    def above(self: Any, value: int, yes: int, no: int) -> int:
        lower = self._half_above(self._low, value & LOW_HALF, no, yes)
        same = self._half_equal(self._high, value >> 32, lower, no)
        found: int = self._half_above(self._high, value >> 32, yes, same)
        return found

    return above


def _no_arch_check(original: Any) -> Any:
    def program(self: Any) -> Any:
        return self.graph.layout(self.numbers(self.spec.tables[0].abi.audit_arch))

    return program


def _x32_as_plain(original: Any) -> Any:
    def table_of(spec: FilterSpec, arch: int, nr: int) -> AbiTable | None:
        return original(spec, arch, nr & 0x3FFF_FFFF if nr < 0x8000_0000 else nr)  # type: ignore[no-any-return]

    return table_of


def _truncated_branch(original: Any) -> Any:
    def instruction(code: int, k: int = 0, jt: int = 0, jf: int = 0) -> Instruction:
        return Instruction(code, k, jt & 0xFF, jf & 0xFF)

    return instruction


def _little_endian(original: Any) -> Any:
    def offsets(argument: int, *, big_endian: bool) -> tuple[int, int]:
        return argument_offsets(argument, big_endian=False)

    return offsets


def _last_clause(original: Any) -> Any:
    def clauses(self: Any, table: AbiTable, found: tuple[SpecClause, ...]) -> int:
        last, *others = reversed(found)
        return original(self, table, (*others, last))  # type: ignore[no-any-return]

    return clauses


def _last_rule(original: Any) -> Any:
    def judge(compiled: Any, *rest: Any) -> Any:
        return original(replace(compiled, rules=tuple(reversed(compiled.rules))), *rest)

    return judge


def _without_openat2(original: Any) -> Any:
    def rules(policy: Policy, model: Syscall, abi: str | None = None) -> tuple[Judged, ...]:
        found = judged_rules(policy, model, abi)
        if model.name != "openat2":
            return found
        return tuple(each for each in found if not each.by_alias)

    return rules


def _neq_as_not_eq(original: Any) -> Any:
    def rules(policy: Policy, model: Syscall, abi: str | None = None) -> tuple[Judged, ...]:
        changed = tuple(
            rule if rule.when is None else replace(rule, when=_not_eq(rule.when))
            for rule in policy.rules
        )
        return judged_rules(replace(policy, rules=changed), model, abi)

    return rules


def _not_eq(expression: Expression) -> Expression:
    match expression:
        case TextSymbol(operator=TextOperator.NEQ):
            return NotExpression(replace(expression, operator=TextOperator.EQ))
        case NotExpression(operand):
            return NotExpression(_not_eq(operand))
        case AndExpression(left, right):
            return AndExpression(_not_eq(left), _not_eq(right))
        case OrExpression(left, right):
            return OrExpression(_not_eq(left), _not_eq(right))
        case _:
            return expression


def _star_crosses_slash(original: Any) -> Any:
    def test(operator: TextOperator, operand: str, dialect: Dialect) -> Callable[[str], bool]:
        if operator is TextOperator.MATCH:
            return lambda text: fnmatch.fnmatchcase(text, operand)
        return text_test(operator, operand, dialect)

    return test


def _greater_or_equal_as_greater(original: Any) -> Any:
    def compare(self: Any, found: Compare, abi: Any, yes: int, no: int) -> int:
        if found.operator is Operator.GE:
            found = replace(found, operator=Operator.GT)
        return original(self, found, abi, yes, no)  # type: ignore[no-any-return]

    return compare


def _mask_forgotten(original: Any) -> Any:
    def test(self: Any, offset: int, mask: int, code: Code, *rest: int) -> int:
        return original(self, offset, graph.FULL, code, *rest)  # type: ignore[no-any-return]

    return test


def _sign_extended(original: Any) -> Any:
    def condition(symbol: Any) -> Compare:
        found = register_condition(symbol)
        if found.value >> 31 == 1:
            return replace(found, value=found.value | WORD ^ LOW_HALF)
        return found

    return condition


def _upper_halves_of_narrow(original: Any) -> Any:
    return lambda abi: WORD


def _carriers_permitted(original: Any) -> Any:
    return lambda policy, model: False


def _unreadable_is_no_match(original: Any) -> Any:
    def on_memory(*args: Any) -> Any:
        inner = original(*args)
        return lambda *call: inner(*call) or False

    return on_memory


def _first_name_only(original: Any) -> Any:
    def strictest(answers: Sequence[Any]) -> Any:
        return answers[0]

    return strictest


def _merged_words(original: Any) -> Any:
    def test(self: Any, offset: int, mask: int, code: Code, k: int, yes: int, no: int) -> int:
        made: dict[tuple[int, ...], int] = self.__dict__.setdefault("_merged", {})
        if offset < 16 or yes == no:
            return original(self, offset, mask, code, k, yes, no)  # type: ignore[no-any-return]
        key = (mask, code, k, yes, no)
        if key not in made:
            made[key] = original(self, offset, mask, code, k, yes, no)
        return made[key]

    return test


def _number_off_by_one(original: Any) -> Any:
    def test(self: Any, offset: int, mask: int, code: Code, *rest: int) -> int:
        if offset == NR_OFFSET and code is Code.JGE:
            code = Code.JGT
        return original(self, offset, mask, code, *rest)  # type: ignore[no-any-return]

    return test


def _multiplexer_as_any_call(original: Any) -> Any:
    return lambda self, abi, name, number: self._clauses(abi, name)


def _registers_of_x86_64(original: Any) -> Any:
    def source(name: str, translator: str, index: int = 0, abi: str | None = None) -> Any:
        return original(name, translator, index, None)

    return source


def _whole_registers(original: Any) -> Any:
    return lambda argument, name, value: WORD


def _ancestor_reversed(original: Any) -> Any:
    def test(operator: TextOperator, operand: str, dialect: Dialect) -> Callable[[str], bool]:
        if operator is TextOperator.INPATH:
            return lambda text: text_test(operator, text, dialect)(operand)
        return text_test(operator, operand, dialect)

    return test


def _four_rules_only(original: Any) -> Any:
    def rules(policy: Policy, model: Syscall, abi: str | None = None) -> tuple[Judged, ...]:
        return judged_rules(replace(policy, rules=policy.rules[:4]), model, abi)

    return rules


def _errno_of_the_rule_before(original: Any) -> Any:
    def rules(policy: Policy, model: Syscall, abi: str | None = None) -> tuple[Judged, ...]:
        changed = list(policy.rules)
        for place, (before, rule) in enumerate(pairwise(policy.rules), start=1):
            if before.action is rule.action:
                changed[place] = replace(rule, errno=before.errno)
        return judged_rules(replace(policy, rules=tuple(changed)), model, abi)

    return rules


def _without_parentheses(original: Any) -> Any:
    return lambda expression, outer: original(expression, 0)


def _patch(owner: Any, attribute: str, make: Callable[[Any], Any]) -> tuple[Patch, ...]:
    return (Patch(owner=owner, attribute=attribute, make=make),)


_WORD: Any = compiler._Word


def _mutant(name: str, mistake: str, found_by: str, patches: tuple[Patch, ...]) -> Mutant:
    return Mutant(name=name, mistake=mistake, property=found_by, patches=patches)


MUTANTS: dict[str, Mutant] = {
    each.name: each
    for each in (
        _mutant(
            "low-half-compare",
            "a 64-bit argument is compared by its lower 32 bits",
            "filters",
            _patch(_WORD, "equal", _low_half_only),
        ),
        _mutant(
            "halves-unconnected",
            "greater-than looks at the lower half whatever the upper one is",
            "filters",
            _patch(_WORD, "above", _halves_unconnected),
        ),
        _mutant(
            "less-greater-swapped",
            "less and greater are exchanged when the comparison goes on in the lower half",
            "filters",
            _patch(_WORD, "above", _less_and_greater_swapped),
        ),
        _mutant(
            "no-arch-check",
            "the filter does not look at AUDIT_ARCH",
            "compiler",
            _patch(compiler.Compiler, "program", _no_arch_check),
        ),
        _mutant(
            "x32-bit-ignored",
            "x32 numbers are taken for those of x86_64",
            "compiler",
            _patch(compiler, "table_of", _x32_as_plain),
        ),
        _mutant(
            "branch-past-255",
            "a branch longer than 255 instructions is cut to eight bits",
            "filters",
            (
                Patch(owner=graph, attribute="LONGEST_BRANCH", make=lambda limit: 1 << 20),
                Patch(owner=graph, attribute="Instruction", make=_truncated_branch),
            ),
        ),
        _mutant(
            "big-endian-swapped",
            "halves of an argument are exchanged on a big-endian machine",
            "filters",
            _patch(compiler, "argument_offsets", _little_endian),
        ),
        _mutant(
            "last-clause-wins",
            "the last clause that holds answers, not the first",
            "compiler",
            _patch(compiler.Compiler, "clauses", _last_clause),
        ),
        _mutant(
            "ge-as-gt",
            "greater-or-equal excludes the value itself",
            "filters",
            _patch(compiler.Compiler, "compare", _greater_or_equal_as_greater),
        ),
        _mutant(
            "mask-forgotten",
            "masked comparisons see the whole word",
            "filters",
            _patch(graph.Graph, "test", _mask_forgotten),
        ),
        _mutant(
            "merged-words",
            "equal tests of different arguments are merged",
            "filters",
            _patch(graph.Graph, "test", _merged_words),
        ),
        _mutant(
            "sign-extended",
            "a value with bit 31 set is sign-extended to 64 bits",
            "compiler",
            _patch(residual, "register_condition", _sign_extended),
        ),
        _mutant(
            "narrow-upper-halves",
            "a 32-bit call is judged by what is left in the upper halves",
            "filters",
            _patch(compiler, "register_mask", _upper_halves_of_narrow),
        ),
        _mutant(
            "carrier-permitted",
            "io_uring is permitted under a policy that refuses something",
            "compiler",
            _patch(residual, "refuses_carrier", _carriers_permitted),
        ),
        _mutant(
            "filter-without-openat2",
            "the alias of opening does not know openat2, in filters",
            "compiler",
            _patch(residual, "judged_rules", _without_openat2),
        ),
        _mutant(
            "decider-without-openat2",
            "the alias of opening does not know openat2, in the supervisor",
            "decider",
            _patch(decider, "judged_rules", _without_openat2),
        ),
        _mutant(
            "last-rule-wins",
            "the last rule that holds decides, not the first",
            "decider",
            _patch(decider, "_judge", _last_rule),
        ),
        _mutant(
            "neq-as-not-eq",
            "neq holds for a call that has no such argument",
            "decider",
            _patch(decider, "judged_rules", _neq_as_not_eq),
        ),
        _mutant(
            "star-crosses-slash",
            "a star of match stands for slashes too",
            "decider",
            _patch(decider, "text_test", _star_crosses_slash),
        ),
        _mutant(
            "unreadable-permitted",
            "a rule that needs an unreadable argument is passed over",
            "decider",
            _patch(decider, "_on_memory", _unreadable_is_no_match),
        ),
        _mutant(
            "first-name-only",
            "of a call with two names only the first is judged",
            "decider",
            _patch(decider, "strictest", _first_name_only),
        ),
        _mutant(
            "inpath-reversed",
            "inpath holds for what is beneath, not for what is above",
            "decider",
            _patch(decider, "text_test", _ancestor_reversed),
        ),
        _mutant(
            "number-off-by-one",
            "the tree of numbers takes the first of a range for the last of the one before",
            "compiler",
            _patch(graph.Graph, "test", _number_off_by_one),
        ),
        _mutant(
            "multiplexer-unsplit",
            "socketcall and ipc are judged by their own names",
            "compiler",
            _patch(filter_spec._Calls, "_multiplexer", _multiplexer_as_any_call),
        ),
        _mutant(
            "registers-of-x86_64",
            "arguments are sought in the registers that x86_64 has them in (clone of s390x)",
            "compiler",
            _patch(residual, "source", _registers_of_x86_64),
        ),
        _mutant(
            "command-as-64-bits",
            "a command, which the kernel takes 32 bits of, is compared as a whole register",
            "compiler",
            _patch(register_text, "bits_that_matter", _whole_registers),
        ),
        _mutant(
            "rules-cut-short",
            "rules beyond the fourth are dropped",
            "added-permit",
            _patch(decide, "judged_rules", _four_rules_only),
        ),
        _mutant(
            "errno-of-neighbour",
            "rules of one action that follow each other share one errno",
            "disjoint-rules",
            _patch(decide, "judged_rules", _errno_of_the_rule_before),
        ),
        _mutant(
            "parentheses-dropped",
            "a policy is printed without its parentheses",
            "round-trip",
            _patch(format, "_by_precedence", _without_parentheses),
        ),
    )
}
