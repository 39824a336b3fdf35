"""`enforcer explain`: which rule decides a call, and why."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import click

from enforcer.arch import ABIS, native
from enforcer.call import Action, Call, Decision, Value
from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.spec import SeccompData
from enforcer.cli import form_option
from enforcer.condition import Compare
from enforcer.filters.meaning import answer_of, place_of, shown
from enforcer.filters.model import Filter
from enforcer.filters.operand import is_operand, read_operand
from enforcer.filters.read import form_of
from enforcer.policy.ast import Policy, Principal
from enforcer.policy.explain import Explanation
from enforcer.policy.explain import explain as explain_call
from enforcer.policy.load import load_policies
from enforcer.policy.membership import is_path_of_address
from enforcer.policy.names import errno_name, parse_principal
from enforcer.policy.problem import PolicyError, suggestion
from enforcer.policy.translators import Origin, Source, known_syscall, sources
from enforcer.syscalls import ALIASES, names, number
from enforcer.syscalls.model import LAYOUT_TRANSLATORS, REGISTER_KINDS, Argument, Kind, Syscall
from enforcer.syscalls.sockaddr import meant_text
from enforcer.syscalls.translate import CONSTANTS, translate_oflags

_NAMED = re.compile(r"([a-z_][a-z0-9_]*)(?:\[(\d)\])?=(.*)\Z", re.DOTALL)
_UNREADABLE = "-"
_OPENED_FOR = {"fsread": "O_RDONLY", "fswrite": "O_WRONLY"}


class Refused(click.ClickException):
    """A policy that cannot be loaded, or a call that cannot be read."""

    exit_code = 2


@click.command("explain")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("call")
@click.argument("args", nargs=-1)
@form_option
@click.option("--abi", type=click.Choice(sorted(ABIS)), help="The calling convention.")
@click.option("--binary", help="Which policy, where the file has several.")
@click.option("--user", default="0", show_default=True, help="The caller's effective user.")
@click.option("--group", default="0", show_default=True, help="The caller's effective group.")
def explain(
    file: Path,
    call: str,
    args: tuple[str, ...],
    form: str | None,
    abi: str | None,
    binary: str | None,
    user: str,
    group: str,
) -> None:
    """Say what the policy of FILE answers to CALL with ARGS, which rule decides, and why.

    FILE may be a filter of others, `pid:NUMBER`, or several together (`A+B`, 'A|B':
    docs/filters.md).

    ARGS are the call's arguments in order: a file name or address as text, a number, or constants
    joined by `|`. A file name is the canonical one, without links. `name=value` sets one by its
    name or translator (filename[1]=/tmp/x, arg[1]=5); a value of `-` cannot be read. CALL may be
    fsread or fswrite with a file name: every call that reads, or writes, by name.

    \b
      enforcer explain ls.systrace openat AT_FDCWD /etc O_RDONLY
      enforcer explain ls.systrace fsread /etc/passwd
      enforcer explain web.yaml bind sockaddr='inet-[0.0.0.0]:80' --user www-data
    """
    try:
        if is_operand(str(file)) or form_of(file, form) is not None:
            click.echo(_of_filter(read_operand(str(file), form), call, args, abi))
            return
        policy = _policy(load_policies(file, form=form), binary, file)
    except PolicyError as error:
        raise Refused(str(error)) from error
    abi = abi or native().abis[0].name
    uid, gid = _principal(Principal.USER, user), _principal(Principal.GROUP, group)
    if call in ALIASES:
        click.echo(_alias(policy, call, abi, args, uid, gid))
        return
    model = known_syscall(call, abi)
    if model is None:
        near = suggestion(call, (*names(), *ALIASES))
        raise Refused(f"unknown call {call}\n{near}".rstrip())
    judged = _call(model, abi, args, uid, gid)
    click.echo(_text(policy, judged, explain_call(policy, judged)))


command = explain


def _of_filter(found: Filter, call: str, args: tuple[str, ...], abi: str | None) -> str:
    """What a filter of others answers, and the line that says so."""
    called = abi or found.abis[0].name
    model = known_syscall(call, called)
    if model is None:
        near = suggestion(call, names())
        raise Refused(f"unknown call {call}\n{near}".rstrip())
    judged = _call(model, called, args, 0, 0)
    nr = number(called, call)
    if nr is None:
        raise Refused(f"{called} has no {call}")
    data = SeccompData(nr, ABIS[called].audit_arch, judged.args)
    return f"{shown(data)} -> {answer_name(answer_of(found, data))}{place_of(found, data)}"


def _policy(policies: tuple[Policy, ...], binary: str | None, file: Path) -> Policy:
    wanted = [policy for policy in policies if binary is None or policy.binary == binary]
    if len(wanted) == 1:
        return wanted[0]
    has = ", ".join(policy.binary or "any" for policy in policies)
    raise Refused(f"{file} has policies for: {has or 'nothing'}; choose one with --binary")


def _alias(policy: Policy, alias: str, abi: str, args: tuple[str, ...], uid: int, gid: int) -> str:
    """What the calls of an alias are answered on one file name; equal answers stand together."""
    if len(args) != 1 or _NAMED.match(args[0]):
        raise Refused(f"{alias} is many calls: give one file name, or explain one of the calls")
    found: dict[str, list[str]] = {}
    for name in sorted(ALIASES[alias]):
        model = known_syscall(name, abi)
        if model is None or number(abi, name) is None:
            continue
        judged = _of_alias(model, alias, args[0], _call(model, abi, (), uid, gid))
        explained = explain_call(policy, judged)
        why = explained.decision.reason
        if explained.decision.rule is not None:
            step = explained.steps[-1]
            why = f"rule {step.number}: {step.rule}   ({step.place})"
        found.setdefault(f"{_answer(explained.decision)}\n  {why}", []).append(name)
    return "\n".join(
        f"{alias} {args[0]}: {answer}\n"
        + textwrap.fill(", ".join(calls), 78, initial_indent="    ", subsequent_indent="    ")
        for answer, calls in found.items()
    )


def _of_alias(model: Syscall, alias: str, path: str, call: Call) -> Call:
    """The call on that file name, with the open flags that make it belong to the alias."""
    registers = list(call.args)
    for membership in model.aliases:
        if membership.alias == alias and isinstance(membership.when, Compare):
            registers[membership.when.argument] = CONSTANTS[_OPENED_FOR[alias]]
    texts = {
        "filename": path,
        "sockaddr": meant_text(path, model.name),
        "oflags": translate_oflags(CONSTANTS[_OPENED_FOR[alias]]),
    }
    a, b, c, d, e, f = registers
    values = tuple(
        replace(each, text=texts.get(each.translator, each.text)) for each in call.values
    )
    return replace(call, args=(a, b, c, d, e, f), values=values)


def _principal(principal: Principal, text: str) -> int:
    number = parse_principal(principal, text)
    if number is None:
        raise Refused(f"no {principal} {text} on this machine; give the number")
    return number


def _call(model: Syscall, abi: str, args: tuple[str, ...], uid: int, gid: int) -> Call:
    """The call that the words describe; what is not said is zero, or the empty text."""
    registers = [0] * 6
    every = sources(model.name, abi)
    texts: dict[tuple[str, int], str | None] = {}
    left = list(model.arguments)
    for word in args:
        found = _NAMED.match(word)
        if found is None:
            if not left:
                raise Refused(
                    f"{model.name} has {len(model.arguments)} arguments; {word!r} is more"
                )
            _set(model, left.pop(0), word, registers, texts)
            continue
        name, index, value = found.group(1), int(found.group(2) or 0), found.group(3)
        if name == "arg":
            registers[min(index, 5)] = _number(value)
            continue
        argument = _named(model, every, name, index)
        if argument is None:
            known = [each.translator for each in every] + [each.name for each in model.arguments]
            raise Refused(f"{model.name} has no {name}\n{suggestion(name, known)}".rstrip())
        if argument.kind in REGISTER_KINDS and (name, index) not in _memory(every):
            registers[argument.index] = _number(value)
        else:
            translator = name if (name, index) in _memory(every) else _translator(argument)
            texts[translator, index] = None if value == _UNREADABLE else value
    of_address = {("filename", 0)} if is_path_of_address(model.name, "filename") else set()
    values = tuple(
        Value(
            translator=translator, text=_seen(translator, texts.get((translator, index), ""), model)
        )
        for translator, index in _memory(every)
        if (translator, index) not in of_address - texts.keys()
    )
    a, b, c, d, e, f = registers
    return Call(name=model.name, abi=abi, args=(a, b, c, d, e, f), values=values, uid=uid, gid=gid)


def _seen(translator: str, text: str | None, model: Syscall) -> str | None:
    """The text as rules see it in a run; a file name is taken for the canonical one."""
    return meant_text(text, model.name) if translator == "sockaddr" and text else text


def _set(
    model: Syscall,
    argument: Argument,
    word: str,
    registers: list[int],
    texts: dict[tuple[str, int], str | None],
) -> None:
    if argument.kind in REGISTER_KINDS or argument.kind is Kind.POINTER:
        registers[argument.index] = _number(word)
        return
    translator = _translator(argument)
    same = [each for each in model.arguments if _translator(each) == translator]
    texts[translator, same.index(argument)] = None if word == _UNREADABLE else word


def _translator(argument: Argument) -> str:
    inside = LAYOUT_TRANSLATORS.get(argument.layout, ("",))
    return {
        Kind.PATH: "filename",
        Kind.STRING: "string",
        Kind.SOCKADDR: "sockaddr",
        Kind.ARGV: "argv",
    }.get(argument.kind, inside[0])


def _named(model: Syscall, every: tuple[Source, ...], name: str, index: int) -> Argument | None:
    """The argument that goes by this name, or is the index-th of this translator."""
    same = [each for each in every if each.translator == name]
    if index < len(same):
        return same[index].argument
    return next((each for each in model.arguments if each.name == name), None)


def _memory(every: tuple[Source, ...]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for each in every:
        if each.origin is Origin.MEMORY:
            index = counts[each.translator] = counts.get(each.translator, -1) + 1
            found.append((each.translator, index))
    return found


def _number(text: str) -> int:
    """A number, or constants and numbers joined by `|`, as an unsigned 64-bit register."""
    total = 0
    for word in text.split("|"):
        value = CONSTANTS.get(word)
        if value is None:
            try:
                value = int(word, 0)
            except ValueError:
                near = suggestion(word, CONSTANTS)
                wrong = f"{word!r} is neither a number nor a constant\n{near}"
                raise Refused(wrong.rstrip()) from None
        total |= value
    return total & 0xFFFF_FFFF_FFFF_FFFF


def _text(policy: Policy, call: Call, explanation: Explanation) -> str:
    lines = [f"{call.name}: {_answer(explanation.decision)}"]
    if explanation.accesses > 1:
        lines.append(
            f"judged {explanation.accesses} times, once for each name; "
            f"number {explanation.access + 1} decides"
        )
    for step in explanation.steps:
        mark = {True: "decides", False: "passes", None: "unreadable"}[step.held]
        lines.append(f"  rule {step.number} {mark}: {step.rule}   ({step.place})")
        lines += [f"      {why}" for why in step.why]
    if explanation.decision.rule is None:
        lines.append(f"  decided by: {explanation.decision.reason}")
    kernel = {
        True: "registers decide every call of this name: the kernel answers what they permit",
        None: "registers decide some calls of this name: the kernel answers what they permit",
        False: "the supervisor answers: the registers do not say enough",
    }[explanation.in_kernel]
    return "\n".join([*lines, f"  {kernel}"])


def _answer(decision: Decision) -> str:
    text = str(decision.action)
    if decision.action is Action.DENY:
        text += f"[{errno_name(decision.errno)}]"
    if decision.elevation is not None:
        text += " with other ids"
    return text + (", logged" if decision.log else "")
