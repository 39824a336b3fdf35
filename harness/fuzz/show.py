"""Policies, calls and answers as people read them."""

from __future__ import annotations

from enforcer.arch.record import Abi
from enforcer.call import Call, Decision
from enforcer.cbpf.spec import ACTION_MASK, ACTION_NAMES, DATA_MASK, SeccompData
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.format import format_systrace, format_yaml
from enforcer.syscalls import name


def policy_text(policy: Policy) -> str:
    """In the policy's own form."""
    if policy.dialect is Dialect.SYSTRACE:
        return format_systrace(policy)
    return format_yaml(policy)


def answer_text(answer: int) -> str:
    """SECCOMP_RET_* with its data."""
    called = ACTION_NAMES.get(answer & ACTION_MASK, f"{answer:#x}")
    data = answer & DATA_MASK
    return f"{called}({data})" if data else called


def decision_text(decision: Decision) -> str:
    """A decision without the parts that have their usual value."""
    text = decision.action.value
    if decision.errno:
        text += f"[{decision.errno}]"
    if decision.log:
        text += " log"
    if decision.elevation is not None:
        text += f" as {decision.elevation.uid}:{decision.elevation.gid}"
    by = f"rule {decision.rule + 1}" if decision.rule is not None else decision.reason
    return f"{text} by {by}"


def data_text(data: SeccompData, abi: Abi | None) -> str:
    """One call as a filter sees it."""
    called = name(abi.name, data.nr) if abi is not None else None
    where = f"{abi.name} " if abi is not None else ""
    registers = ", ".join(f"{value:#x}" for value in data.args)
    return f"{where}{called or 'unlisted'}({registers}) nr={data.nr:#x} arch={data.arch:#x}"


def call_text(call: Call) -> str:
    """One call with its translated memory."""
    registers = ", ".join(f"{value:#x}" for value in call.args)
    values = "".join(
        f" {value.translator}={value.text!r}" + ("" if value.exists else " (no directory)")
        for value in call.values
    )
    return f"{call.abi} {call.name}({registers}){values} uid={call.uid} gid={call.gid}"
