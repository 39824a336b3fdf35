"""The policy under which a command is watched: all is permitted, and seen."""

from __future__ import annotations

from errno import ENOSYS

from enforcer.call import Action
from enforcer.policy.ast import Dialect, Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.membership import every_call
from enforcer.policy.translators import sources
from enforcer.syscalls import syscall

_EXECUTIONS = ("execve", "execveat")


def watching_policy(*, sees_interpreters: bool) -> Policy:
    """Permits and logs every call but those that carry others unseen (io_uring).

    Such a call is none under any policy that refuses something, and programs make do without: it is
    what they do then that is learned. What a rule looks at has the text by which it is judged (the
    canonical name of a path socket, say), so two rules look at what matches whatever it is.
    `sees_interpreters`: a mechanism that judges what executes a script when a rule looks at the
    arguments (ptrace).
    """
    calls = tuple(name for name in every_call() if not syscall(name).carrier)
    reaching = tuple(
        name for name in calls if any(each.translator == "sockaddr" for each in sources(name))
    )
    executing = _whatever("argv", _EXECUTIONS)
    addressed = _whatever("sockaddr", reaching)
    everything = Rule(calls=calls, when=None, action=Action.PERMIT, log=True)
    return Policy(
        binary=None,
        dialect=Dialect.STRICT,
        rules=(*([executing] if sees_interpreters else []), addressed, everything),
        default=Action.DENY,
        default_errno=ENOSYS,
        source="learning",
    )


def _whatever(translator: str, calls: tuple[str, ...]) -> Rule:
    anything = TextSymbol(translator=translator, operator=TextOperator.RE, operand="")
    return Rule(calls=calls, when=anything, action=Action.PERMIT, log=True)
