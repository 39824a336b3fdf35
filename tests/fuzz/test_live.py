"""Live programs: what was found once, and that weak enforcers lose."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.call import Action
from enforcer.policy.ast import Dialect, Policy, Rule, TextOperator, TextSymbol
from harness import process
from harness.fuzz.cases import LiveCase
from harness.fuzz.cell import built, unavailable
from harness.fuzz.live import steps_of, without
from harness.fuzz.properties.live import check_live, smallest_live
from harness.fuzz.property import Mismatch, Tally
from harness.fuzz.steps import (
    BASE,
    HEAP_BYTES,
    FileName,
    Image,
    Operation,
    Result,
    Step,
    Struct,
    Text,
)
from harness.fuzz.strategies.programs import unix_address
from harness.fuzz.strategies.worlds import COMMON
from harness.fuzz.target import Target
from harness.fuzz.worlds import Entry, Kind

needs_cell = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")
HIDDEN = Rule(
    calls=("fsread", "fswrite"),
    when=TextSymbol(translator="filename", operator=TextOperator.MATCH, operand="/w/b"),
    action=Action.DENY,
    errno=54,
)
POLICY = Policy(
    binary=None, dialect=Dialect.STRICT, rules=(HIDDEN,), default=Action.PERMIT, default_errno=1
)
SIGCHLD = 17
RENAMED = Step(
    0,
    "rename",
    (Text("/w/b"), Text("/w/new")),
    names=(FileName(0, -1, False), FileName(1, -1, False)),
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the actor is written for x86_64")
def test_the_actor_builds() -> None:
    """What else is tested with it is left out where it does not: that must not go unnoticed."""
    assert built().exists()


def opened(name: str, flags: int) -> Step:
    return Step(0, "open", (Text(name), flags, 0), names=(FileName(0),))


@needs_cell
@pytest.mark.parametrize("name", ["/w/.", "/w/sub/..", ".", "/w/sub", "a"])
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_a_place_can_be_opened_by_any_name(backend: str, name: str) -> None:
    """O_PATH of what is reached through no entry: once EBADF under ptrace."""
    check_live(LiveCase(POLICY, COMMON, 0, 0, (opened(name, os.O_PATH),)), Tally(backend=backend))


@needs_cell
@pytest.mark.parametrize(
    "step",
    [
        Step(0, "clone3", ((1 << 64) - 1, 4097)),
        Step(0, "clone3", (1 << 63, 88)),
        Step(0, "openat2", (-100, Text("a"), 1, 24), names=(FileName(1, 0),)),
        Step(0, "rename", (1 << 47, Text("a")), names=(FileName(0), FileName(1))),
    ],
    ids=["size", "pointer", "open_how", "name"],
)
def test_odd_memory_gives_the_kernels_error(step: Step) -> None:
    """Sizes that nobody gives and addresses that hold nothing: once EFAULT for E2BIG."""
    tally = Tally(backend="ptrace")
    check_live(LiveCase(POLICY, COMMON, 0, 0, (step,)), tally)
    assert tally.decisions == 1


@needs_cell
@pytest.mark.parametrize("task", [0, 1])
@pytest.mark.parametrize("backend", ["ptrace", "notify", "seccomp"])
def test_a_broken_pipe_is_a_result(backend: str, task: int) -> None:
    """A call that would end its task by a signal gives its error: once the program ended, or hung.

    A socket of TCP that is not connected is written to.
    """
    born = Step(0, "clone", (SIGCHLD, 1, 0), Operation.CLONE)
    socket = Step(task, "socket", (2, 0o4001, 0))
    write = Step(task, "write", (Result(1), Text("x"), 1))
    tally = Tally(backend=backend)
    check_live(LiveCase(POLICY, COMMON, 0, 0, (born, socket, write)), tally)
    assert tally.decisions == 3


@needs_cell
def test_ports_are_as_free_in_the_second_run() -> None:
    """What the first run leaves of its connections (TIME_WAIT) is not met by the bare one."""
    own = Struct((), struct.pack("=H", 2) + struct.pack("!H4s8x", 80, b"\x7f\0\0\1"))
    steps = (
        Step(0, "socket", (2, 0o4001, 0)),
        Step(0, "bind", (Result(0), own, 16)),
        Step(0, "connect", (Result(0), own, 16)),
        Step(0, "close", (Result(0),)),
    )
    tally = Tally(backend="seccomp")
    check_live(LiveCase(replace(POLICY, rules=()), COMMON, 0, 0, steps), tally)
    assert tally.decisions == len(steps)


@needs_cell
def test_no_heap_lies_in_the_way() -> None:
    """The shared memory is beyond every heap: once one image in a few hundred could not map it."""
    program = built().read_bytes()
    (headers,) = struct.unpack_from("=Q", program, 32)
    size, count = struct.unpack_from("=HH", program, 54)
    ends = [0]
    for place in range(headers, headers + size * count, size):
        kind, _, _, address, _, _, length, _ = struct.unpack_from("=IIQQQQQQ", program, place)
        if kind == 1:  # PT_LOAD
            ends.append(address + length)
    assert 0 < max(ends) < BASE - 2 * HEAP_BYTES


PLACES = ("/w/sub/new", "/w/none/x", "/w/a/x", "/w/a", "/w/loop/x")


@needs_cell
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
@pytest.mark.parametrize("call", ["bind", "connect"])
def test_errors_of_addresses_come_in_the_kernels_order(backend: str, call: str) -> None:
    """The descriptor is looked at first, and only a UNIX socket walks its path."""
    symbol = TextSymbol(translator="sockaddr", operator=TextOperator.EQ, operand="/w/b")
    policy = replace(POLICY, rules=(replace(HIDDEN, calls=(call,), when=symbol),))
    steps = [
        Step(0, "socket", (1, 0o4002, 0)),
        Step(0, "socket", (2, 0o4002, 0)),
        Step(0, "socket", (2, 0o4001, 0)),
        Step(0, "socket", (16, 0o4003, 0)),
        opened("/w/a", os.O_RDONLY),
        opened("/w/a", os.O_PATH if backend == "ptrace" else os.O_RDONLY),
    ]
    ends: tuple[int | Result, ...] = (-1, 99, *map(Result, range(len(steps))))
    for end in ends:
        for place in PLACES:
            address = unix_address(place)
            steps.append(Step(0, call, (end, address, len(address.tail))))
    world = (*COMMON, Entry("loop", Kind.LINK, "loop"))
    tally = Tally(backend=backend)
    check_live(LiveCase(policy, world, 0, 0, tuple(steps)), tally)
    assert tally.decisions == len(steps)


@needs_cell
def test_a_weak_enforcer_differs() -> None:
    """A call that the weak one forgets is a breach."""
    case = LiveCase(POLICY, COMMON, 0, 0, (RENAMED,))
    with pytest.raises(Mismatch, match=r"deny\[54\]"):
        check_live(case, Tally(backend="leaky-notify-open-only"))


@needs_cell
def test_what_a_backend_refuses_by_its_cover_is_left_out() -> None:
    """A denied call that gets another errno was not made, nor is it in the bare run."""
    policy = replace(POLICY, rules=(replace(HIDDEN, calls=("fsread",)),))
    opens = Step(0, "openat", (-100, Text("b"), 0, 0), names=(FileName(1, 0),))
    changes = Step(0, "fchmod", (Result(0), 0o600))
    tally = Tally(backend="seccomp")
    check_live(LiveCase(policy, COMMON, 0, 0, (opens, changes)), tally)
    assert tally.apart == {"rule none: reads memory: filename": 1}
    assert tally.decisions == 1


@needs_cell
@pytest.mark.parametrize("world", [COMMON, ()], ids=["there", "missing"])
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_an_address_is_judged_by_the_name_it_leads_to(
    backend: str, world: tuple[Entry, ...]
) -> None:
    """Relative ones too: the fuzzer's own reading once took their text as it stood."""
    symbol = TextSymbol(translator="filename", operator=TextOperator.MATCH, operand="/w/sub")
    policy = replace(POLICY, rules=(replace(HIDDEN, calls=("fswrite",), when=symbol),))
    address = unix_address("sub/new")
    binds = Step(0, "bind", (Result(0), address, len(address.tail)))
    steps = (Step(0, "socket", (1, 0o4002, 0)), binds, Step(0, "bind", (-1, *binds.args[1:])))
    tally = Tally(backend=backend)
    check_live(LiveCase(policy, world, 0, 0, steps), tally)
    assert tally.decisions == len(steps)


