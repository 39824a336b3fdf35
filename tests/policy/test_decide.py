"""What policies mean, case by case."""

from __future__ import annotations

import errno

import pytest

from enforcer import policy as policy_package
from enforcer.call import Action, Call, Decision, Elevation, Transition, Value
from enforcer.policy.decide import decide
from enforcer.policy.decider import Decider
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_systrace, parse_yaml

LS = """
Policy: /bin/ls, Emulation: native
    native-munmap: permit
    native-stat: permit
    native-fsread: filename match "/usr/*" then permit
    native-fsread: filename eq "/tmp" then permit
    native-fsread: filename eq "/etc" then deny[enotdir]
    native-fchdir: permit
    native-fstat: permit
    native-fcntl: permit
    native-close: permit
    native-write: permit
    native-exit: permit
"""


def call(name: str, *args: int, exists: bool = True, uid: int = 0, **texts: str | None) -> Call:
    """A call with these registers and these texts; `filename2` is the second file name."""
    a, b, c, d, e, f = (*args, 0, 0, 0, 0, 0, 0)[:6]
    return Call(
        name=name,
        abi="x86_64",
        args=(a, b, c, d, e, f),
        values=tuple(
            Value(translator=key.rstrip("23"), text=text, exists=exists)
            for key, text in texts.items()
        ),
        uid=uid,
    )


def answer(text: str, judged: Call) -> str:
    """`permit`, `deny[enoent]`, ... of decide, which must be the decider's too."""
    if "Policy:" in text:
        (policy,) = parse_systrace(text, "test")
    else:
        policy = parse_yaml(text, "test")
    decision = decide(policy, judged)
    texts: dict[str, list[str | None]] = {}
    for value in judged.values:
        texts.setdefault(value.translator, []).append(value.text)
    missing = 0 if all(value.exists for value in judged.values) else 3
    assert decision == Decider(policy).decide(
        judged.name, judged.args, texts, judged.uid, judged.gid, missing
    )
    if decision.action is not Action.DENY:
        return str(decision.action)
    return f"deny[{errno.errorcode[decision.errno].lower()}]"


def systrace(*rules: str) -> str:
    return "Policy: /bin/x, Emulation: native\n" + "".join(f"native-{rule}\n" for rule in rules)


def strict(when: str, calls: str = "openat") -> str:
    return f"default: deny[eperm]\nrules:\n  - permit: {calls}\n    when: {when}\n"


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (call("openat", filename="/usr/lib/libc.so"), "permit"),
        (call("openat", filename="/usr"), "ask"),
        (call("openat", filename="/tmp"), "permit"),
        (call("openat", filename="/tmp/x"), "ask"),
        (call("openat", filename="/etc"), "deny[enotdir]"),
        (call("open", filename="/etc"), "deny[enotdir]"),
        (call("openat2", filename="/etc", oflags="ro"), "deny[enotdir]"),
        (call("openat2", filename="/etc", oflags="rw"), "ask"),
        (call("openat", 0, 0, 1, filename="/etc"), "ask"),
        (call("openat", 0, 0, 0x40, filename="/usr/x"), "ask"),
        (call("openat", filename="/var"), "ask"),
        (call("stat", filename="/var"), "permit"),
        (call("newfstatat", filename="/var"), "ask"),
        (call("close"), "permit"),
        (call("socket"), "ask"),
        (call("io_uring_setup"), "deny[enosys]"),
        (call("no_such_call"), "deny[enosys]"),
    ],
    ids=str,
)
def test_the_policy_of_the_literature(judged: Call, expected: str) -> None:
    """/bin/ls: /etc is no directory, /tmp works, /var raises the question."""
    assert answer(LS, judged) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("newfstatat", "permit"), ("exit_group", "permit"), ("mmap", "permit"), ("execve", "ask")],
)
def test_made_ready_for_today(name: str, expected: str) -> None:
    """Loaded to be enforced, /bin/ls may use today's stat and what its C library needs."""
    (policy,) = prepared(parse_systrace(LS, "ls"))
    assert decide(policy, call(name, filename="/var")).action == expected


