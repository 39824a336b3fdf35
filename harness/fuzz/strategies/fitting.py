"""Policies whose rules fit their calls: what is compared is something that the call has."""

from __future__ import annotations

from hypothesis import strategies as st

from enforcer.call import Action
from enforcer.policy.ast import Dialect, NotExpression, Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.translators import Origin, sources

CALLS = (
    *("clone",) * 8,
    *("fanotify_mark", "sync_file_range", "openat"),
    *("mmap", "mprotect", "ioctl", "fcntl", "socket", "kill", "tgkill"),
    *("setuid", "setresuid", "fchmod", "unshare", "renameat2", "shmget", "semop", "bind", "open"),
)

OPERANDS = {
    "cmd": ("TIOCSTI", "F_SETFL", "F_DUPFD", "0x5412", "3"),
    "fd": ("0", "3", "-1", "-100"),
    "flags": ("CLONE_NEWUSER", "CLONE_VM", "MAP_SHARED", "MAP_ANONYMOUS", "RENAME_EXCHANGE"),
    "mode": ("644", "4755"),
    "oflags": ("ro", "wo", "rwct", "roa"),
    "prot": ("PROT_EXEC", "PROT_NONE", "PROT_READ|PROT_WRITE"),
    "signame": ("SIGKILL", "SIGCHLD"),
    "sockdom": ("AF_INET", "AF_UNIX"),
    "socktype": ("SOCK_STREAM", "SOCK_DGRAM"),
    "uname": ("root", "1000"),
}
ANY_OPERANDS = ("0", "1000", "3", "-1")
OPERATORS = (TextOperator.EQ, TextOperator.EQ, TextOperator.SUB, TextOperator.NEQ)


@st.composite
def fitting_rules(draw: st.DrawFn) -> Policy:
    """Rules on what registers of a call say, of few calls so that several meet."""
    dialect = draw(st.sampled_from(Dialect))
    names = draw(st.lists(st.sampled_from(CALLS), min_size=1, max_size=2))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(names))
        texts = [
            each.translator for each in sources(name, "x86_64") if each.origin is Origin.REGISTER
        ]
        action = draw(st.sampled_from((Action.PERMIT, Action.DENY)))
        when = None
        if texts:
            translator = draw(st.sampled_from(texts))
            symbol = TextSymbol(
                translator=translator,
                operator=draw(st.sampled_from(OPERATORS)),
                operand=draw(st.sampled_from(OPERANDS.get(translator, ANY_OPERANDS))),
            )
            when = NotExpression(symbol) if draw(st.integers(0, 3)) == 3 else symbol
        errno = draw(st.sampled_from((1, 13))) if action is Action.DENY else 0
        found.append(Rule(calls=(name,), when=when, action=action, errno=errno))
    default = Action.ASK
    if dialect is Dialect.STRICT:
        default = draw(st.sampled_from((Action.PERMIT, Action.KILL)))
    return Policy(binary=None, dialect=dialect, rules=tuple(found), default=default)
