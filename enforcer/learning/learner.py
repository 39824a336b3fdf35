"""What was seen becomes files: rules made, shown where asked, reviewed, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from enforcer.learning.general import generalise, varying
from enforcer.learning.observation import Seen
from enforcer.learning.rules import is_writable, proposed, rules_of
from enforcer.learning.store import PolicyStore
from enforcer.policy.ast import Rule
from enforcer.policy.problem import PolicyError

Review = Callable[[str, Mapping[str, Rule]], Mapping[str, Rule]]
"""From a binary and its new rules to those that a person accepts."""

MOST_SHOWN = 3
LONGEST_SHOWN = 120


def brief(text: str) -> str:
    """A long text, as an argument list is, without its middle."""
    half = LONGEST_SHOWN // 2 - 3
    return text if len(text) <= LONGEST_SHOWN else f"{text[:half]} ... {text[-half:]}"


def _some(texts: Iterable[str]) -> str:
    shown = list(texts)
    rest = len(shown) - MOST_SHOWN
    return ", ".join(shown[:MOST_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


@dataclass
class Learner:
    """`say` is told what a person should know, a line at a time."""

    seen: Seen
    store: PolicyStore
    say: Callable[[str], None]
    home: str = ""
    is_general: bool = False
    review: Review | None = None
    has_failed: bool = False
    """Whether the last writing left a policy out."""
    _patterns: dict[tuple[str, str], dict[str, dict[str, None]]] = field(default_factory=dict)
    _shown: set[tuple[str, str]] = field(default_factory=set)

    def save(self, partial: bool) -> None:
        """Write one policy a binary. With a review only at the end, which is not partial."""
        if self.review is not None and partial:
            return
        self.write(partial)

    def write(self, partial: bool) -> list[Path]:
        """Write what was seen; the files. What cannot be read or written is said, and left."""
        written: list[Path] = []
        self.has_failed = False
        made: dict[str, dict[str, Rule]] = {}
        for program in self.seen.programs():
            with self._telling(program):
                made[program] = self._rules(program)
        self._tell_patterns()
        for program, rules in made.items():
            with self._telling(program):
                if self.review is not None and rules:
                    rules = dict(self.review(program, rules))
                count = self.store.add(program, rules, partial=partial)
                path = self.store.path(program)
                written.append(path)
                if not partial:
                    self.say(f"{path}: {count} new rule{'s' * (count != 1)}")
        return written

    @contextmanager
    def _telling(self, program: str) -> Iterator[None]:
        """What keeps a policy from being read or written is said, and the others go on."""
        path = self.store.path(program)
        try:
            yield
        except PolicyError as error:
            self.has_failed = True
            self.say(f"{path} is left as it is: {error}")
        except (OSError, UnicodeDecodeError) as error:
            self.has_failed = True
            reason = error.strerror if isinstance(error, OSError) else error
            self.say(f"{path} is not written: {reason}")

    def _rules(self, program: str) -> dict[str, Rule]:
        seen = self.store.missing(program, self.seen.of(program))
        if not self.is_general:
            return proposed(seen)
        found = generalise(seen, self.home)
        for key, texts in found.stands_for.items():
            self._patterns.setdefault(key, {}).setdefault(program, {}).update(texts)
        return found.rules

    def _tell_patterns(self) -> None:
        """Each pattern once, with the names that it stands for and the programs that have it."""
        for key, programs in self._patterns.items():
            if key in self._shown:
                continue
            self._shown.add(key)
            pattern, why = key
            texts = list(dict.fromkeys(text for each in programs.values() for text in each))
            self.say(f"{brief(pattern)} ({why}) stands for {_some(map(brief, texts))}")
            self.say(f"    in {_some(programs)}")

    def hints(self) -> None:
        """What a second run may be refused, and what could not be learned."""
        if not self.is_general:
            for program in self.seen.programs():
                texts = varying(self.seen.of(program))
                if texts:
                    first = next(iter(texts))
                    self.say(
                        f"{program}: {len(texts)} name{'s' * (len(texts) != 1)} may be other ones "
                        f"in the next run, such as {first} ({texts[first]}); "
                        "--generalise makes patterns of them"
                    )
        if self.seen.unreadable:
            self.say(
                f"{self.seen.unreadable} calls had arguments that cannot be read: "
                "there are no rules for them"
            )
        unwritable = sum(
            not all(map(is_writable, rules_of(each))) for each in self.seen.observations
        )
        if unwritable:
            self.say(f"{unwritable} calls with names that are not UTF-8 have no rules")
