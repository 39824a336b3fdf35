"""What the decider promises beyond giving decide's answers: what it asks for, and from whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from enforcer.call import Action
from enforcer.condition import Operator
from enforcer.policy import decider as decider_module
from enforcer.policy.ast import Dialect, Policy, RegisterSymbol, Rule
from enforcer.policy.decider import Decider
from enforcer.policy.parser import parse_systrace, parse_yaml
from tests.policy.test_decide import strict, systrace

ARGS = (0, 0, 0, 0, 0, 0)


def decider(text: str) -> Decider:
    if "Policy:" in text:
        return Decider(parse_systrace(text, "x")[0])
    return Decider(parse_yaml(text, "x"))


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (systrace("fsread: permit"), "openat2", {"oflags"}),
        (systrace("fsread: permit"), "openat", set()),
        (systrace("fsread: permit"), "stat", set()),
        (systrace("fswrite: permit"), "bind", {"sockaddr"}),
        (systrace("bind: permit"), "bind", set()),
        (systrace('bind: filename eq "/a" then permit'), "bind", {"filename", "sockaddr"}),
        (systrace('bind: sockaddr eq "/a" then permit'), "bind", {"sockaddr"}),
        (systrace('fswrite: filename eq "/a" then permit'), "openat2", {"filename", "oflags"}),
        (systrace('openat: oflags eq "ro" then permit'), "openat", set()),
        (systrace('openat2: oflags eq "ro" then permit'), "openat2", {"oflags"}),
        (systrace('openat: filename eq "/a" then permit'), "open", set()),
        (systrace('openat: call eq "openat" then permit'), "openat", set()),
        (systrace("sendmmsg: permit"), "sendmmsg", set()),
        (strict("'sockaddr eq \"@a\"'", "sendmmsg"), "sendmmsg", {"sockaddr"}),
    ],
)
def test_needs(text: str, name: str, expected: set[str]) -> None:
    """The memory that some rule for the call hangs on, memberships of aliases included."""
    assert decider(text).needs(name) == expected


BIND_A = systrace('bind: filename eq "/a" then permit')


class Memory:
    """Texts by translator, noting what is asked for."""

    def __init__(self, **texts: Sequence[str | None]) -> None:
        self.asked: list[str] = []
        self._texts = texts

    def __call__(self, translator: str) -> Sequence[str | None] | None:
        self.asked.append(translator)
        return self._texts.get(translator)


@pytest.mark.parametrize(
    ("text", "name", "args", "asked"),
    [
        (strict("'arg[0] == 1 and filename eq \"/a\"'"), "openat", ARGS, []),
        (strict("'arg[0] == 0 or filename eq \"/a\"'"), "openat", ARGS, []),
        (strict("'arg[0] == 0 and filename eq \"/a\"'"), "openat", ARGS, ["filename"]),
        (strict("'filename eq \"/a\"'", "stat"), "openat", ARGS, []),
        (strict("'arg[0] == 0'", "sendmmsg"), "sendmmsg", ARGS, []),
        (systrace("fsread: permit"), "openat2", ARGS, ["oflags"]),
    ],
)
def test_memory_is_read_only_where_the_answer_hangs_on_it(
    text: str, name: str, args: tuple[int, ...], asked: list[str]
) -> None:
    """Reading another process's memory is what costs."""
    memory = Memory(filename=["/a"], oflags=["ro"], sockaddr=["@a"])
    assert decider(text).decide(name, args, memory).rule in (0, None)
    assert memory.asked == asked


@pytest.mark.parametrize(
    ("text", "name", "texts", "expected"),
    [
        (strict("'filename eq \"/a\"'"), "openat", {"filename": ["/a"]}, 0),
        (strict("'filename eq \"/a\"'"), "openat", {"filename": []}, 14),
        (strict("'filename eq \"/a\"'"), "openat", {}, 14),
        (strict("'filename[1] eq \"/a\"'", "rename"), "rename", {"filename": ["/a"]}, 14),
        (strict("'filename[1] eq \"/a\"'", "rename"), "rename", {"filename": ["/b", "/a"]}, 0),
        (systrace('open: filename eq "/a" then permit'), "open", {"filename": []}, 14),
        (systrace('rename: filename[1] eq "/a" then permit'), "rename", {"filename": ["/a"]}, 14),
        (systrace("fsread: permit"), "openat2", {"oflags": []}, 14),
        (systrace("fsread: permit"), "openat2", {"oflags": ["ro"]}, 0),
        (systrace("fswrite: permit"), "bind", {"sockaddr": []}, 14),
        (systrace("fswrite: permit"), "bind", {"sockaddr": ["/a"]}, 0),
        (BIND_A, "bind", {"sockaddr": []}, 14),
        (BIND_A, "bind", {"filename": [], "sockaddr": ["/a"]}, 0),
        (BIND_A, "bind", {"filename": [None], "sockaddr": ["/a"]}, 14),
        (strict("'sockaddr eq \"@a\"'", "sendmmsg"), "sendmmsg", {"sockaddr": []}, 14),
        (strict("'sockaddr eq \"@a\"'", "sendmmsg"), "sendmmsg", {}, 14),
    ],
)  # fmt: skip
def test_texts_that_are_not_there(
    text: str, name: str, texts: dict[str, list[str | None]], expected: int
) -> None:
    """Fewer texts than the call has arguments are texts that cannot be read: EFAULT."""
    assert decider(text).decide(name, ARGS, texts).errno == expected
    assert decider(text).decide(name, ARGS, Memory(**texts)).errno == expected


