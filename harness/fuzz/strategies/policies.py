"""Policies and calls for the properties, gathered where decisions are likely to differ."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from enforcer.call import Action, Call, Elevation, Transition, Value
from enforcer.condition import LOW_HALF, WORD, Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Predicate,
    Principal,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.translators import Origin, sources

CALLS = (
    *("open", "openat", "openat2", "stat", "newfstatat", "rename", "renameat2", "link", "symlink"),
    *("unlinkat", "mkdir", "chmod", "bind", "connect", "sendto", "sendmsg", "sendmmsg", "socket"),
    *("ioctl", "fcntl", "mmap", "mprotect", "clone", "clone3", "kill", "setuid", "chown", "execve"),
    *("read", "getpid", "io_uring_setup", "setxattr", "move_mount"),
)
NAMES = (*CALLS, "fsread", "fswrite")

TEXTS_OF = {
    "filename": (
        *("/", "/etc", "/etc/passwd", "/tmp/a", "/tmp/a/b", "/tmp", "/usr/lib/x", "/a b", ""),
        "./x",
    ),
    "sockaddr": ("inet-[127.0.0.1]:80", "inet-[0.0.0.0]:8080", "@abstract", "unix-[]", "/tmp/a"),
    "oflags": ("ro", "rwct", "wo", "roa", "rot"),
    "flags": ("CLONE_NEWUSER",),
    "mode": ("644",),
    "string": ("user.x",),
    "argv": ("ls -l",),
    "prot": ("PROT_READ|PROT_EXEC",),
    "fd": ("3",),
}
"""What the memory of a call may hold, by translator."""

MEMORY_TEXTS = tuple(dict.fromkeys(text for texts in TEXTS_OF.values() for text in texts))
REGISTER_TEXTS = (
    *("ro", "wo", "rwct", "n", "a", "PROT_EXEC", "PROT_NONE", "PROT_READ|PROT_WRITE", "EXEC"),
    *("MAP_ANONYMOUS", "MAP_SHARED", "CLONE_NEWUSER", "SIGKILL", "SIGCHLD|CLONE_VM", "TIOCSTI"),
    *("AF_INET", "AF_UNIX", "SOCK_STREAM", "F_SETFL", "F_DUPFD", "0", "3", "-1", "-100", "1000"),
    *("644", "4755", "0x5412", "RENAME_EXCHANGE", "AT_REMOVEDIR", "99", "socket", "root"),
)
PATTERNS = (
    "/etc/*",
    "/tmp/*",
    "/tmp/a",
    "*",
    "*EXEC*",
    "TIOC*",
    "SIG*",
    "[0-9]",
    "1?",
    "r*",
    "/*/a",
)
EXPRESSIONS = ("^/etc", "a$", "SIG(KILL|TERM)", "[0-9]+", "ro|rw", "\\[127")

BOUNDARIES = (
    *(0, 1, 2, 3, 4, 5, 6, 7, 9, 64, 65, 255, 256, 0o644, 0o4755, 0x20, 0x40, 0x42, 0x200, 0x241),
    *(0x5412, 0x541C, 0x10000000, 0x10000111, LOW_HALF - 99, LOW_HALF, 1 << 31, (1 << 31) - 1),
    *(1 << 32, (1 << 32) + 0x5412, (1 << 32) | 2, 1 << 63, WORD, 1000, 999, 99, 100),
)

registers = st.one_of(
    st.sampled_from(BOUNDARIES),
    st.integers(0, 0xFFF),
    st.integers(0, LOW_HALF),
    st.integers(0, WORD),
)


def text_symbols(
    texts: Sequence[str] = (*MEMORY_TEXTS, *REGISTER_TEXTS),
) -> st.SearchStrategy[TextSymbol]:
    """Comparisons of text; most name a translator that some call of CALLS has."""

    @st.composite
    def build(draw: st.DrawFn) -> TextSymbol:
        operator = draw(st.sampled_from(TextOperator))
        if operator is TextOperator.MATCH:
            operand = draw(st.sampled_from(PATTERNS))
        elif operator is TextOperator.RE:
            operand = draw(st.sampled_from(EXPRESSIONS))
        else:
            operand = draw(st.sampled_from(texts))
        return TextSymbol(
            translator=draw(st.sampled_from(_TRANSLATORS)),
            index=draw(st.sampled_from((0, 0, 0, 0, 1, 2))),
            operator=operator,
            operand=operand,
        )

    return build()


_TRANSLATORS = (
    *("filename", "filename", "filename", "oflags", "oflags", "sockaddr", "string", "argv", "fd"),
    *("mode", "uid", "gid", "uname", "pidname", "signame", "cmd", "prot", "flags", "sockdom"),
    *("socktype", "call"),
)

register_symbols = st.builds(
    RegisterSymbol,
    argument=st.integers(0, 5),
    operator=st.sampled_from(Operator),
    value=registers,
    mask=st.one_of(st.sampled_from((WORD, LOW_HALF, 3, 0x243)), registers),
)


def expressions(dialect: Dialect, *, only_registers: bool = False) -> st.SearchStrategy[Expression]:
    leaves: list[st.SearchStrategy[Expression]] = [st.just(TrueSymbol())]
    if dialect is Dialect.STRICT:
        leaves.append(register_symbols)
    if not only_registers:
        leaves += [text_symbols(), text_symbols()]
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            st.builds(NotExpression, inner),
            st.builds(AndExpression, inner, inner),
            st.builds(OrExpression, inner, inner),
        ),
        max_leaves=5,
    )


predicates = st.builds(
    Predicate,
    principal=st.sampled_from(Principal),
    operator=st.sampled_from((Operator.EQ, Operator.NE, Operator.LT, Operator.GT)),
    value=st.sampled_from((0, 1, 1000)),
)
elevations = st.one_of(
    st.builds(Elevation, uid=st.integers(0, 3)),
    st.builds(Elevation, gid=st.integers(0, 3)),
    st.builds(Elevation, uid=st.integers(0, 3), gid=st.integers(0, 3)),
)


@st.composite
def rules(draw: st.DrawFn, dialect: Dialect, only_registers: bool = False) -> Rule:
    """One rule that its dialect's own form can write."""
    strict = dialect is Dialect.STRICT
    count = draw(st.integers(1, 3)) if strict else 1
    action = draw(st.sampled_from(list(Action) if strict else list(Action)[:3]))
    when = None
    if draw(st.booleans()):
        when = draw(expressions(dialect, only_registers=only_registers))
    permits = action is Action.PERMIT
    can_be_now = action in (Action.PERMIT, Action.DENY) and (strict or when is None)
    return Rule(
        calls=tuple(
            draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count, unique=True))
        ),
        when=when,
        action=action,
        errno=draw(st.sampled_from((1, 13, 38, 4095))) if action is Action.DENY else 0,
        now=can_be_now and draw(st.integers(0, 5)) == 0,
        log=draw(st.integers(0, 4)) == 0,
        elevation=draw(elevations) if permits and draw(st.integers(0, 5)) == 0 else None,
        transition=draw(st.sampled_from(Transition)) if permits else Transition.SWITCH,
        predicate=draw(predicates) if draw(st.integers(0, 5)) == 0 else None,
    )


