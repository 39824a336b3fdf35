"""Docker's and OCI's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from enforcer.arch import native
from enforcer.filters.docker import read_docker
from enforcer.filters.model import Filter
from enforcer.policy.problem import PolicyError
from tests.filters.filters import ALLOW, ERRNO, profile, said

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)

MAP = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]


def read(*syscalls: Mapping[str, object], **more: object) -> Filter:
    return read_docker(profile(*syscalls, **more), "p.json")


def argument(op: str, value: int, second: int = 0, index: int = 0) -> dict[str, object]:
    return {"index": index, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{op}"}


def test_upper_halves_stay_as_they_are() -> None:
    """Docker's `socket` above 40 lets 40 pass with a bit set that the kernel does not look at."""
    found = read({"names": ["socket"], "action": ALLOW, "args": [argument("GT", 40)]})
    assert said(found, "socket", 40) == "ERRNO(1 EPERM)"
    assert said(found, "socket", 1 << 32 | 40) == "ALLOW"


@pytest.mark.parametrize(
    ("op", "value", "second", "held", "other"),
    [
        ("EQ", 5, 0, 5, 1 << 32 | 5),
        ("NE", 5, 0, 1 << 32 | 5, 5),
        ("LT", 5, 0, 4, 5),
        ("LE", 5, 0, 5, 6),
        ("GE", 5, 0, 1 << 63, 4),
        ("GT", 5, 0, 6, 5),
        ("MASKED_EQ", 0xF0, 0x20, 0x12F, 0x131),
    ],
)
def test_operators(op: str, value: int, second: int, held: int, other: int) -> None:
    """Each comparison holds for the one register and not for the other."""
    found = read({"names": ["close"], "action": ALLOW, "args": [argument(op, value, second)]})
    answers = [said(found, "close", register) for register in (held, other)]
    assert answers == ["ALLOW", "ERRNO(1 EPERM)"]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 38}, "ERRNO(38 ENOSYS)"),
        ({"action": "SCMP_ACT_KILL"}, "KILL_THREAD"),
        ({"action": "SCMP_ACT_KILL_PROCESS"}, "KILL_PROCESS"),
        ({"action": "SCMP_ACT_TRAP"}, "TRAP(0)"),
        ({"action": "SCMP_ACT_LOG"}, "LOG"),
        ({"action": "SCMP_ACT_NOTIFY"}, "USER_NOTIF"),
        ({"action": "SCMP_ACT_TRACE", "errnoRet": 7}, "TRACE(7)"),
    ],
)
def test_actions(action: dict[str, object], answer: str) -> None:
    """Every action is the kernel's answer of that name."""
    found = read({"names": ["getpid"], **action}, defaultAction=ALLOW)
    assert said(found, "getpid").removesuffix("(0)") == answer.removesuffix("(0)")
    assert said(found, "getppid") == "ALLOW"


@pytest.mark.parametrize(
    ("bounds", "answer"),
    [
        ({"includes": {"arches": ["amd64"]}}, "ALLOW"),
        ({"includes": {"arches": ["arm64"]}}, "ERRNO(1 EPERM)"),
        ({"excludes": {"arches": ["amd64"]}}, "ERRNO(1 EPERM)"),
        ({"excludes": {"arches": ["s390", "s390x"]}}, "ALLOW"),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, "ERRNO(1 EPERM)"),
        ({"includes": {"caps": ["CAP_SYS_CHROOT"]}}, "ALLOW"),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, "ALLOW"),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, "ERRNO(1 EPERM)"),
        ({"includes": {"minKernel": "3.0"}}, "ALLOW"),
        ({"includes": {"minKernel": "99.0"}}, "ERRNO(1 EPERM)"),
    ],
)
def test_includes_and_excludes(bounds: dict[str, object], answer: str) -> None:
    """They are judged for this machine and an ordinary container."""
    assert said(read({"names": ["chroot"], "action": ALLOW, **bounds}), "chroot") == answer