@pytest.mark.parametrize(
    ("when", "text", "expected"),
    [
        ('filename match "/tmp/*"', "/tmp/a", True),
        ('filename match "/tmp/*"', "/tmp/a/b", True),
        ('filename match "/tmp/*"', "/tmp/", True),
        ('filename match "/tmp/*"', "/tmp", False),
        ('filename match "/tmp"', "/tmp/a", True),
        ('filename match "/tmp"', "/tmpa", False),
        ('filename match "/t?p"', "/t/p", False),
        ('filename match "/*/c"', "/a/b/c", False),
        ('filename match "/[a-c]x"', "/bx", True),
        ('filename match "/[!a-c]x"', "/bx", False),
        ('filename match "/[[:digit:]]"', "/7", True),
        ('filename match "/a[/]b"', "/a/b", False),
        ('filename match "/a[/]b"', "/a[/]b", True),
        ('filename match "/a[b"', "/a[b", True),
        ('filename match "/\\\\*"', "/x", False),
        ('filename match "/\\\\*"', "/*", True),
        ('filename match "/[\\\\]]"', "/]", True),
        ('filename match "/**/c"', "/abc/c", True),
        ('filename match "/*a*b"', "/xaya/b", False),
        ('filename match "/*a*b*"', "/xabyb/b", True),
        ('filename match "/*a/*b"', "/aa/ab", True),
        ('filename match "*ab*ab"', "abab", True),
        ('filename match "*ab*ab"', "aab", False),
        ('filename match "/*a*a*a*a*a*a*a*b"', "/" + "a" * 4000, False),
        ('filename match "/[[:digit]x"', "/:x", True),
        ('filename match "/[[:digit]x"', "/7x", False),
        ('filename eq "/A"', "/a", False),
        ('filename neq "/A"', "/a", True),
        ('filename sub "b/"', "/a/b/c", True),
        ('filename nsub "b/"', "/a/b/c", False),
        ('filename inpath "/usr/lib"', "/usr", True),
        ('filename inpath "/usr/lib"', "/usr/lib", True),
        ('filename inpath "/usr/lib"', "/", True),
        ('filename inpath "/usr/lib"', "/usr/l", False),
        ('filename inpath "/usr/lib"', "/usr/lib/x", False),
        ('filename inpath "/usr/lib"', "", False),
        ('filename re "^/(etc|var)/[a-z]+$"', "/etc/passwd", True),
        ('filename re "^/(etc|var)/[a-z]+$"', "/etc/passwd2", False),
        ('filename re "ssw"', "/etc/passwd", True),
        ('filename re "a.b"', "a\nb", True),
        ('filename re "b$"', "b\n", False),
        ('filename re "x{2,3}y?"', "/xx", True),
        ('filename re "[]a-]"', "]", True),
        ('filename re "[\\\\d]"', "/1", False),
        ('not filename eq "/a" and filename eq "/b"', "/b", True),
        ('not filename eq "/b" and filename eq "/a"', "/c", False),
        ('filename eq "/a" or filename eq "/b" and filename eq "/c"', "/a", True),
        ('(filename eq "/a" or filename eq "/b") and filename eq "/c"', "/a", False),
        ("not not true", "/", True),
    ],
)
def test_operators(when: str, text: str, expected: bool) -> None:
    """match, eq, neq, sub, nsub, inpath, re and logic in the strict dialect."""
    got = answer(strict(f"'{when}'"), call("openat", filename=text))
    assert got == ("permit" if expected else "deny[eperm]")


@pytest.mark.parametrize(
    ("when", "args", "expected"),
    [
        ("arg[1] & (O_WRONLY|O_RDWR) == 0", (0, 0), True),
        ("arg[1] & (O_WRONLY|O_RDWR) == 0", (0, 2), False),
        ("arg[1] == TIOCSTI", (0, 0x5412), True),
        ("arg[1] == TIOCSTI", (0, 0x1_0000_5412), False),
        ("arg[1]:32 == TIOCSTI", (0, 0x1_0000_5412), True),
        ("arg[0]:32 == -100", (0xFFFF_FF9C,), True),
        ("arg[0] == -100", (2**64 - 100,), True),
        ("arg[0] < 3", (2,), True),
        ("arg[0] <= 2", (3,), False),
        ("arg[0] > 0xff", (256,), True),
        ("arg[0] >= 256", (255,), False),
        ("arg[5] != 0 and not arg[5] == 1", (0, 0, 0, 0, 0, 2), True),
        ("arg[0]:32 & 3 == 2", (0xFFFF_FFFF_0000_0006,), True),
        ("arg[0] & (1|(2|4)) == 7", (15,), True),
    ],
)
def test_registers(when: str, args: tuple[int, ...], expected: bool) -> None:
    """Registers compare as unsigned 64-bit values, or their lower halves with :32."""
    got = answer(strict(when, "ioctl"), call("ioctl", *args))
    assert got == ("permit" if expected else "deny[eperm]")


