"""Reads model.txt: one Syscall per name, parsed when it is first asked for.

The notation is explained at the head of that file. A mistake in it raises ModelError with the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from enforcer.arch import ABIS
from enforcer.condition import TRUE, Compare, Condition, Operator, holds
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.model import (
    Argument,
    Follow,
    Kind,
    Membership,
    Move,
    Node,
    Remapping,
    Syscall,
)

_SOURCE = Path(__file__).with_name("model.txt")

READING_MASK = CONSTANTS["O_ACCMODE"] | CONSTANTS["O_CREAT"] | CONSTANTS["O_TRUNC"]
"""An open whose flags have none of these bits only reads (the same bits on every ABI)."""

_IN_TWO = "off64"
"""What takes two registers on ABIs of 32 bits."""

_NUMBERS: Mapping[str, tuple[Kind, int, int]] = {
    "u32": (Kind.VALUE, 32, 1),
    "u64": (Kind.VALUE, 64, 1),
    _IN_TWO: (Kind.VALUE, 64, 2),
    "ptr": (Kind.POINTER, 64, 1),
}

_KINDS: Mapping[str, tuple[Kind, int]] = {
    "fd": (Kind.FD, 32),
    "oflags": (Kind.OFLAGS, 32),
    "mode": (Kind.MODE, 16),
    "uid": (Kind.UID, 32),
    "gid": (Kind.GID, 32),
    "pid": (Kind.PID, 32),
    "sig": (Kind.SIGNAL, 32),
    "cmd": (Kind.COMMAND, 32),
    "prot": (Kind.PROT, 32),
    "flags": (Kind.FLAGS, 32),
    "sockdom": (Kind.SOCKDOM, 32),
    "socktype": (Kind.SOCKTYPE, 32),
    "path": (Kind.PATH, 64),
    "string": (Kind.STRING, 64),
    "sockaddr": (Kind.SOCKADDR, 64),
    "argv": (Kind.ARGV, 64),
    "struct": (Kind.STRUCT, 64),
}

_FLAG_WORDS: Mapping[str, Follow | None] = {
    "-": Follow.UNLESS_FLAG,
    "+": Follow.IF_FLAG,
    "?": None,
}


class ModelError(Exception):
    """model.txt is wrong."""


@dataclass
class _Source:
    """The lines of model.txt: call -> ABI ("" for all others) -> the rest of the line."""

    lines: dict[str, dict[str, str]] = field(default_factory=dict)
    equivalents: dict[str, set[str]] = field(default_factory=dict)


@cache
def _source() -> _Source:
    source = _Source()
    for line in _SOURCE.read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        head, _, rest = line.partition(" ")
        if head == "=":
            group = rest.split()
            for name in group:
                source.equivalents.setdefault(name, set()).update(group)
        elif head == ">":
            name, *others = rest.split()
            source.equivalents.setdefault(name, set()).update(others)
        else:
            name, _, abis = head.partition("@")
            for abi in abis.split(","):
                if source.lines.setdefault(name, {}).setdefault(abi, rest) != rest:
                    raise ModelError(f"{name}: two lines")
    return source


@cache
def syscall(name: str, abi: str | None = None) -> Syscall:
    """The model of `name` on `abi`; without an ABI, as on 64-bit ones. KeyError if unknown.

    Only few calls differ between ABIs: clone, mmap, select, the 16-bit ids, and those with a
    64-bit argument that takes two registers of a 32-bit ABI (fanotify_mark...).
    """
    lines = _source().lines[name]
    if abi is not None and abi not in lines and ABIS[abi].bits == 64:
        return syscall(name, None)  # the same object, as `cache` sees it
    line = lines.get(abi or "", lines.get(""))
    if line is None:
        raise ModelError(f"{name}: no line for {abi or 'all ABIs'}")
    declared, _, attributes = line.partition("|")
    arguments = _arguments(name, declared.split(), abi)
    places = {argument.name: argument.index for argument in arguments}
    words = attributes.split()
    return Syscall(
        name=name,
        arguments=arguments,
        aliases=tuple(_memberships(name, words, places)),
        remaps=tuple(_remappings(words, places)),
        moves=tuple(_moves(words, arguments, places)),
        node=next(_nodes(words, places), None),
        equivalents=frozenset(_source().equivalents.get(name, ())) - {name},
        carrier="carrier" in words,
        acts_on_caller="caller" in words,
        returns_fd="fd" in words,
        implemented="none" not in words,
    )


@cache
def modelled() -> frozenset[str]:
    """The names that model.txt describes; a test keeps them equal to those of numbers.tsv."""
    return frozenset(_source().lines)


@cache
def varies(name: str) -> bool:
    """Whether the arguments of `name` lie in other registers, or count other bits, on some ABI."""
    lines = _source().lines[name]
    if lines.keys() == {""} and _IN_TWO not in lines[""]:
        return False  # and no model of it is made for each ABI, which is half of a start
    common = syscall(name)
    return any(syscall(name, abi).arguments != common.arguments for abi in ABIS)


@cache
def remapping_calls() -> frozenset[str]:
    """The calls that can change what is mapped where, or how it is protected."""
    return frozenset(
        name
        for name, lines in _source().lines.items()
        if any(" remaps(" in line for line in lines.values())
    )


def remapped(
    call: Syscall, args: Sequence[int], tag_bits: int = 0
) -> Iterator[tuple[int, int | None]]:
    """Where a call with these registers changes the caller's mappings: starts and ends.

    An end of None is not known. `tag_bits` of an address count for nothing.
    """
    for each in call.remaps:
        if holds(each.when, args):
            start = args[each.start] & ~tag_bits
            yield start, None if each.length is None else start + args[each.length]


@cache
def aliases() -> Mapping[str, frozenset[str]]:
    """Every alias with the calls that can belong to it, whatever their arguments."""
    found: dict[str, set[str]] = {"fsread": set(), "fswrite": set()}
    for name, lines in _source().lines.items():
        for line in lines.values():
            for word in line.partition("|")[2].split():
                head = word.partition("(")[0]
                for alias in ("fsread", "fswrite") if head == "fsopen" else (head,):
                    if alias in found:
                        found[alias].add(name)
    return MappingProxyType({alias: frozenset(names) for alias, names in found.items()})


def _arguments(name: str, words: list[str], abi: str | None) -> tuple[Argument, ...]:
    narrow = abi is not None and ABIS[abi].bits == 32
    aligned = abi is not None and ABIS[abi].pairs_aligned
    places: dict[str, int] = {}
    kinds: list[tuple[str, str]] = []
    register = 0
    for word in words:
        label, _, kind = word.partition(":")
        registers = 2 if narrow and kind == _IN_TWO else 1
        if registers == 2 and aligned:
            register += register % 2
        places[label] = register
        kinds.append((label, kind))
        register += registers
    if register > 6:
        raise ModelError(f"{name}: {register} registers")
    return tuple(_argument(name, label, kind, places) for label, kind in kinds)


def _argument(name: str, label: str, text: str, places: Mapping[str, int]) -> Argument:
    index = places[label]
    if text in _NUMBERS:
        kind, width, _ = _NUMBERS[text]
        return Argument(index=index, name=label, kind=kind, width=width)
    head, _, inside = text.partition("(")
    word, _, bits = head.partition("/")
    try:
        kind, width = _KINDS[word]
    except KeyError:
        raise ModelError(f"{name}: {label}: no such kind: {word}") from None
    options = [option for option in inside.rstrip(")").split(",") if option]
    width = int(bits) if bits else width
    match kind:
        case Kind.PATH:
            return _path(name, label, index, options, places)
        case Kind.STRUCT:
            length = places[options[1]] if len(options) > 1 else None
            return Argument(index=index, name=label, kind=kind, layout=options[0], length=length)
        case Kind.SOCKADDR | Kind.STRING:
            return Argument(
                index=index,
                name=label,
                kind=kind,
                length=places[options[0]] if options else None,
            )
        case Kind.FD if options == ["named"]:
            return Argument(index=index, name=label, kind=kind, width=width, named=True)
        case _ if options:
            raise ModelError(f"{name}: {label}: no such word: {options[0]}")
        case _:
            return Argument(index=index, name=label, kind=kind, width=width)


def _path(
    name: str, label: str, index: int, options: list[str], places: Mapping[str, int]
) -> Argument:
    dirfd: int | None = None
    follow = Follow.ALWAYS
    follow_argument: int | None = None
    follow_flag = empty_flag = 0
    plain = {"creates", "entry", "null", "nullable", "opened", "empty", "untranslatable"}
    for option in options:
        mark = next((mark for mark in _FLAG_WORDS if mark in option), None)
        if mark is not None:
            register, _, flag = option.partition(mark)
            follow_argument = places[register]
            how = _FLAG_WORDS[mark]
            if how is None:
                empty_flag = CONSTANTS[flag]
            else:
                follow, follow_flag = how, CONSTANTS[flag]
        elif option == "nofollow":
            follow = Follow.NEVER
        elif option == "open":
            follow = Follow.OPEN
        elif option in places:
            dirfd = places[option]
        elif option not in plain:
            raise ModelError(f"{name}: {label}: no such word: {option}")
    return Argument(
        index=index,
        name=label,
        kind=Kind.PATH,
        dirfd=dirfd,
        follow=follow,
        follow_argument=follow_argument,
        follow_flag=follow_flag,
        empty_flag=empty_flag,
        creates="creates" in options,
        parent="entry" in options,
        empty="empty" in options,
        null="null" in options,
        nullable="nullable" in options,
        opened="opened" in options,
        layout="file_handle" if "untranslatable" in options else "",
    )


def _memberships(name: str, words: list[str], places: Mapping[str, int]) -> Iterator[Membership]:
    for word in words:
        head, _, inside = word.partition("(")
        register = inside.rstrip(")")
        if head == "fsopen" and register:
            place = places[register]
            yield Membership(alias="fsread", when=Compare(place, Operator.EQ, 0, mask=READING_MASK))
            yield Membership(
                alias="fswrite", when=Compare(place, Operator.NE, 0, mask=READING_MASK)
            )
        elif head == "fsopen":
            yield Membership(alias="fsread", when=None)
            yield Membership(alias="fswrite", when=None)
        elif head in ("fsread", "fswrite"):
            yield Membership(alias=head, when=None if "(" in word else TRUE)
        elif head not in ("carrier", "caller", "fd", "moves", "node", "none", "remaps"):
            raise ModelError(f"{name}: no such attribute: {word}")


def _remappings(words: list[str], places: Mapping[str, int]) -> Iterator[Remapping]:
    """remaps(START,LENGTH) or remaps(START,LENGTH,FLAGS+FLAG), with an empty LENGTH for none."""
    for word in words:
        head, _, inside = word.partition("(")
        if head != "remaps":
            continue
        start, length, *flags = inside.rstrip(")").split(",")
        yield Remapping(
            start=places[start],
            length=places[length] if length else None,
            when=_with_flags(flags, places),
        )


def _moves(
    words: list[str], arguments: Sequence[Argument], places: Mapping[str, int]
) -> Iterator[Move]:
    """moves(OLD,NEW) or moves(OLD,NEW,FLAGS+FLAG)."""
    names = [argument.name for argument in arguments if argument.kind is Kind.PATH]
    for word in words:
        head, _, inside = word.partition("(")
        if head == "moves":
            old, new, *flags = inside.rstrip(")").split(",")
            yield Move(old=names.index(old), new=names.index(new), when=_with_flags(flags, places))


def _nodes(words: list[str], places: Mapping[str, int]) -> Iterator[Node]:
    """node(MODE,DEVICE)."""
    for word in words:
        head, _, inside = word.partition("(")
        if head == "node":
            mode, device = inside.rstrip(")").split(",")
            yield Node(mode=places[mode], device=places[device])


def _with_flags(flags: Sequence[str], places: Mapping[str, int]) -> Condition:
    """FLAGS+FLAG: only if that flag is in the register FLAGS."""
    when: Condition = TRUE
    for each in flags:
        register, _, flag = each.partition("+")
        when = Compare(places[register], Operator.NE, 0, mask=CONSTANTS[flag])
    return when