@st.composite
def policies(
    draw: st.DrawFn, dialect: Dialect | None = None, only_registers: bool = False
) -> Policy:
    """A policy of one dialect, with rules on few calls so that they meet."""
    chosen = dialect or draw(st.sampled_from(Dialect))
    default, errno = Action.ASK, 1
    if chosen is Dialect.STRICT:
        default = draw(st.sampled_from(Action))
        errno = draw(st.sampled_from((1, 2, 38))) if default is Action.DENY else 1
    return Policy(
        binary=draw(st.sampled_from((None, "/bin/ls", "/opt/a b/c,d"))),
        dialect=chosen,
        rules=tuple(draw(st.lists(rules(chosen, only_registers), max_size=6))),
        default=default,
        default_errno=errno,
        detached=draw(st.integers(0, 19)) == 0,
    )


@st.composite
def calls(draw: st.DrawFn, policy: Policy | None = None, exists: bool | None = None) -> Call:
    """A call, mostly one that the policy speaks of."""
    named = [name for rule in policy.rules for name in rule.calls] if policy else []
    mentioned = [name for name in named if name in CALLS]
    name = draw(st.sampled_from((*mentioned, *mentioned, *CALLS)))
    a, b, c, d, e, f = (draw(registers) for _ in range(6))
    return Call(
        name=name,
        abi="x86_64",
        args=(a, b, c, d, e, f),
        values=draw(memory(name, exists)),
        uid=draw(st.sampled_from((0, 1, 1000))),
        gid=draw(st.sampled_from((0, 1, 1000))),
    )


@st.composite
def memory(draw: st.DrawFn, name: str, exists: bool | None = None) -> tuple[Value, ...]:
    """What the memory of a call may hold; some of it unreadable or not given at all."""
    found: list[Value] = []
    for each in sources(name):
        if each.origin is not Origin.MEMORY:
            continue
        repeats = draw(st.integers(1, 3)) if name == "sendmmsg" else 1
        for _ in range(repeats):
            text = draw(st.one_of(st.sampled_from(MEMORY_TEXTS), st.none()))
            there = draw(st.booleans()) if exists is None else exists
            if draw(st.integers(0, 9)) > 0:
                found.append(Value(translator=each.translator, text=text, exists=there))
    return tuple(found)
