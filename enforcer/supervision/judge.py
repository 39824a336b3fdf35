"""One policy's word on the calls that a supervisor holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from errno import ENOSYS
from typing import Concatenate, ParamSpec, Protocol

from enforcer.call import Action, Decision, Elevation
from enforcer.policy.ast import Policy, Rule
from enforcer.policy.decider import Decider
from enforcer.policy.looks import looks_only_at
from enforcer.policy.order import judged_rules
from enforcer.policy.translators import Origin, known_syscall, sources

_SHOWN = frozenset({"filename", "sockaddr"})
"""What a person wants to know of a call, and answers by."""

_TEXTS = frozenset({"filename", "sockaddr", "call"})
MOST_KNOWN = 16_384
LONGEST_KNOWN = 512
"""Together they bound what a target that makes names up has its supervisor remember."""

Values = Mapping[str, Sequence[str | None]]
"""The texts of arguments in memory by translator."""


class Asker(Protocol):
    """Who knows answers where a policy says `ask`; what it says then is a question still."""

    def can_hold(self, name: str, needs: frozenset[str]) -> bool:
        """Whether a call can be judged by these texts from memory, and made as it was judged."""
        ...

    def ask(
        self, name: str, args: Sequence[int], values: Values, decision: Decision
    ) -> Decision: ...


class Judge:
    """A policy prepared for the hot path; the only caller of its decider there.

    Unless the policy asks and there is an asker, or it is `permissive`, `decide` is the decider's
    own, so that neither costs anything where nobody asks or learns. See Decider.decide for its
    arguments. A permissive judge permits what the policy refuses, and says so (`would_be`).
    `is_fixed`: no person's word counts, so the same call always gets the same decision. `known`:
    what was plainly permitted to a call, by its canonical name, of which nothing is missing, or by
    the internet address that connect(2) gets, where nothing else matters.
    """

    def __init__(
        self, policy: Policy, *, asker: Asker | None = None, permissive: bool = False
    ) -> None:
        self.policy = policy
        self.has_predicates = any(rule.predicate is not None for rule in policy.rules)
        self.elevates = any(rule.elevation is not None for rule in policy.rules)
        self._decider = Decider(policy)
        # A person's word counts where the policy asks, and nowhere else.
        self._asker = asker = asker if asks(policy) else None
        self.is_fixed = asker is None
        self._needs: dict[str, frozenset[str]] = {}
        self.known: defaultdict[str, dict[bytes, Decision]] = defaultdict(dict)
        self._remembers: dict[str, bool] = {}
        self.decide: Callable[..., Decision] = self._decider.decide
        if asker is not None:
            self.decide = _in_company(self.decide, asker)
        if permissive:
            self.decide = _permissively(self.decide)

    def needs(self, name: str) -> frozenset[str]:
        """The translators of memory arguments that rules for call `name` look at."""
        found = self._needs.get(name)
        if found is None:
            found = self._decider.needs(name)
            if self._asker is not None and asks(self.policy, name):
                shown = found | (memory_texts(name) & _SHOWN)
                found = shown if self._asker.can_hold(name, shown) else found
            self._needs[name] = found
        return found

    def remember(self, call: str, name: bytes, decision: Decision) -> None:
        """Know a decision from now on, if it is a plain permission that hangs on the name alone."""
        if len(name) > LONGEST_KNOWN or not decision.is_plain or not self.hangs_on_name(call):
            return
        known = self.known[call]
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[name] = decision

    def hangs_on_name(self, call: str) -> bool:
        """Whether a decision on a call of one name, or address, hangs on that alone."""
        found = self._remembers.get(call)
        if found is None:
            found = self.is_fixed and looks_only_at(self.policy, call, _TEXTS)
            self._remembers[call] = found
        return found

    def elevations(self, name: str) -> tuple[Elevation, ...]:
        """The other ids with which some rule permits call `name`, each once, in judging order."""
        rules = _rules_for(self.policy, name) if self.elevates else ()
        found = (rule.elevation for rule in rules)
        return tuple(dict.fromkeys(each for each in found if each is not None))


def asks(policy: Policy, call: str = "") -> bool:
    """Whether some call, or one of that name, can come to a question under this policy."""
    rules = _rules_for(policy, call) if call else policy.rules
    return policy.default is Action.ASK or any(rule.action is Action.ASK for rule in rules)


def _rules_for(policy: Policy, call: str) -> Sequence[Rule]:
    """Those that can decide a call of that name, in judging order."""
    model = known_syscall(call)
    return () if model is None else [each.rule for each in judged_rules(policy, model)]


P = ParamSpec("P")
Decide = Callable[Concatenate[str, Sequence[int], Values, P], Decision]


def _in_company(decide: Decide[P], asker: Asker) -> Decide[P]:
    def decided(
        name: str, args: Sequence[int], values: Values, /, *rest: P.args, **more: P.kwargs
    ) -> Decision:
        decision = decide(name, args, values, *rest, **more)
        if decision.action is Action.ASK:
            return asker.ask(name, args, values, decision)
        return decision

    return decided


def memory_texts(name: str) -> frozenset[str]:
    """The translators of a call whose texts lie in the caller's memory."""
    return frozenset(
        each.translator for each in sources(name, None) if each.origin is Origin.MEMORY
    )


def _permissively(decide: Decide[P]) -> Decide[P]:
    def decided(
        name: str, args: Sequence[int], values: Values, /, *rest: P.args, **more: P.kwargs
    ) -> Decision:
        decision = decide(name, args, values, *rest, **more)
        if decision.action is Action.PERMIT or _is_for_lack_of_sight(decision):
            return decision
        return replace(decision, action=Action.PERMIT, would_be=decision.action, log=True)

    return decided


def _is_for_lack_of_sight(decision: Decision) -> bool:
    """Whether a call is refused because nobody could see what it does: io_uring, unknown calls."""
    return decision.rule is None and decision.errno == ENOSYS and decision.reason != "default"
