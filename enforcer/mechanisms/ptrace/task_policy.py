"""The policy that a task comes under, prepared for the decisions of the hot path."""

from __future__ import annotations

from dataclasses import replace

from enforcer.pin.glance import GLANCES
from enforcer.pin.places import Places
from enforcer.pin.same_objects import SameObjects
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
)
from enforcer.policy.denied_names import names_denied_by_equality
from enforcer.supervision.desk import StandingAnswers
from enforcer.supervision.judge import Judge


class TaskPolicy(Judge):
    """One policy.

    `permitted` are calls of openat that were permitted: name, dirfd, flags and mode. They may only
    be remembered where no rule looks at the pointer, or at who calls. `looks` are the calls of
    GLANCES that it judges, by names and nobody's ids. `standing` has the answers of whoever is
    asked, by rules of their own.
    """

    def __init__(
        self,
        policy: Policy,
        standing: StandingAnswers | None = None,
        *,
        permissive: bool = False,
    ) -> None:
        super().__init__(policy, asker=standing, permissive=permissive)
        self.standing = standing
        self.permissive = permissive
        self.permitted: set[tuple[bytes, int, int, int]] = set()
        self.remembers = self.is_fixed and not looks_at_pointer(policy)
        self.judges_names = "filename" in self.needs("openat")
        has_ids = self.has_predicates or self.elevates
        self.looks = frozenset(() if has_ids else filter(self.needs, GLANCES))
        self.same_objects: SameObjects | None = None

    def renew(self, policy: Policy, places: Places) -> None:
        """From now on whoever is under this policy is under that one."""
        self.__init__(policy, self.standing, permissive=self.permissive)  # type: ignore[misc]
        self.watch_other_names(places)

    def watch_other_names(self, places: Places) -> None:
        """Find the objects that it denies by name under other names too."""
        names = names_denied_by_equality(self.policy)
        self.same_objects = SameObjects(names, places) if names else None

    def may_meet_aliases(self) -> bool:
        """Whether some object that is denied by name has another name just now."""
        return self.same_objects is not None and self.same_objects.may_be_found()


def looks_at_pointer(policy: Policy) -> bool:
    """Whether some rule hangs on the caller, or on the register in which openat has its name."""
    return any(
        rule.predicate is not None or (rule.when is not None and _names_pointer(rule.when))
        for rule in policy.rules
    )


def _names_pointer(expression: Expression) -> bool:
    match expression:
        case RegisterSymbol():
            return expression.argument == 1
        case NotExpression(operand):
            return _names_pointer(operand)
        case AndExpression(left, right) | OrExpression(left, right):
            return _names_pointer(left) or _names_pointer(right)
        case _:
            return False


def detached(policy: Policy) -> Policy:
    """What a task comes under that left `policy` by [detach]: all, while the tracer lives."""
    return replace(policy, rules=(), detached=True)
