"""The witness of a filter believes the kernel's account of it, and nothing less."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from errno import EBUSY
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.cbpf import ALLOW, ERRNO, Code, Instruction, assemble
from enforcer.kernel.seccomp import (
    FilterFlag,
    SeccompStatus,
    errno_of_call,
    is_flag_available,
    load_filter,
    no_new_privs,
    status,
)
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.seccomp import MECHANISM, launch
from tests.mechanisms.test_seccomp import ABIS_HERE, Run, policy

BEFORE = SeccompStatus(mode=0, filters=0, no_new_privs=False)


@pytest.mark.parametrize(
    ("before", "after", "begins"),
    [
        (BEFORE, SeccompStatus(mode=2, filters=1, no_new_privs=True), True),
        (BEFORE, SeccompStatus(mode=2, filters=None, no_new_privs=True), True),
        (BEFORE, SeccompStatus(mode=0, filters=1, no_new_privs=True), False),
        (BEFORE, SeccompStatus(mode=1, filters=1, no_new_privs=True), False),
        (BEFORE, SeccompStatus(mode=2, filters=0, no_new_privs=True), False),
        (BEFORE, SeccompStatus(mode=2, filters=2, no_new_privs=True), False),
        (
            SeccompStatus(mode=2, filters=3, no_new_privs=True),
            SeccompStatus(mode=2, filters=3, no_new_privs=True),
            False,
        ),
    ],
    ids=["one", "uncounted", "off", "strict", "none", "two", "none-more"],
)
def test_one_filter_more_and_no_less(
    before: SeccompStatus,
    after: SeccompStatus,
    begins: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Filter mode, and exactly one filter more where the kernel counts them."""
    answers = [before, after]
    monkeypatch.setattr(launch, "status", lambda pid: answers.pop(0))
    plan = MECHANISM.compile([policy()], ABIS_HERE, Options())
    done = Run(plan, ["echo", "begun"], tmp_path)
    assert (done.status, done.output) == ((0, "begun\n") if begins else (98, ""))
    assert done.events[-1]["event"] == ("enforcing" if begins else "detection")


def in_child(act: Callable[[], object]) -> str:
    """What `act` returns in a child, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, repr(act()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


ALLOW_ALL = assemble((Instruction(Code.RET, ALLOW),))


def test_another_threads_own_filter_is_told() -> None:
    """TSYNC that cannot reach a thread is EBUSY, not a success with a thread's number."""

    def act() -> int:
        no_new_privs()
        loaded, end = threading.Event(), threading.Event()

        def confine() -> None:
            load_filter(ALLOW_ALL)
            loaded.set()
            end.wait()

        thread = threading.Thread(target=confine)
        thread.start()
        loaded.wait()
        try:
            load_filter(ALLOW_ALL, FilterFlag.TSYNC)
        except OSError as error:
            return error.errno or 0
        finally:
            end.set()
            thread.join()
        return 0

    assert in_child(act) == repr(EBUSY)


def test_no_new_privs_is_seen() -> None:
    """Before and after it is given up."""
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        pytest.skip("this process has given its privileges up already")

    def act() -> tuple[bool, bool]:
        before = status(os.getpid()).no_new_privs
        no_new_privs()
        return before, status(os.getpid()).no_new_privs

    assert in_child(act) == repr((False, True))


def test_a_flag_that_needs_another_is_probed_with_it() -> None:
    """WAIT_KILLABLE_RECV is a flag of listeners: it is there if a listener can have it."""

    def act() -> bool:
        no_new_privs()
        try:
            load_filter(ALLOW_ALL, FilterFlag.NEW_LISTENER | FilterFlag.WAIT_KILLABLE_RECV)
        except OSError:
            return False
        return True

    assert in_child(act) == repr(is_flag_available(FilterFlag.WAIT_KILLABLE_RECV))


def test_all_six_registers_reach_the_filter() -> None:
    """Each is seen in its own place by the filter of the calling thread."""
    shift = 4 if native().abis[0].big_endian else 0

    def act() -> list[int]:
        no_new_privs()
        program = []
        for place in range(6):
            wanted = [
                Instruction(Code.LD, 16 + 8 * place + shift),
                Instruction(Code.JEQ, 100 + place, 0, 1),
                Instruction(Code.RET, ERRNO(200 + place)),
            ]
            program += wanted
        load_filter(assemble((*program, Instruction(Code.RET, ALLOW))))
        calls = [[100 + place if place == each else 0 for place in range(6)] for each in range(6)]
        return [errno_of_call(32_512, *registers) for registers in calls]

    assert in_child(act) == repr([200, 201, 202, 203, 204, 205])
