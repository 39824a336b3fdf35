"""A call with its arguments translated, and the decision on it: input and output of `decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from errno import EPERM


@dataclass(frozen=True, kw_only=True)
class Value:
    """One translated argument, as text that expressions compare.

    `text` is None when the argument could not be read; a rule that needs it fails closed.
    `exists` is False for a filename none of whose parents' leaf directory exists (the systrace
    dialect prints such a name as `/<non-existent filename>: PATH`). Bytes that are not UTF-8 are
    held as surrogate escapes, as os.fsdecode does.
    """

    translator: str
    text: str | None
    exists: bool = True


@dataclass(frozen=True, kw_only=True)
class Call:
    """One system call of one task.

    `name` is the kernel's name ("openat"); a multiplexer (socketcall, ipc) is split into the call
    that it stands for before it becomes a Call. `args` are the six registers, unsigned 64-bit.
    `values` are the translations in argument order; those of one translator are numbered in that
    order (`filename`, `filename[1]`). `uid` and `gid` serve the predicates `if user = ...`.
    """

    name: str
    abi: str
    args: tuple[int, int, int, int, int, int]
    values: tuple[Value, ...] = ()
    uid: int = 0
    gid: int = 0


class Action(StrEnum):
    """What is done with a call."""

    PERMIT = "permit"
    DENY = "deny"
    ASK = "ask"
    KILL = "kill"


STRICTNESS: Mapping[Action, int] = {
    Action.PERMIT: 0,
    Action.ASK: 1,
    Action.DENY: 2,
    Action.KILL: 3,
}
"""The more is refused, the higher."""


class Transition(StrEnum):
    """What a permitted execve does to the policy of the new image."""

    SWITCH = "switch"
    INHERIT = "inherit"
    DETACH = "detach"


@dataclass(frozen=True, kw_only=True)
class Elevation:
    """The ids with which a permitted call is performed; None leaves that id as it is."""

    uid: int | None = None
    gid: int | None = None

    def __str__(self) -> str:
        """As a policy has it: `0`, `0:12` or `:12`."""
        user = "" if self.uid is None else str(self.uid)
        return user if self.gid is None else f"{user}:{self.gid}"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The answer to one call.

    `would_be` is what the policy says of a call that a permissive run permits all the same.
    `errno` (Linux generic number, positive) counts for DENY only. `rule` is the index in
    `policy.rules` of the rule that decided, None when the default or a stated exception did;
    `reason` then names it.

    Two things follow, and are asked of every held call: `refusal`, the errno with which it fails
    (0 where it is permitted), and `is_plain`: it is permitted, and nothing more is to be done.
    """

    action: Action
    errno: int = 0
    rule: int | None = None
    reason: str = ""
    log: bool = False
    elevation: Elevation | None = None
    transition: Transition = Transition.SWITCH
    would_be: Action | None = None
    refusal: int = field(init=False, repr=False, compare=False)
    is_plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find out what follows, once a rule."""
        is_permitted = self.action is Action.PERMIT
        object.__setattr__(self, "refusal", self._refusal())
        object.__setattr__(
            self, "is_plain", is_permitted and not self.log and self.elevation is None
        )

    def _refusal(self) -> int:
        """EPERM where the policy names no errno.

        Nobody is asked, and a kill must not look like success to those who see its call fail before
        the signal arrives.
        """
        match self.action:
            case Action.PERMIT:
                return 0
            case Action.DENY:
                return self.errno or EPERM
            case _:
                return EPERM
