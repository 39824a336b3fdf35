"""`enforcer export`: into which languages, and what the text that was written means there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import assert_never

from enforcer.cbpf.instruction import assemble
from enforcer.cbpf.spec import AbiTable
from enforcer.exports.by_name import firejail, meant_by_firejail, systemd
from enforcer.exports.docker import docker
from enforcer.exports.minijail import minijail
from enforcer.exports.names_alone import names_alone
from enforcer.exports.objects import apparmor, landlock_json, landlock_toml
from enforcer.exports.rows import Export
from enforcer.filters.combine import one_program
from enforcer.filters.model import Filter, Form
from enforcer.filters.raw import read_raw
from enforcer.filters.read import read_text
from enforcer.filters.recover import spec_of
from enforcer.policy.ast import Policy


class Target(StrEnum):
    """What is written of calls and their registers."""

    BPF = "bpf"
    BWRAP = "bwrap"
    DOCKER = "docker"
    MINIJAIL = "minijail"
    SYSTEMD = "systemd"
    FIREJAIL = "firejail"


class ObjectTarget(StrEnum):
    """What is written of names and ports."""

    LANDLOCK = "landlock"
    LANDLOCK_TOML = "landlock-toml"
    APPARMOR = "apparmor"


_WRITERS: Mapping[Target, Callable[[Filter, AbiTable, list[str]], str]] = {
    Target.DOCKER: docker,
    Target.MINIJAIL: minijail,
    Target.SYSTEMD: systemd,
    Target.FIREJAIL: firejail,
}
_OF_OBJECTS: Mapping[ObjectTarget, Callable[[Policy], Export]] = {
    ObjectTarget.LANDLOCK: landlock_json,
    ObjectTarget.LANDLOCK_TOML: landlock_toml,
    ObjectTarget.APPARMOR: apparmor,
}


def export(filter: Filter, target: Target) -> Export:
    """The filter in that language.

    Raises PolicyError for a program of which no rules can be made, where a language wants some;
    FilterTooLarge and ValueError for several that cannot be put together.
    """
    if target in (Target.BPF, Target.BWRAP):
        content = assemble(one_program(filter), big_endian=filter.big_endian)
        return Export(content=content, lost=())
    lost: list[str] = []
    text = _WRITERS[target](filter, spec_of(filter).tables[0], lost)
    return Export(content=text.encode(), lost=tuple(dict.fromkeys(lost)))


def export_objects(policies: Sequence[Policy], target: ObjectTarget) -> Export:
    """What a policy says of names and ports. ValueError for several, which none of them can keep
    apart.
    """
    if len(policies) != 1:
        raise ValueError(f"{len(policies)} policies in it: {target} has one for all programs")
    policy, lost = names_alone(policies[0])
    made = _OF_OBJECTS[target](policy)
    return Export(content=made.content, lost=tuple(dict.fromkeys((*lost, *made.lost))))


def meant(filter: Filter, target: Target, made: Export, source: str) -> Filter:
    """What the exported text means to whoever takes it; `filter` is what it was made of.

    Raises PolicyError.
    """
    match target:
        case Target.BPF | Target.BWRAP:
            return read_raw(made.content, source)
        case Target.FIREJAIL:
            return meant_by_firejail(filter, source)
        case Target.DOCKER | Target.MINIJAIL | Target.SYSTEMD:
            return read_text(made.content.decode(), source, Form(target.value))
    assert_never(target)