def test_abis() -> None:
    """An ABI that the profile does not name is killed; of one that it names the same is said."""
    entry = {"names": ["socket"], "action": ALLOW}
    plain, both = read(entry), read(entry, archMap=MAP)
    assert said(plain, "socket", abi="i386") == said(plain, "socket", abi="x32") == "KILL_THREAD"
    assert said(both, "socket", abi="i386") == "ALLOW"
    assert said(both, "socketcall", 1, abi="i386") == "ALLOW"
    assert said(both, "socketcall", 2, abi="i386") == "ERRNO(1 EPERM)"
    assert said(both, "socket", abi="x32") == "KILL_THREAD"


def test_a_multiplexer_has_the_call_whatever_its_first_argument() -> None:
    """libseccomp writes the multiplexer's code over a comparison of the first register."""
    entry = {"names": ["socket"], "action": ALLOW, "args": [argument("GT", 40)]}
    found = read(entry, archMap=MAP)
    assert said(found, "socketcall", 1, abi="i386") == "ALLOW"
    assert said(found, "socket", 1, abi="i386") == "ERRNO(1 EPERM)"


def test_a_profile_within_an_oci_configuration() -> None:
    """`linux.seccomp` of a container's config.json is read."""
    inner = json.loads(profile({"names": ["read"], "action": ALLOW}))
    found = read_docker(json.dumps({"ociVersion": "1.0", "linux": {"seccomp": inner}}), "c.json")
    assert said(found, "read") == "ALLOW"
    assert said(found, "write") == "ERRNO(1 EPERM)"


def test_a_plain_entry_stands_before_all_others_of_its_call() -> None:
    """libseccomp forgets a call's conditions where an entry has none, whatever the order."""
    first = {"names": ["close"], "action": "SCMP_ACT_KILL", "args": [argument("EQ", 3)]}
    found = read(first, {"names": ["close"], "action": ALLOW})
    assert said(found, "close", 3) == "ALLOW"


def test_an_unknown_call_is_a_note() -> None:
    """As the runtimes do: what this kernel does not know is left out, and said."""
    found = read({"names": ["reed", "read"], "action": ALLOW})
    (note,) = found.notes
    assert (note.line, "reed" in note.message, note.mend) == (4, True, "did you mean read?")
    assert said(found, "read") == "ALLOW"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{", 1, "no JSON"),
        ("[" * 100_000, 1, "nested too deep"),
        ("9" * 10_000, 1, "thousands of digits"),
        ("[1]", 1, "object"),
        ("{}", 1, "`defaultAction` is missing"),
        (profile(defaultAction="SCMP_ACT_ALOW"), 2, "no action"),
        (profile({"names": ["read"], "action": "SCMP_ACT_ALOW"}), 4, "no action"),
        (profile({"names": "read", "action": ALLOW}), 4, "list of names"),
        (profile({"names": ["read"], "action": ERRNO, "errnoRet": 70000}), 4, "0 to 65535"),
        (profile(architectures=["SCMP_ARCH_Z80"]), 3, "unknown architecture"),
        (profile(archMap=[{"architecture": "SCMP_ARCH_Z80"}]), 3, "unknown architecture"),
        (profile({"names": ["read"], "action": ALLOW, "args": [argument("ABOVE", 1)]}), 4, "op"),
        (profile({"names": ["read"], "action": ALLOW, "args": [{"index": 6}]}), 4, "0 to 5"),
        (profile({"names": ["read"], "action": ALLOW, "includes": {"arches": ["z80"]}}), 4, "z80"),
        (
            profile({"names": ["dup"], "action": ALLOW}, {"names": ["dup"], "action": ERRNO}),
            5,
            "",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes(text: str, line: int, words: str) -> None:
    """Each has one error, at its line."""
    if not words:
        text = text.replace('"defaultAction": "SCMP_ACT_ERRNO"', '"defaultAction": "SCMP_ACT_LOG"')
        words = "answered otherwise at line 4"
    with pytest.raises(PolicyError) as caught:
        read_docker(text, "p.json")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in str(problem)


def test_an_errno_beyond_the_kernels() -> None:
    """libseccomp takes 16 bits, and the kernel answers its greatest errno: a warning."""
    found = read_docker(profile({"names": ["read"], "action": ERRNO, "errnoRet": 12345}), "p.json")
    assert [each.line for each in found.notes] == [4]
    assert "the kernel answers 4095" in found.notes[0].message
    assert said(found, "read") == "ERRNO(12345)"
