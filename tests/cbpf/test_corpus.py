"""The calls on a specification's boundaries."""

from __future__ import annotations

import random

import pytest

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    TRACE,
    AbiTable,
    Code,
    FilterSpec,
    Program,
    SpecClause,
    compile_filter,
    simulate,
)
from enforcer.cbpf.compiler import Compiler
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.graph import FULL
from enforcer.cbpf.instruction import NR_OFFSET
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Not, Operator
from enforcer.mechanisms.filter_spec import spec_from_policies
from enforcer.policy.yaml_form import read_yaml
from enforcer.syscalls import table
from enforcer.syscalls.translate import CONSTANTS
from harness.fuzz.strategies.filters import MACHINES


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


POLICY = """
default: permit
rules:
  - deny[eacces]: ioctl
    when: arg[1]:32 == 0x5412 or arg[1] > 0x7fffffffffff
  - deny: clone, unshare
    when: flags sub "CLONE_NEWUSER"
  - kill: personality
    when: arg[0] != 0 and arg[0] != 0xffffffff
  - deny: socket, socketpair
    when: not (sockdom eq "AF_UNIX" or sockdom eq "AF_INET")
  - deny: mprotect
    when: prot sub "PROT_EXEC" and arg[1] >= 0x100001000
  - deny: fsread
    when: filename match "/etc/*"
  - deny: semget
    when: arg[1] < 3
"""


def unreached(machine: str) -> tuple[Program, set[int]]:
    """The filter that the policy becomes there, and the instructions that no call comes to."""
    policy, problems = read_yaml(POLICY, "policy.yaml", CONSTANTS)
    assert policy is not None, problems.found
    spec = spec_from_policies([policy], MACHINES[machine], defer=TRACE(1))
    program = compile_filter(spec)
    unvisited = set(range(len(program)))
    for call in corpus(spec, draws=2):
        unvisited -= simulate(program, call)[1]
    return program, unvisited


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_from_a_policys_rules_reach_every_instruction(machine: str) -> None:
    """Of the filters that a policy with rules of many kinds becomes, for every ABI."""
    assert unreached(machine)[1] == set()


@pytest.mark.parametrize("machine", MACHINES)
def test_an_instruction_that_nothing_reaches_is_seen(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler that tests what is always so leaves an answer that no call gets."""
    numbers, dead = Compiler.numbers, ERRNO(4001)

    def wasteful(self: Compiler, arch: int) -> int:
        found = numbers(self, arch)
        return self.graph.test(NR_OFFSET, FULL, Code.JGE, 0, found, self.graph.ret(dead))

    monkeypatch.setattr(Compiler, "numbers", wasteful)
    program, unvisited = unreached(machine)
    assert unvisited == {place for place, step in enumerate(program) if step.k == dead}
    assert unvisited


def test_the_machines_have_all_abis_between_them() -> None:
    """So that what holds for every machine holds for every ABI."""
    assert {abi.name for abis in MACHINES.values() for abi in abis} == set(ABIS)