@needs_cell
def test_landlock_is_asked_last() -> None:
    """A denied call that fails anyway gives its own error, and does nothing all the same."""
    rules = (Rule(calls=("mkdir",), when=None, action=Action.DENY, errno=13),)
    exists = Step(0, "mkdir", (Text("/w/sub"), 0o700), names=(FileName(0, -1, False),))
    tally = Tally(backend="landlock")
    check_live(LiveCase(replace(POLICY, rules=rules), COMMON, 0, 0, (exists,)), tally)
    assert tally.apart == {"Landlock is asked after the call's own errors": 1}


@needs_cell
def test_a_bare_target_has_arrived_when_it_is_looked_at(tmp_path: Path) -> None:
    """Its directory and its program are its own before the first step."""
    target = Target(built(), Image(1, 4096, told=True), "none", None, tmp_path)
    process_directory = Path(f"/proc/{target.main}")
    try:
        assert (process_directory / "cwd").readlink() == tmp_path.resolve()
        assert (process_directory / "exe").readlink() == built().resolve()
    finally:
        target.close()
        process.kill(target.main)
        process.wait(target.main)


@needs_cell
def test_a_breach_is_made_small() -> None:
    """Steps, rules and objects that it does not need are left out."""
    idle = [opened(name, os.O_RDONLY) for name in ("a", "sub/c", "sub")]
    # Any rule on names has a say in renames: an idle one looks at none.
    unasked = Rule(calls=("getppid",), when=None, action=Action.DENY, errno=13)
    policy = replace(POLICY, rules=(unasked, HIDDEN))
    case = LiveCase(policy, COMMON, 0, 0, (*idle, RENAMED, *idle))
    found = smallest_live(case, Tally(backend="leaky-notify-open-only"))
    assert found.steps == (RENAMED,)
    assert found.policy.rules == (HIDDEN,)
    assert found.world == ()


def test_steps_that_are_left_out_leave_the_rest_as_it_was() -> None:
    """Results are renumbered, tasks that are made no more make no calls."""
    steps = (
        opened("a", 0),
        Step(0, "clone", (17, 1, 0), Operation.CLONE),
        opened("b", 0),
        Step(1, "close", (Result(0),)),
        Step(0, "close", (Result(2),)),
    )
    assert without(steps, 0, 1) == (
        steps[1],
        steps[2],
        Step(1, "close", (-1,)),
        Step(0, "close", (Result(1),)),
    )
    assert without(steps, 1, 2) == (steps[0], steps[2], Step(0, "close", (Result(1),)))


def test_a_program_is_the_same_at_every_replay() -> None:
    """A seed stands for one program, in which later calls use what earlier ones gave."""
    case = LiveCase(POLICY, COMMON, 7, 200)
    assert steps_of(case) == steps_of(case)
    assert len({step.task for step in steps_of(case)}) > 1
    assert any(isinstance(each, Result) for step in steps_of(case) for each in step.args)
