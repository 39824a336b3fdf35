"""Policies' files are read again when they change, by the supervisor itself.

A file that cannot be taken changes nothing: the policy of before stays in force, and the log says
so. What the kernel answers by itself cannot be taken back (a filter is for good): so the filter of
a sandbox whose policies may change leaves all but harmless calls to the supervisor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from enforcer.call import Action
from enforcer.events import EventKind
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.policy.membership import every_call
from enforcer.policy.translators import sources
from enforcer.supervision.journal import Journal
from enforcer.syscalls import syscall

TAKEN = "read again"
_HARMLESS = frozenset({"fd", "call"})

Unfit = Callable[[Policy], str | None]
"""Why a policy cannot come into force under a mechanism; None: it can."""


@dataclass(frozen=True, kw_only=True)
class News:
    """A file that is other than it was: its policies, or why it cannot be taken."""

    path: Path
    policies: tuple[Policy, ...] = ()
    problem: str = ""
    detail: str = ""


class Rereads(Protocol):
    """Who looks at the files."""

    def is_due(self) -> bool:
        """Whether it is time to look."""
        ...

    def news(self) -> Iterator[News]:
        """What has changed since the last look."""
        ...


def rereading(data: object, unfit: Unfit) -> Rereads | None:
    """Who looks at the files that a plan speaks of; None where it does not.

    Imported here alone: it reads YAML, which guests do not have, nor files to be read again.
    """
    if not isinstance(data, Mapping):
        return None
    module = importlib.import_module("enforcer.policy.rereading")
    made: Rereads = module.Rereading(data, unfit)
    return made


def tell(journal: Journal, news: News) -> None:
    """Log what came of it."""
    more = {"detail": news.detail} if news.detail else {}
    journal.emit(EventKind.POLICY, file=str(news.path), reason=news.problem or TAKEN, **more)


@cache
def changeable() -> Policy:
    """What the kernel may answer for good: calls that have no argument for a rule to look at.

    All others are seen by the supervisor, whatever the policies of the beginning say.
    """
    plain = tuple(name for name in every_call() if _is_plain(name))
    others = tuple(name for name in every_call() if name not in plain)
    return Policy(
        binary=None,
        dialect=Dialect.STRICT,
        rules=(
            Rule(calls=plain, when=None, action=Action.PERMIT),
            Rule(calls=others, when=None, action=Action.PERMIT, log=True),
        ),
        default=Action.PERMIT,
    )


def _is_plain(name: str) -> bool:
    model = syscall(name)
    if model.carrier or model.moves or model.aliases:
        return False
    return all(each.translator in _HARMLESS for each in sources(name))
