"""What filters mean: stacked, compared, as policies, and loaded."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.cbpf.check import check
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.instruction import Code, Instruction, assemble
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    USER_NOTIF,
    SeccompData,
)
from enforcer.filters.convert import policy_of
from enforcer.filters.docker import read_docker
from enforcer.filters.kafel import read_kafel
from enforcer.filters.meaning import abi_of, answer_of, compared, mildest, strictest
from enforcer.filters.minijail import read_minijail
from enforcer.filters.model import Filter
from enforcer.filters.operand import filter_of_policies
from enforcer.filters.read import read_filter
from enforcer.filters.walk import NotFollowed, ways
from enforcer.mechanisms.seccomp import PROBE
from enforcer.mechanisms.seccomp.foreign import launch_piece
from enforcer.policy.load import prepared
from enforcer.policy.problem import PolicyError
from enforcer.syscalls import number
from tests.filters.filters import ALLOW as PERMITTED
from tests.filters.filters import profile

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)


def above(value: int) -> dict[str, object]:
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_GT"}]
    return {"names": ["socket"], "action": PERMITTED, "args": args}


def filters() -> dict[str, Filter]:
    plain = {"names": ["read", "socketcall"], "action": PERMITTED}
    machine = {
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    }
    return {
        "above-40": read_docker(profile(plain, above(40)), "a.json"),
        "above-41": read_docker(profile(plain, above(41)), "b.json"),
        "both-abis": read_docker(profile(plain, above(41), **machine), "c.json"),
        "masks": read_minijail("read: arg0 & 0x100000010 && arg2 in 0xff\nmmap: 1", "d.policy"),
        "masks-too": read_minijail("read: arg0 & 0x10 && arg2 in 0x7f\nmmap: log", "e.policy"),
        "kafel": read_kafel("ALLOW { write { (fd & 0xf0) == 0x30, count < 7 } }", "f.kafel"),
        "kafel-too": read_kafel("ALLOW { write { (fd & 0xf0) == 0x30 }, dup }", "g.kafel"),
    }


FILTERS = filters()


def test_stacked_filters() -> None:
    """The strictest action stands; of equal ones the newest filter's data; unknown ones kill."""
    order = [KILL_PROCESS, KILL_THREAD, TRAP, ERRNO(1), USER_NOTIF, TRACE(0), LOG, ALLOW]
    for strict, mild in itertools.combinations(order, 2):
        assert strictest([strict, mild]) == strictest([mild, strict]) == strict
        assert mildest([strict, mild]) == mildest([mild, strict]) == mild
    assert strictest([ERRNO(1), ERRNO(2)]) == ERRNO(1)
    assert strictest([0x1234_0000, KILL_THREAD]) == 0x1234_0000


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_is_equal_to_itself(name: str) -> None:
    """No call is answered differently."""
    assert compared(FILTERS[name], FILTERS[name]).is_equal


@pytest.mark.parametrize(("left", "right"), list(itertools.combinations(FILTERS, 2)))
def test_differences_are_all_and_real(left: str, right: str) -> None:
    """Every pair of answers that some call of either's boundaries gets is found, and no other; each
    witness gets them.
    """
    ours, theirs = FILTERS[left], FILTERS[right]
    found = set()
    for each in compared(ours, theirs).differences:
        answers = answer_of(ours, each.witness), answer_of(theirs, each.witness)
        assert answers == (each.left, each.right)
        assert answers[0] != answers[1]
        found |= {(each.abi, call, *answers) for call in each.calls}
    assert ours.spec is not None
    assert theirs.spec is not None
    listed = {
        number(abi.name, call)
        for abi in native().abis
        for call in ("read", "socket", "socketcall", "mmap", "write", "dup", "close")
    }
    for data in itertools.chain(corpus(ours.spec), corpus(theirs.spec)):
        abi = abi_of(data)
        answers = answer_of(ours, data), answer_of(theirs, data)
        if abi is not None and data.nr in listed and answers[0] != answers[1]:
            call = next(
                (each for each in _names(found, abi.name, answers) if _is(abi.name, each, data)),
                None,
            )
            assert call is not None, (data, answers)


def _names(found: set[tuple[str, str, int, int]], abi: str, answers: tuple[int, int]) -> list[str]:
    return [call for where, call, *both in found if where == abi and tuple(both) == answers]


def _is(abi: str, call: str, data: SeccompData) -> bool:
    return number(abi, call) == data.nr


def test_the_witness_of_an_upper_half() -> None:
    """Between 40 and 41 lies exactly one call; it is the witness."""
    (only,) = compared(FILTERS["above-40"], FILTERS["above-41"]).differences
    assert (only.calls, only.witness.args[0]) == (("socket",), 41)


