"""The semantics of policies: one pure function from a policy and a call to a decision.

Everything else that decides (the hot path, filters, mechanisms) is tested against it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace

from enforcer.call import STRICTNESS, Action, Call, Decision
from enforcer.condition import Compare, holds
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Predicate,
    Principal,
    RegisterSymbol,
    Rule,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.membership import (
    belongs_by_memory,
    is_path_of_address,
    path_of_sockaddr,
)
from enforcer.policy.operators import text_test
from enforcer.policy.order import Judged, judged_rules, refuses_carrier
from enforcer.policy.register_text import register_text
from enforcer.policy.renaming import DEVICE, renaming_of
from enforcer.policy.translators import Origin, is_repeated, known_syscall, source, sources

NOT_THERE = "/<non-existent filename>: "
"""What the systrace dialect puts before the name of a file in no directory."""

Texts = Callable[[str, int], str | None]
"""The text of the n-th value of a translator; None when it cannot be read."""


def decide(policy: Policy, call: Call) -> Decision:
    """The policy's answer to a call: that of the first rule, in judging order, that holds.

    Logic is three-valued. A value that cannot be read makes its comparison unknown; a rule whose
    answer then hangs on it denies with EFAULT, so that nothing is permitted unread. What registers
    say is taken from `call.args`; of `call.values` only those count that come from memory.

    A call that a rule sees through an alias and that names several files (rename) is several
    accesses, and one call with many messages (sendmmsg) too: each is judged with its own name as
    the first, and the strictest answer stands.

    What the rules permit is refused where it would bring an object under another name by which some
    call on it is refused less (enforcer.policy.renaming).

    Stated exceptions: a call that the model does not know, and one that carries others unseen under
    a policy that refuses anything, are ENOSYS; a detached policy permits everything.
    """
    rules = concerning(policy, call.name, call.abi)
    return rules if isinstance(rules, Decision) else judged_by(policy, rules, call)


def concerning(policy: Policy, name: str, abi: str | None) -> tuple[Judged, ...] | Decision:
    """The rules that judge a call of that name, or the answer that all such calls get."""
    if policy.detached:
        return Decision(action=Action.PERMIT, reason="the policy is detached")
    model = known_syscall(name, abi)
    if model is None:
        return _exception(errno.ENOSYS, f"unknown call {name}")
    if refuses_carrier(policy, model):
        return _exception(errno.ENOSYS, f"{name} performs other calls unseen")
    rules = judged_rules(policy, model, abi)
    hangs_on_names = model.gives_names and renaming_of(policy).matters
    return rules if rules or hangs_on_names else default_decision(policy)


def judged_by(policy: Policy, rules: Sequence[Judged], call: Call) -> Decision:
    """The answer to one call by the rules that concern it: the strictest over its accesses."""
    answers = [judge(policy, rules, call, access) for access in range(accesses(call, rules))]
    answer = strictest(answers)
    if answer.action is not Action.PERMIT:
        return answer
    return _renamed(policy, call, answer.rule) or answer


def _renamed(policy: Policy, call: Call, rule: int | None) -> Decision | None:
    """The refusal of a call that would free an object of a rule by another name."""
    model = known_syscall(call.name, call.abi)
    if model is None or not model.gives_names or not renaming_of(policy).matters:
        return None
    names, devices = (
        [value.text for value in call.values if value.translator == kind]
        for kind in ("filename", DEVICE)
    )
    return renaming_of(policy).refusal(model, call.args, names, rule, devices)


def strictest(answers: Sequence[Decision]) -> Decision:
    """The answer that stands when every one of several accesses was judged.

    One call has one caller: where not all accesses are permitted with the same other ids, none is.
    """
    answer = max(answers, key=lambda answer: (STRICTNESS[answer.action], answer.log))
    if any(other.elevation != answer.elevation for other in answers):
        return replace(answer, elevation=None)
    return answer


def decision_of(rule: Rule, index: int) -> Decision:
    """The answer that a rule gives."""
    return Decision(
        action=rule.action,
        errno=rule.errno if rule.action is Action.DENY else 0,
        rule=index,
        log=rule.log,
        elevation=rule.elevation,
        transition=rule.transition,
    )


def default_decision(policy: Policy) -> Decision:
    """The answer where no rule holds."""
    denies = policy.default is Action.DENY
    return Decision(
        action=policy.default, errno=policy.default_errno if denies else 0, reason="default"
    )


def unreadable_decision(judged: Judged) -> Decision:
    """The answer where a rule hangs on a value that cannot be read."""
    number = judged.rule.number or judged.index + 1
    return _exception(errno.EFAULT, f"rule {number} needs an argument that cannot be read")


def _exception(number: int, reason: str) -> Decision:
    return Decision(action=Action.DENY, errno=number, reason=reason)


def judge(policy: Policy, rules: Sequence[Judged], call: Call, access: int) -> Decision:
    """The answer to one access of a call by the rules that concern it, in judging order."""
    for judged in rules:
        held = trial(policy, judged, call, access)
        if held is None:
            return unreadable_decision(judged)
        if held:
            return decision_of(judged.rule, judged.index)
    return default_decision(policy)


def trial(policy: Policy, judged: Judged, call: Call, access: int = 0) -> bool | None:
    """Whether a rule holds for one access of a call; None: it hangs on what cannot be read."""
    texts = texts_of(policy.dialect, judged, call, access)
    return _both(
        judged.rule.predicate is None or predicate_holds(judged.rule.predicate, call.uid, call.gid),
        _both(belongs(judged, call, texts), truth(judged.when, call, policy.dialect, texts)),
    )


def accesses(call: Call, rules: Sequence[Judged]) -> int:
    """How many accesses the call stands for, at least one."""
    counts = [1]
    every = sources(call.name, call.abi)
    if any(judged.by_alias for judged in rules):
        counts.append(sum(each.translator == "filename" for each in every))
    for each in every:
        if is_repeated(each):
            counts.append(sum(value.translator == each.translator for value in call.values))
    return max(counts)


def texts_of(dialect: Dialect, judged: Judged, call: Call, access: int) -> Texts:
    """The texts of a call as one rule sees them in one access."""

    def text(translator: str, index: int) -> str | None:
        found = source(call.name, translator, index, call.abi)
        if found is None:
            return None
        if found.origin is Origin.NAME:
            return call.name
        if found.origin is Origin.REGISTER:
            return register_text(found, call.name, call.args)
        if index == 0 and (is_repeated(found) or (judged.by_alias and translator == "filename")):
            index = access
        values = [value for value in call.values if value.translator == translator]
        if index >= len(values):
            return _path_of_address(call, translator)
        value = values[index]
        missing = dialect is Dialect.SYSTRACE and translator == "filename" and not value.exists
        return NOT_THERE + value.text if missing and value.text is not None else value.text

    return text


def _path_of_address(call: Call, translator: str) -> str | None:
    """The file name within the address of bind, where the caller gave none of its own."""
    if not is_path_of_address(call.name, translator):
        return None
    for value in call.values:
        if value.translator == "sockaddr" and value.text is not None:
            return path_of_sockaddr(value.text)
    return None


def belongs(judged: Judged, call: Call, texts: Texts) -> bool | None:
    """Whether the call belongs to an alias of the rule."""
    if not judged.by_alias:
        return True
    found: bool | None = False
    for membership in judged.memberships:
        if membership.when is None:
            found = _either(found, belongs_by_memory(call.name, membership.alias, texts))
        else:
            found = _either(found, holds(membership.when, call.args))
    return found


def truth(expression: Expression, call: Call, dialect: Dialect, texts: Texts) -> bool | None:
    match expression:
        case TrueSymbol():
            return True
        case NotExpression(operand):
            inner = truth(operand, call, dialect, texts)
            return None if inner is None else not inner
        case AndExpression(left, right):
            return _both(truth(left, call, dialect, texts), truth(right, call, dialect, texts))
        case OrExpression(left, right):
            return _either(truth(left, call, dialect, texts), truth(right, call, dialect, texts))
        case RegisterSymbol():
            return holds(register_condition(expression), call.args)
        case TextSymbol(translator=translator, index=index, operator=operator, operand=operand):
            text = texts(translator, index)
            return None if text is None else text_test(operator, operand, dialect)(text)


def register_condition(symbol: RegisterSymbol) -> Compare:
    """The comparison that a register symbol stands for."""
    return Compare(symbol.argument, symbol.operator, symbol.value, symbol.mask)


def predicate_holds(predicate: Predicate, uid: int, gid: int) -> bool:
    """Whether a predicate holds for a caller with these effective ids."""
    number = uid if predicate.principal is Principal.USER else gid
    return holds(Compare(0, predicate.operator, predicate.value), (number,))


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _either(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False