@pytest.mark.parametrize(
    ("missing", "expected"),
    [(0, Action.ASK), (1, Action.ASK), (2, Action.PERMIT), (3, Action.PERMIT)],
)
def test_the_second_name_has_a_directory_of_its_own(missing: int, expected: Action) -> None:
    """Bit 1 of `missing` speaks of `filename[1]`, also where an alias judges it as the first."""
    own = decider(systrace('rename: filename[1] sub "non-existent" then permit'))
    texts = {"filename": ["/a", "/b"]}
    assert own.decide("rename", ARGS, texts, missing=missing).action is expected
    alias = decider(systrace('fswrite: filename sub "non-existent" then deny', "fswrite: permit"))
    answered = alias.decide("rename", ARGS, texts, missing=missing).action
    assert answered is (Action.DENY if missing else Action.PERMIT)


def test_callers_and_directories_by_default() -> None:
    """Root's ids, and directories that exist."""
    root = decider(systrace("open: permit, if user = 0", "stat: permit, if group = 0"))
    assert root.decide("open", ARGS, {}).action is Action.PERMIT
    assert root.decide("stat", ARGS, {}).action is Action.PERMIT
    there = decider(systrace('open: filename eq "/a" then permit'))
    assert there.decide("open", ARGS, {"filename": ["/a"]}).action is Action.PERMIT


def test_one_decider_serves_several_abis() -> None:
    """clone's flags are in another register on s390x; what was compiled for one ABI stays there."""
    judging = decider(strict("'flags sub \"CLONE_NEWUSER\"'", "clone"))
    args = (0, 0x1000_0000, 0, 0, 0, 0)
    for _ in range(2):
        assert judging.decide("clone", args, {}, abi="s390x").action is Action.PERMIT
        assert judging.decide("clone", args, {}, abi="x86_64").action is Action.DENY
        assert judging.decide("clone", args, {}).action is Action.DENY


def test_rules_are_compiled_once_for_abis_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """And again for one that does not."""
    compiled: list[str | None] = []
    compile_call = decider_module._compile

    def counted(policy: Policy, name: str, abi: str | None) -> object:
        compiled.append(abi)
        return compile_call(policy, name, abi)

    monkeypatch.setattr(decider_module, "_compile", counted)
    judging = decider(strict("'filename eq \"/f\"'", "openat"))
    for abi in (None, "x86_64", "arm64", "i386", "x86_64", "i386"):
        assert judging.needs("openat", abi) == {"filename"}
    assert compiled == [None, "i386"]


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        (Operator.EQ, False, True, False),
        (Operator.NE, True, False, True),
        (Operator.LT, True, False, False),
        (Operator.LE, True, True, False),
        (Operator.GT, False, False, True),
        (Operator.GE, False, True, True),
    ],
)
@pytest.mark.parametrize("mask", [0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF, 0xFF])
def test_comparisons(operator: Operator, below: bool, equal: bool, above: bool, mask: int) -> None:
    """Every operator just below, at and above its value, of the bits that the mask leaves."""
    symbol = RegisterSymbol(argument=3, operator=operator, value=0x20, mask=mask)
    rule = Rule(calls=("ioctl",), when=symbol, action=Action.PERMIT)
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=(rule,), default=Action.DENY)
    judging = Decider(policy)
    junk = ~mask & 0xFFFF_FFFF_FFFF_FFFF

    def held(value: int) -> bool:
        return judging.decide("ioctl", (0, 0, 0, value | junk, 0, 0), {}).action is Action.PERMIT

    assert [held(0x1F), held(0x20), held(0x21)] == [below, equal, above]