@pytest.mark.parametrize(
    ("rules", "judged", "expected"),
    [
        (('open: filename eq "/A" then permit',), call("open", filename="/a"), "permit"),
        (('open: filename neq "/A" then permit',), call("open", filename="/a"), "ask"),
        (('open: sockaddr neq "x" then permit',), call("open", filename="/a"), "ask"),
        (('open: not sockaddr eq "x" then permit',), call("open", filename="/a"), "permit"),
        (
            ('open: not filename eq "/a" and filename eq "/b" then permit',),
            call("open", filename="/c"),
            "permit",
        ),
        (
            ('open: filename eq "/a" and filename eq "/b" or true then permit',),
            call("open", filename="/c"),
            "ask",
        ),
        (
            ('open: filename sub "non-existent" then deny[enoent]', "open: true then permit"),
            call("open", exists=False, filename="/no/x"),
            "deny[enoent]",
        ),
        (
            ('open: filename eq "/no/x" then permit',),
            call("open", exists=False, filename="/no/x"),
            "ask",
        ),
        (("open: true then deny", "open: permit"), call("open", filename="/a"), "permit"),
        (
            ("fsread: permit", 'open: filename eq "/a" then deny'),
            call("open", filename="/a"),
            "deny[eperm]",
        ),
        (
            ('fsread: oflags sub "ro" then permit', "fsread: deny[eacces]"),
            call("open", filename="/a"),
            "deny[eacces]",
        ),
        (("open: permit, if user = 1000",), call("open", filename="/a", uid=0), "ask"),
        (("open: permit, if user = 1000",), call("open", filename="/a", uid=1000), "permit"),
        (("open: permit, if user > 999",), call("open", filename="/a", uid=1000), "permit"),
        (("open: permit, if user < 999",), call("open", filename="/a", uid=1000), "ask"),
        (("open: permit, if group != 0",), call("open", filename="/a"), "ask"),
        (('socket: call eq "socket" then permit',), call("socket"), "permit"),
        (('setuid: uname eq "root" then permit',), call("setuid", 0), "permit"),
        (('open: filename eq "/a" ->\n  permit',), call("open", filename="/a"), "permit"),
    ],
    ids=str,
)
def test_the_systrace_dialect(rules: tuple[str, ...], judged: Call, expected: str) -> None:
    """Its quirks: case, missing translators, precedence, missing directories, order."""
    assert answer(systrace(*rules), judged) == expected


@pytest.mark.parametrize(
    ("text", "judged", "expected"),
    [
        ('fswrite\n    when: filename match "/tmp/*"', ("/tmp/a", "/tmp/b"), "permit"),
        ('fswrite\n    when: filename match "/tmp/*"', ("/tmp/a", "/etc/b"), "deny[eperm]"),
        ('fswrite\n    when: filename match "/tmp/*"', ("/etc/a", "/tmp/b"), "deny[eperm]"),
        ('rename\n    when: filename[1] match "/tmp/*"', ("/etc/a", "/tmp/b"), "permit"),
        ('rename\n    when: filename match "/tmp/*"', ("/tmp/a", "/etc/b"), "permit"),
    ],
)
def test_an_alias_judges_every_name(text: str, judged: tuple[str, str], expected: str) -> None:
    """rename under an alias is two accesses; under its own name, the rule says which."""
    first, second = judged
    policy = f"default: deny\nrules:\n  - permit: {text}\n"
    assert answer(policy, call("rename", filename=first, filename2=second)) == expected


def test_every_message_is_judged() -> None:
    """sendmmsg is permitted only if all its messages are."""
    policy = strict("'sockaddr eq \"inet-[127.0.0.1]:53\"'", "sendmmsg")
    good, bad = "inet-[127.0.0.1]:53", "inet-[10.0.0.1]:53"
    assert answer(policy, call("sendmmsg", sockaddr=good, sockaddr2=good)) == "permit"
    assert answer(policy, call("sendmmsg", sockaddr=good, sockaddr2=bad)) == "deny[eperm]"
    assert answer(policy, call("sendmmsg", sockaddr=good, sockaddr2=None)) == "deny[efault]"