def test_what_lies_between_two_constants_is_found() -> None:
    """The one value that neither filter names is looked at."""
    program = (
        Instruction(Code.LD, 16),
        Instruction(Code.JGT, 5, 0, 2),
        Instruction(Code.JGE, 7, 1, 0),
        Instruction(Code.RET, ALLOW),
        Instruction(Code.RET, ERRNO(1)),
    )
    found = list(ways([program], 0, native().native.audit_arch))
    permitted = [way.call.args[0] for way in found if way.answers == (ALLOW,)]
    assert permitted == [6]


@pytest.mark.parametrize("name", FILTERS)
def test_a_policy_means_the_same(name: str) -> None:
    """On the native ABI the policy made of a filter, compiled, answers as the filter does."""
    mine = FILTERS[name]
    made = filter_of_policies(prepared((policy_of(mine),)), "policy")
    left = [
        each
        for each in compared(mine, made).differences
        if each.abi == "x86_64"
        and not all(call.startswith("call ") for call in each.calls)  # a policy: ENOSYS
        and (each.left, each.right) != (KILL_THREAD, KILL_PROCESS)
    ]
    assert left == []


def test_io_uring_is_permitted_where_a_deny_list_permits_it() -> None:
    """What a filter permits by default stays permitted; a policy of ours alone refuses it."""
    text = profile(
        {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}, defaultAction="SCMP_ACT_ALLOW"
    )
    made = filter_of_policies(prepared((policy_of(read_docker(text, "p.json")),)), "policy")
    setup = number("x86_64", "io_uring_setup")
    assert setup is not None
    assert answer_of(made, SeccompData(setup, native().native.audit_arch)) == ALLOW


def test_the_launch_piece() -> None:
    """With it before them programs answer as before, but for the probe and the marked execve."""
    abi = native().native
    piece, marks = launch_piece(abi)
    execve = number(abi.name, "execve")
    assert execve is not None
    for each in FILTERS.values():
        whole = (*piece, *each.programs[0])
        check(whole)
        assert each.spec is not None
        for data in corpus(each.spec, draws=1):
            assert simulate(whole, data)[0] == simulate(each.programs[0], data)[0]
        low = [marks[place] | marks[place + 1] << 32 for place in (0, 2, 4)]
        ours = SeccompData(execve, abi.audit_arch, (low[0], low[1], low[2], 0, 0, 0))
        assert simulate(whole, ours)[0] == ALLOW
        assert (
            simulate(whole, SeccompData(execve, abi.audit_arch, (low[0], 0, 0, 0, 0, 0)))[0]
            == simulate(each.programs[0], SeccompData(execve, abi.audit_arch))[0]
        )
        assert simulate(whole, SeccompData(PROBE.number, abi.audit_arch))[0] == ERRNO(PROBE.errno)


def test_a_compiled_filter(tmp_path: Path) -> None:
    """It is read as it is, compared, and its ways are the rules of a policy."""
    path = tmp_path / "x.bpf"
    path.write_bytes(assemble(FILTERS["above-40"].programs[0]))
    found = read_filter(path)
    assert found.programs == FILTERS["above-40"].programs
    assert compared(found, FILTERS["above-40"]).is_equal
    made = policy_of(found)
    assert {str(rule.action) for rule in made.rules if "socket" in rule.calls} == {"permit", "deny"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"1234567", "no whole number"),
        (assemble((Instruction(Code.LD, 64), Instruction(Code.RET))), "no word of seccomp_data"),
        (bytes(8 * 5000), "more than 4096"),
    ],
)
def test_what_the_kernel_would_not_load(raw: bytes, words: str, tmp_path: Path) -> None:
    """It is one error."""
    path = tmp_path / "x.bpf"
    path.write_bytes(raw)
    with pytest.raises(PolicyError, match=words):
        read_filter(path)


def test_a_program_that_reckons_is_not_followed() -> None:
    """It is refused, not misread."""
    program = (Instruction(Code.LD, 16), Instruction(Code.ADD, 1), Instruction(Code.RET_A))
    with pytest.raises(NotFollowed):
        list(ways([program], 0, native().native.audit_arch))


def test_files_that_are_none_and_too_long(tmp_path: Path) -> None:
    """Both are one error."""
    long = tmp_path / "long.json"
    long.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(PolicyError, match="more than 1048576 bytes"):
        read_filter(long)
    with pytest.raises(PolicyError, match="not a filter"):
        read_filter(tmp_path / "x.unknown")
