"""What is wrong with a policy beyond its grammar, and what its author should know."""

from __future__ import annotations

from enforcer.policy.ast import Policy
from enforcer.policy.problem import Problem, Problems


def check_policy(policy: Policy, text: str = "") -> tuple[Problem, ...]:
    """Errors that keep the policy from being loaded, and warnings, in file order."""
    problems = Problems(policy.source, text)
    return tuple(problems.found)