@pytest.mark.parametrize(
    ("address", "filename", "expected"),
    [
        ("/run/x", None, "deny[erofs]"),
        ("/run/x", "/real/x", "permit"),
        ("inet-[0.0.0.0]:80", None, "permit"),
        ("@abstract", None, "permit"),
        ("unix-[]", None, "permit"),
        (None, None, "deny[efault]"),
    ],
)
def test_binding_a_path_writes(address: str | None, filename: str | None, expected: str) -> None:
    """bind belongs to fswrite when its address is a path; the path is its file name."""
    policy = (
        'default: permit\nrules:\n  - deny[erofs]: fswrite\n    when: filename match "/run/*"\n'
    )
    judged = call("bind", sockaddr=address)
    if filename is not None:
        judged = call("bind", sockaddr=address, filename=filename)
    assert answer(policy, judged) == expected


@pytest.mark.parametrize(
    ("when", "oflags", "expected"),
    [
        ('filename eq "/a"', "ro", "deny[efault]"),
        ('filename eq "/a" and oflags sub "w"', "ro", "deny[eperm]"),
        ('oflags sub "ro" or filename eq "/a"', "ro", "permit"),
        ('filename eq "/a" or oflags sub "ro"', "ro", "permit"),
        ('not filename eq "/a"', "ro", "deny[efault]"),
    ],
)
def test_what_cannot_be_read_fails_closed(when: str, oflags: str, expected: str) -> None:
    """A call is EFAULT as soon as its answer hangs on an unreadable value, and only then."""
    judged = call("openat", 0, 0, 0 if oflags == "ro" else 2, filename=None)
    assert answer(strict(f"'{when}'"), judged) == expected
    assert answer(strict(f"'{when}'"), call("openat", *judged.args)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default: permit\nrules: []", "permit"),
        ("default: permit\nrules: [{permit: read}]", "permit"),
        ("default: permit\nrules: [{deny: mount}]", "deny[enosys]"),
        ("default: permit\nrules: [{ask: mount}]", "deny[enosys]"),
        ("default: ask\nrules: []", "deny[enosys]"),
        ("default: deny\nrules: [{permit: io_uring_setup}]", "permit"),
        ("default: permit\nrules:\n  - deny[eacces]: io_uring_setup", "deny[eacces]"),
    ],
)
def test_carriers(text: str, expected: str) -> None:
    """io_uring is ENOSYS under any policy that refuses something, unless a rule names it."""
    assert answer(text, call("io_uring_setup")) == expected


def test_the_whole_decision() -> None:
    """Log, ids, transition and rule number are the deciding rule's."""
    policy = parse_yaml(
        """
rules:
  - permit: bind
    when: sockaddr eq "inet-[0.0.0.0]:80"
    as: 0:0
    log: true
  - permit[detach]: execve
  - kill: ptrace
""",
        "test",
    )
    assert decide(policy, call("bind", sockaddr="inet-[0.0.0.0]:80")) == Decision(
        action=Action.PERMIT, rule=0, log=True, elevation=Elevation(uid=0, gid=0)
    )
    assert decide(policy, call("execve", filename="/x")).transition is Transition.DETACH
    assert decide(policy, call("ptrace")).action is Action.KILL
    assert decide(policy, call("read")) == Decision(action=Action.ASK, reason="default")


def test_detached_permits_everything() -> None:
    """A policy that says `detached` lets its program run free."""
    text = "Policy: /bin/x, Emulation: native\ndetached\nnative-open: deny\n"
    assert answer(text, call("open", filename="/a")) == "permit"
    assert answer(text, call("io_uring_setup")) == "permit"


def test_needs() -> None:
    """The decider asks for the memory that a rule for the call compares, and no other."""
    decider = Decider(parse_yaml(strict('\'filename eq "/a" and oflags sub "r"\'', "fsread"), "x"))
    assert decider.needs("openat") == {"filename"}
    assert decider.needs("openat2") == {"filename", "oflags"}
    assert decider.needs("read") == set()


