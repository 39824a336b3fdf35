"""What was seen becomes files: rules made, shown where asked, reviewed, merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enforcer.learning.general import generalise, varying
from enforcer.learning.observation import Observation, Seen
from enforcer.learning.rules import is_writable, proposed, rules_of
from enforcer.learning.store import PolicyStore
from enforcer.policy.ast import Rule
from enforcer.policy.problem import PolicyError

Review = Callable[[str, Mapping[str, Rule]], Mapping[str, Rule]]
"""From a binary and its new rules to those that a person accepts."""

MOST_SHOWN = 3


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
        for program in self.seen.programs():
            path = self.store.path(program)
            try:
                count = self._write(program, partial)
            except PolicyError as error:
                self.has_failed = True
                self.say(f"{path} is left as it is: {error}")
                continue
            except (OSError, UnicodeDecodeError) as error:
                self.has_failed = True
                reason = error.strerror if isinstance(error, OSError) else error
                self.say(f"{path} is not written: {reason}")
                continue
            written.append(path)
            if not partial:
                self.say(f"{path}: {count} new rule{'s' * (count != 1)}")
        return written

    def _write(self, program: str, partial: bool) -> int:
        seen = self.store.missing(program, self.seen.of(program))
        rules = self._rules(program, seen)
        if self.review is not None and rules:
            rules = dict(self.review(program, rules))
        return self.store.add(program, rules, partial=partial)

    def _rules(self, program: str, seen: list[Observation]) -> dict[str, Rule]:
        if not self.is_general:
            return proposed(seen)
        found = generalise(seen, self.home)
        for (pattern, why), texts in found.stands_for.items():
            if (program, pattern) not in self._shown:
                self._shown.add((program, pattern))
                shown = ", ".join(list(texts)[:MOST_SHOWN])
                rest = len(texts) - MOST_SHOWN
                more = f" and {rest} more" if rest > 0 else ""
                self.say(f"{program}: {pattern} ({why}) stands for {shown}{more}")
        return found.rules

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
