"""What `decide` says that a filter must answer to one call, by its number and registers."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence

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
from enforcer.syscalls.multiplex import split
from harness.fuzz.strategies.policies import BOUNDARIES, MEMORY_TEXTS

ENOSYS = ERRNO(errno.ENOSYS)
UNDECIDED = -1
"""The answer hangs on more than the filter sees: it must defer."""


class Reference:
    """Expected answers for one policy on some ABIs of one machine.

    Memory and ids, which a filter does not see, are drawn from `chance`: whatever they are, an
    answer that a filter gives must be right.
    """

    def __init__(self, policy: Policy, abis: Sequence[Abi], chance: random.Random) -> None:
        self.policy = policy
        self.abis = tuple(abis)
        self.chance = chance
        self._turn = 0
        self._memory: dict[tuple[str, str, int], tuple[Value, ...]] = {}
        self._rules: dict[tuple[str, str], tuple[Judged, ...] | int] = {}

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
                return ENOSYS
            called, args = meant.name, meant.args or self._unseen(mask)
        return self.decided(called, abi, args)

    def decided(self, called: str, abi: Abi, args: tuple[int, int, int, int, int, int]) -> int:
        """`decide` on one call, as an answer of a filter.

        The rules that concern a call are looked up once for its name, as `decide` looks them up.
        """
        rules = self._rules.get((called, abi.name))
        if rules is None:
            found = concerning(self.policy, called, abi.name)
            rules = _as_answer(found) if isinstance(found, Decision) else found
            self._rules[called, abi.name] = rules
        if isinstance(rules, int):
            return rules
        self._turn += 1
        call = Call(
            name=called,
            abi=abi.name,
            args=args,
            values=self._values(called, abi.name),
            uid=_IDS[self._turn % 3],
            gid=_IDS[self._turn % 7 % 3],
        )
        return _as_answer(judged_by(self.policy, rules, call))

    def _unseen(self, mask: int) -> tuple[int, int, int, int, int, int]:
        """Some arguments of a call that has them in memory."""
        a, b, c, d, e, f = (self.chance.choice(BOUNDARIES) & mask for _ in range(6))
        return (a, b, c, d, e, f)

    def _values(self, called: str, abi: str) -> tuple[Value, ...]:
        """Some content of the call's memory, another one the next time."""
        key = (called, abi, self._turn % _CONTENTS)
        found = self._memory.get(key)
        if found is None:
            found = self._memory[key] = tuple(
                Value(
                    translator=each.translator,
                    text=self.chance.choice((*MEMORY_TEXTS, None)),
                    exists=self.chance.random() < 0.5,
                )
                for each in sources(called, abi)
                if each.origin is Origin.MEMORY
            )
        return found


def _as_answer(decision: Decision) -> int:
    answer = kernel_answer(decision)
    return UNDECIDED if answer is None else answer


def _is_x32(data: SeccompData) -> bool:
    """Whether the number is one of x32, which shares its AUDIT_ARCH with x86_64."""
    return data.arch == _X86_64 and bool(data.nr & 0x4000_0000) and data.nr != CANCELLED


_IDS = (0, 1, 1000)
_CONTENTS = 5
_X86_64 = 0xC000_003E