def test_other_abis_have_their_own_registers() -> None:
    """clone's flags are in another register on s390x, and judged there."""
    policy = parse_yaml(strict("'flags sub \"CLONE_NEWUSER\"'", "clone"), "x")
    args = (0, 0x1000_0000, 0, 0, 0, 0)
    assert decide(policy, Call(name="clone", abi="s390x", args=args)).action is Action.PERMIT
    assert decide(policy, Call(name="clone", abi="x86_64", args=args)).action is Action.DENY
    assert Decider(policy).decide("clone", args, {}, abi="s390x").action is Action.PERMIT


@pytest.mark.parametrize(
    ("rule", "judged", "expected"),
    [
        ('stat: filename eq "/a" then permit', call("stat"), "deny[efault]"),
        ('stat: filename eq "/a" then permit', call("stat", filename=None), "deny[efault]"),
        ('rename: filename[1] eq "/a" then permit', call("rename", filename="/a"), "deny[efault]"),
        ('bind: filename eq "/a" then permit', call("bind", sockaddr="/a"), "permit"),
        ('bind: filename eq "/a" then permit', call("bind", sockaddr=None), "deny[efault]"),
        ('bind: filename eq "/a" then permit', call("bind"), "deny[efault]"),
        (
            'bind: filename sub "non-existent" then permit',
            call("bind", exists=False, sockaddr="/a", filename="/a"),
            "permit",
        ),
        (
            'bind: filename eq "/a" then permit',
            call("bind", sockaddr="/b", filename="/a"),
            "permit",
        ),
        ('openat2: oflags sub "ro" then permit', call("openat2"), "deny[efault]"),
        ('close: fd re "^[0-2]$" then permit', call("close", 2), "permit"),
        ('close: fd re "^[0-2]$" then permit', call("close", 3), "ask"),
        ('socket: call eq "bind" or call eq "socket" then permit', call("socket"), "permit"),
        ('socket: not (call eq "bind") then permit', call("socket"), "permit"),
        ('socket: call neq "socket" then permit', call("socket"), "ask"),
    ],
    ids=str,
)
def test_where_texts_come_from(rule: str, judged: Call, expected: str) -> None:
    """Memory that was not given, the path within an address, registers as text, the name itself."""
    assert answer(systrace(rule), judged) == expected


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (call("open", 0, 0, filename="/a"), "deny[eacces]"),
        (call("open", 0, 2, filename="/a"), "ask"),
        (call("openat2", filename="/a", oflags="ro"), "deny[eacces]"),
        (call("openat2", filename="/a", oflags="rw"), "ask"),
        (call("openat2", filename="/a", oflags=None), "deny[efault]"),
    ],
    ids=str,
)
def test_membership_by_flags(judged: Call, expected: str) -> None:
    """Opening for reading is fsread: by the register of open, and by openat2's memory."""
    assert answer(systrace("fsread: deny[eacces]"), judged) == expected


@pytest.mark.parametrize(
    ("value", "args", "expected"),
    [
        ('mode eq "644" or mode eq "600"', (0, 0o644), True),
        ('mode eq "644" or mode eq "600"', (0, 0o640), False),
        ('fd match "[3-5]"', (4,), True),
        ('fd match "[3-5]"', (6,), False),
        ('fd match "[35]"', (5,), True),
        ('fd match "[35]"', (4,), False),
        ('fd neq "4" and mode nsub "7"', (3, 0o600), True),
        ('fd neq "4" and mode nsub "7"', (3, 0o700), False),
        ('not fd eq "4"', (4,), False),
    ],
)
def test_texts_of_registers(value: str, args: tuple[int, ...], expected: bool) -> None:
    """Compared as text by decide and turned round into conditions by the decider: no difference."""
    got = answer(strict(f"'{value}'", "fchmod"), call("fchmod", *args))
    assert got == ("permit" if expected else "deny[eperm]")


def test_the_last_alternative_decides_what_cannot_be_read() -> None:
    """`or` is unknown only while no side is true; `and` only while none is false."""
    for when, expected in (
        ('filename eq "/a" or oflags sub "w" or arg[0] == 1', "permit"),
        ('filename eq "/a" and filename sub "x" or arg[0] == 2', "deny[efault]"),
        ('filename eq "/a" and arg[0] == 2 or oflags sub "w"', "deny[eperm]"),
    ):
        assert answer(strict(f"'{when}'"), call("openat", 1, filename=None)) == expected


def test_only_known_names_are_exported() -> None:
    """The package loads its functions late; a wrong name is an error as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'parse_ini'"):
        _ = policy_package.parse_ini
