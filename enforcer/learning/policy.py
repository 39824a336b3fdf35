"""The policy under which a command is watched: all is permitted, and seen."""

from __future__ import annotations

from errno import ENOSYS

from enforcer.call import Action
from enforcer.policy.ast import Dialect, Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.membership import every_call
from enforcer.syscalls import syscall

_EXECUTIONS = ("execve", "execveat")


def watching_policy(*, sees_interpreters: bool) -> Policy:
    """Permits and logs every call but those that carry others unseen (io_uring).

    Such a call is none under any policy that refuses something, and programs make do without: it is
    what they do then that is learned. `sees_interpreters`: a mechanism that judges what executes a
    script when a rule looks at the arguments (ptrace); they match whatever they are.
    """
    calls = tuple(name for name in every_call() if not syscall(name).carrier)
    anything = TextSymbol(translator="argv", operator=TextOperator.RE, operand="")
    executing = Rule(calls=_EXECUTIONS, when=anything, action=Action.PERMIT, log=True)
    everything = Rule(calls=calls, when=None, action=Action.PERMIT, log=True)
    return Policy(
        binary=None,
        dialect=Dialect.STRICT,
        rules=(executing, everything) if sees_interpreters else (everything,),
        default=Action.DENY,
        default_errno=ENOSYS,
        source="learning",
    )
