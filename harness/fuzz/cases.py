"""The cases of the properties: frozen values that can be shrunk, written down and read again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from enforcer.call import Action, Call, Value
from enforcer.cbpf.spec import ALLOW, ERRNO, SpecClause
from enforcer.condition import LOW_HALF, WORD, Compare, Operator
from enforcer.policy.ast import Dialect, Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.translators import Origin, sources
from harness.fuzz.steps import Step
from harness.fuzz.strategies.boundaries import registers_near, texts_near
from harness.fuzz.strategies.filters import MACHINES, clauses
from harness.fuzz.strategies.fitting import fitting_rules
from harness.fuzz.strategies.policies import (
    BOUNDARIES,
    CALLS,
    MEMORY_TEXTS,
    policies,
    registers,
)
from harness.fuzz.strategies.register_rules import EDGES, boundary_rules, crowded
from harness.fuzz.worlds import Entry


@dataclass(frozen=True, repr=False)
class FilterCase:
    """A policy compiled for the ABIs of one machine; `seed` chooses among the calls that follow."""

    policy: Policy
    machine: str
    abis: tuple[str, ...]
    seed: int

    def __repr__(self) -> str:
        """Short: a crowded policy has thousands of words."""
        rules = len(self.policy.rules)
        return f"FilterCase({rules} rules, {', '.join(self.abis)}, seed={self.seed})"


@dataclass(frozen=True)
class ClausesCase:
    """Clauses of one call, compiled for some ABIs of one machine."""

    abis: tuple[str, ...]
    clauses: tuple[SpecClause, ...]
    seed: int


@dataclass(frozen=True)
class CallsCase:
    """A policy; `seed` chooses the calls."""

    policy: Policy
    seed: int


@dataclass(frozen=True)
class LiveCase:
    """A policy whose paths begin with `/w` (the world's root), a world, and a program of calls.

    The program is `steps`, or where there are none `count` calls that `seed` chooses.
    """

    policy: Policy
    world: tuple[Entry, ...]
    seed: int
    count: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class SwapCase:
    """A policy, one of its places, and a seed for calls: a rule is put or moved there."""

    policy: Policy
    place: int
    seed: int


@dataclass(frozen=True)
class BytesCase:
    data: bytes


@dataclass(frozen=True)
class TextCase:
    """The text of what may be a policy of a dialect."""

    text: str
    dialect: Dialect


@dataclass(frozen=True)
class FilterTextCase:
    """What may be a filter of others in language `form`; `seed` makes `count` other texts of it."""

    form: str
    text: str
    seed: int
    count: int


@dataclass(frozen=True)
class ProfileCase:
    """A profile in order in the language `form`, for the compiler of that name."""

    compiler: str
    form: str
    text: str


@dataclass(frozen=True)
class MemoryCase:
    """A read at `offset` in three mapped pages that end in a hole; `text` lies there.

    `base` is 0 for those pages, else an address of its own (null, the end of the address space).
    """

    text: bytes
    offset: int
    limit: int
    base: int = 0


@st.composite
def clauses_cases(draw: st.DrawFn) -> ClausesCase:
    """Clauses of any conditions for the ABIs of one machine."""
    machine = draw(st.sampled_from(tuple(MACHINES)))
    names = tuple(abi.name for abi in MACHINES[machine])
    count = draw(st.integers(1, len(names)))
    sort = draw(st.integers(0, 11))
    found = draw(long_clauses() if sort == 11 else kindred_clauses() if sort % 3 else clauses)
    return ClausesCase(names[:count], found, draw(st.integers(0, 0xFFFF)))


@st.composite
def kindred_clauses(draw: st.DrawFn) -> tuple[SpecClause, ...]:
    """Comparisons of several arguments with one value and its neighbours."""
    value = draw(st.one_of(st.sampled_from(EDGES), registers))
    near = st.sampled_from((value, value, (value + 1) & WORD, (value - 1) & WORD, value >> 32))
    compare = st.builds(
        Compare,
        st.integers(0, 2),
        st.sampled_from(Operator),
        near,
        st.sampled_from((WORD, WORD, LOW_HALF, 0xFF, 0xFF << 40 | 0xF)),
    )
    answers = st.sampled_from((ERRNO(1), ERRNO(2), ALLOW))
    return tuple(draw(st.lists(st.builds(SpecClause, compare, answers), min_size=1, max_size=4)))


@st.composite
def long_clauses(draw: st.DrawFn) -> tuple[SpecClause, ...]:
    """As many comparisons with answers of their own as branches of eight bits cannot span."""
    value, count = draw(registers), draw(st.integers(1, 200))
    step = draw(st.sampled_from((2, 1 << 16, (1 << 32) + 1)))
    argument = draw(st.integers(0, 5))
    return tuple(
        SpecClause(Compare(argument, Operator.EQ, (value + place * step) & WORD), ERRNO(1 + place))
        for place in range(count)
    )


def filter_cases() -> st.SearchStrategy[FilterCase]:
    """Policies of every sort for one machine and some of its ABIs, in the machine's order.

    A sort that is made twice comes twice as often; one that is named twice would not.
    """
    numbers = (boundary_rules(), boundary_rules(), boundary_rules(), crowded())
    texts = (fitting_rules(), fitting_rules(), fitting_rules(), path_rules())
    return compiled(st.one_of(*numbers, *texts, policies(), policies(Dialect.STRICT)))


@st.composite
def compiled(draw: st.DrawFn, found: st.SearchStrategy[Policy]) -> FilterCase:
    """These policies for one machine and some of its ABIs.

    Where a call has its arguments elsewhere on some ABI, the machines that differ come more often.
    """
    policy = draw(found)
    differing = any(DIFFERING & set(rule.calls) for rule in policy.rules)
    machines = (*MACHINES, *(("s390x",) * 4 if differing else ()))
    machine = draw(st.sampled_from(machines))
    chosen = draw(st.integers(1, (1 << len(MACHINES[machine])) - 1))
    names = tuple(abi.name for place, abi in enumerate(MACHINES[machine]) if chosen >> place & 1)
    return FilterCase(policy, machine, names, draw(st.integers(0, 0xFFFF)))


DIFFERING = frozenset({"clone", "fanotify_mark", "sync_file_range"})
"""Calls whose arguments lie in other registers on s390x or i386."""


def call_cases() -> st.SearchStrategy[CallsCase]:
    """A policy of any sort and a seed for calls on it."""
    return st.builds(
        CallsCase, st.one_of(policies(), path_rules(), fitting_rules()), st.integers(0, 0xFFFF)
    )


def calls_near(case: CallsCase | SwapCase, count: int = 60) -> Iterator[Call]:
    """Calls on or next to the boundaries of the case's policy, the same at every replay.

    Most are calls that rules speak of; about half of their registers and texts are next to what
    the policy mentions.
    """
    chance = random.Random(case.seed)
    policy = case.policy
    mentioned = [name for rule in policy.rules for name in rule.calls if name in CALLS]
    names = (*mentioned, *mentioned, *CALLS)
    near = (*registers_near(policy), *BOUNDARIES)
    texts = (*texts_near(policy), *MEMORY_TEXTS)
    for _ in range(count):
        name = chance.choice(names)
        a, b, c, d, e, f = (_register(chance, near) for _ in range(6))
        values = tuple(
            Value(
                translator=each.translator,
                text=None if chance.random() < 0.1 else chance.choice(texts),
                exists=chance.random() < 0.7,
            )
            for each in sources(name)
            if each.origin is Origin.MEMORY and chance.random() < 0.9
            for _ in range(chance.randint(1, 3) if name == "sendmmsg" else 1)
        )
        ids = chance.choice((0, 1, 1000)), chance.choice((0, 1, 1000))
        yield Call(
            name=name, abi="x86_64", args=(a, b, c, d, e, f), values=values, uid=ids[0], gid=ids[1]
        )


def _register(chance: random.Random, near: Sequence[int]) -> int:
    return chance.choice(near) if chance.random() < 0.7 else chance.getrandbits(64)


@st.composite
def path_rules(draw: st.DrawFn) -> Policy:
    """Rules on file names alone, of calls with one name and with two, and through aliases."""
    dialect = draw(st.sampled_from(Dialect))
    operator_and_operand = st.one_of(
        st.tuples(
            st.just(TextOperator.MATCH),
            st.sampled_from(("/*/a", "/tmp/*", "/tmp/?/a", "/tmp/[ab]", "/tmp/a*/b")),
        ),
        st.tuples(
            st.sampled_from(
                (TextOperator.EQ, TextOperator.NEQ, TextOperator.INPATH, TextOperator.SUB)
            ),
            st.sampled_from(("/tmp/a", "/tmp/a/b", "/tmp", "/")),
        ),
    )
    subject = st.sampled_from(("filename", "filename", "filename", "oflags", "sockaddr"))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        operator, operand = draw(operator_and_operand)
        name = draw(
            st.sampled_from(("fsread", "fswrite", "openat", "openat2", "rename", "stat", "chmod"))
        )
        action = draw(st.sampled_from((Action.PERMIT, Action.DENY)))
        found.append(
            Rule(
                calls=(name,),
                when=TextSymbol(translator=draw(subject), operator=operator, operand=operand),
                action=action,
                errno=13 if action is Action.DENY else 0,
            )
        )
    default = Action.ASK
    if dialect is Dialect.STRICT:
        default = draw(st.sampled_from((Action.PERMIT, Action.ASK)))
    return Policy(binary=None, dialect=dialect, rules=tuple(found), default=default)


def chooser(case: FilterCase) -> random.Random:
    """The chance of one case, the same at every replay."""
    return random.Random(case.seed)
