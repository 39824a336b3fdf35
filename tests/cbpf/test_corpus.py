"""The calls on a specification's boundaries."""

from __future__ import annotations

import random

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    FilterSpec,
    SpecClause,
    compile_filter,
    simulate,
)
from enforcer.cbpf.corpus import corpus
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Not, Operator
from enforcer.syscalls import table


def test_corpus_is_the_same_for_the_same_seed() -> None:
    """A finding can be found again."""
    clauses = (SpecClause(Compare(0, Operator.GT, 5), ERRNO(1)),)
    spec = FilterSpec((AbiTable(ABIS["arm"], {3: clauses}, ERRNO(38)),), KILL_PROCESS)
    assert list(corpus(spec, seed=3)) == list(corpus(spec, seed=3))
    assert list(corpus(spec, seed=3)) != list(corpus(spec, seed=4))


def test_corpus_visits_every_instruction() -> None:
    """Of a filter for a real machine with real calls and conditions of all kinds."""
    chance = random.Random(7)
    tables = []
    for abi in (ABIS["x86_64"], ABIS["i386"], ABIS["x32"]):
        calls = {}
        for index, number in enumerate(sorted(table(abi.name).values())):
            first, second = (
                Compare(
                    argument,
                    chance.choice(list(Operator)),
                    chance.randrange(1, LOW_HALF) << chance.choice([0, 32]) | 2,
                    chance.choice([WORD, WORD, LOW_HALF]),
                )
                for argument in (0, 1)
            )
            when = (first, All((first, second)), Any((first, Not(second))))[index % 3]
            conditional = (SpecClause(when, ERRNO(1)), SpecClause(TRUE, ALLOW))
            plain = (SpecClause(TRUE, ALLOW),)
            calls[number] = conditional if index % 20 == 0 else plain
        tables.append(AbiTable(abi, calls, ERRNO(38)))
    spec = FilterSpec(tuple(tables), KILL_PROCESS)
    program = compile_filter(spec)
    visited: set[int] = set()
    for call in corpus(spec):
        visited |= simulate(program, call)[1]
    assert visited == set(range(len(program)))
