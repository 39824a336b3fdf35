"""What `decide` says that a filter must answer to one call, by its number and registers."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from dataclasses import dataclass

from enforcer.arch.record import Abi
from enforcer.call import Call, Decision, Value
from enforcer.cbpf.spec import (
    CANCELLED,
    ERRNO,
    KILL_PROCESS,
    SeccompData,
    register_mask,
)
from enforcer.mechanisms.filter_spec import kernel_answer
from enforcer.policy.ast import Policy
from enforcer.policy.decide import concerning, judged_by
from enforcer.policy.order import Judged
from enforcer.policy.translators import Origin, sources
from enforcer.syscalls import name
from enforcer.syscalls.multiplex import UNKNOWN, split
from harness.fuzz.strategies.boundaries import texts_near
from harness.fuzz.strategies.policies import BOUNDARIES, TEXTS_OF

ENOSYS = ERRNO(errno.ENOSYS)
UNDECIDED = -1
"""The answer hangs on more than the filter sees: it must defer."""


Registers = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class _Unseen:
    """What decides beside the registers."""

    values: tuple[Value, ...]
    uid: int
    gid: int


@dataclass(frozen=True)
class _Judging:
    """The rules for one call, and with what its registers are judged."""

    rules: tuple[Judged, ...]
    unseen: tuple[_Unseen, ...]


class Reference:
    """Expected answers for one policy on some ABIs of one machine.

    Memory and ids, which a filter does not see, are drawn from `chance`. A call on which they could
    tell is judged with several: an answer that a filter gives must be right for all.
    """

    def __init__(self, policy: Policy, abis: Sequence[Abi], chance: random.Random) -> None:
        self.policy = policy
        self.abis = tuple(abis)
        self.chance = chance
        self._texts: dict[str, tuple[str | None, ...]] = {}
        self._calls: dict[tuple[str, str], _Judging | int] = {}

    def abi_of(self, data: SeccompData) -> Abi | None:
        """The ABI that a call is of, among those given; x32 by its bit."""
        plain = None
        for abi in self.abis:
            if abi.audit_arch != data.arch:
                continue
            if abi.nr_bit and data.nr & abi.nr_bit and data.nr != CANCELLED:
                return abi
            if not abi.nr_bit:
                plain = abi
        return plain if not _is_x32(data) else None

    def answer(self, data: SeccompData) -> int:
        """The answer, if the filter gives one; UNDECIDED where it must defer."""
        abi = self.abi_of(data)
        if abi is None:
            return KILL_PROCESS
        called = name(abi.name, data.nr)
        if called is None:
            return ENOSYS
        mask = register_mask(abi)
        a, b, c, d, e, f = (value & mask for value in data.args)
        args = (a, b, c, d, e, f)
        if called in abi.multiplexers:
            meant = split(abi.name, data.nr, args)
            if meant is None:
                return ERRNO(UNKNOWN[called])
            called, args = meant.name, meant.args or self._elsewhere(mask)
        return self.decided(called, abi, args)

    def decided(self, called: str, abi: Abi, args: Registers) -> int:
        """`decide` on one call, as an answer of a filter.

        The rules that concern a call are looked up once for its name, as `decide` looks them up.
        """
        judging = self._calls.get((called, abi.name))
        if judging is None:
            judging = self._calls[called, abi.name] = self._judging(called, abi.name)
        if isinstance(judging, int):
            return judging
        found = UNDECIDED
        for turn, unseen in enumerate(judging.unseen):
            call = Call(
                name=called,
                abi=abi.name,
                args=args,
                values=unseen.values,
                uid=unseen.uid,
                gid=unseen.gid,
            )
            answer = _as_answer(judged_by(self.policy, judging.rules, call))
            if turn and answer != found:
                return UNDECIDED
            found = answer
        return found

    def _judging(self, called: str, abi: str) -> _Judging | int:
        rules = concerning(self.policy, called, abi)
        if isinstance(rules, Decision):
            return _as_answer(rules)
        in_memory = [each for each in sources(called, abi) if each.origin is Origin.MEMORY]
        tells = in_memory or any(judged.rule.predicate is not None for judged in rules)
        return _Judging(
            rules,
            tuple(
                _Unseen(
                    tuple(self._value(each.translator) for each in in_memory),
                    uid=_IDS[turn % 3],
                    gid=_IDS[turn // 3 % 3],
                )
                for turn in range(_CONTENTS if tells else 1)
            ),
        )

    def _value(self, translator: str) -> Value:
        """A text that fits: unreadable, next to what the policy compares it with, or any."""
        texts = self._texts.get(translator)
        if texts is None:
            near = texts_near(self.policy, translator)
            texts = (None, *near, *TEXTS_OF[translator])
            self._texts[translator] = texts
        return Value(
            translator=translator,
            text=self.chance.choice(texts),
            exists=self.chance.random() < 0.5,
        )

    def _elsewhere(self, mask: int) -> Registers:
        """Some arguments of a call that has them in memory."""
        a, b, c, d, e, f = (self.chance.choice(BOUNDARIES) & mask for _ in range(6))
        return (a, b, c, d, e, f)


def _as_answer(decision: Decision) -> int:
    answer = kernel_answer(decision)
    return UNDECIDED if answer is None else answer


def _is_x32(data: SeccompData) -> bool:
    """Whether the number is one of x32, which shares its AUDIT_ARCH with x86_64."""
    return data.arch == _X86_64 and bool(data.nr & 0x4000_0000) and data.nr != CANCELLED


_IDS = (0, 1, 1000)
_CONTENTS = 9
"""How many memories and ids are tried where they could tell."""

_X86_64 = 0xC000_003E
