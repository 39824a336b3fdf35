"""Policy texts to policies: the one place that picks the form and raises what is wrong."""

from __future__ import annotations

from pathlib import Path

from enforcer.policy.ast import Policy
from enforcer.policy.check import check_policy
from enforcer.policy.problem import PolicyError, Problem, Problems, Severity
from enforcer.policy.systrace import read_systrace
from enforcer.policy.yaml_form import read_documents, read_yaml
from enforcer.syscalls.translate import CONSTANTS

SUFFIXES = (".systrace", ".yaml", ".yml")
MOST_BYTES = 1 << 20
"""A longer file is no policy."""


def parse_systrace(text: str, source: str) -> tuple[Policy, ...]:
    """The policies of a file in systrace's own form. Raises PolicyError with all problems."""
    policies, problems = read_systrace(text, source, CONSTANTS)
    _finish(policies, problems, text)
    return policies


def parse_yaml(text: str, source: str) -> Policy:
    """The policy of a text of one YAML document. Raises PolicyError with all problems."""
    policy, problems = read_yaml(text, source, CONSTANTS)
    _finish(() if policy is None else (policy,), problems, text)
    assert policy is not None
    return policy


def parse_file(path: Path) -> tuple[Policy, ...]:
    """The policies of a file as they stand there. Raises PolicyError, also if it is unreadable."""
    source = str(path)
    if path.suffix not in SUFFIXES:
        raise PolicyError([_unreadable(source, f"not one of {' '.join(SUFFIXES)}")])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise PolicyError([_unreadable(source, error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([_unreadable(source, f"not UTF-8: byte {error.start}")]) from error
    if len(raw) > MOST_BYTES:
        raise PolicyError([_unreadable(source, f"more than {MOST_BYTES} bytes")])
    if path.suffix == ".systrace":
        return parse_systrace(text, source)
    policies, problems = read_documents(text, source, CONSTANTS)
    _finish(policies, problems, text)
    return policies


def _finish(policies: tuple[Policy, ...], problems: Problems, text: str) -> None:
    for policy in policies:
        problems.found += [
            problem for problem in check_policy(policy, text) if problem.severity is Severity.ERROR
        ]
    problems.raise_errors()


def _unreadable(source: str, reason: str) -> Problem:
    return Problem(source=source, line=1, column=1, message=reason)
