"""Options that several verbs share, handed to them as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

Command = TypeVar("Command", bound=Callable[..., object])
Option = Callable[[Callable[..., object]], Callable[..., object]]


def packed(
    name: str, make: Callable[..., object], options: Sequence[Option], keys: Sequence[str]
) -> Callable[[Command], Command]:
    """A decorator: the command gets `name`, made of what the user chose for `keys`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_one(**values: object) -> object:
            chosen = {key: values.pop(key) for key in keys}
            return command(**values, **{name: make(**chosen)})

        shown: Callable[..., object] = with_one
        for option in reversed(options):
            shown = option(shown)
        return cast(Command, shown)

    return decorate
