"""Profiles in the languages of others, each in order, on calls whose arguments are numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from hypothesis import strategies as st

from enforcer.condition import WORD
from harness.fuzz.strategies.register_rules import EDGES, near

_CALLS = ("ioctl", "mmap", "socket", "fcntl", "clone", "read", "personality", "mprotect", "dup3")
_KAFEL_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "read": ("fd", "buf", "count"),
    "fcntl": ("fd", "cmd", "arg"),
    "mprotect": ("start", "len", "prot"),
    "dup3": ("oldfd", "newfd", "flags"),
}
"""Those that kafel and the model name alike; of some it compares the lower half."""
_ERRNOS = (1, 13, 38)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

_small = st.sampled_from((0, 1, 2, 3, 40, 0xFF, 1 << 31))
_values = st.one_of(_small, st.sampled_from(EDGES), st.sampled_from(EDGES).flatmap(near))
_masks = st.sampled_from((1, 3, 0xFF, 0xFFFF_FFFF, 0xFFFF_FFFF << 32, 1 << 63, 1 << 32 | 1, WORD))
_chosen = st.lists(st.sampled_from(_CALLS), min_size=1, max_size=5, unique=True)


@st.composite
def docker_texts(draw: st.DrawFn) -> str:
    """Entries of one answer beside the default, each register once in an entry."""
    answers = draw(
        st.sampled_from((("ERRNO", "ALLOW"), ("KILL_PROCESS", "ALLOW"), ("ALLOW", "LOG")))
    )
    entries: list[dict[str, object]] = []
    for call in draw(_chosen):
        for _ in range(draw(st.integers(1, 3))):
            registers = draw(st.lists(st.integers(0, 5), max_size=3, unique=True))
            args = [draw(_docker_argument(register)) for register in registers]
            action = f"SCMP_ACT_{answers[1]}"
            entries.append({"names": [call], "action": action, "args": args})
    document = {
        "defaultAction": f"SCMP_ACT_{answers[0]}",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [*_docker_needs(answers), *entries],
    }
    return json.dumps(document, indent=1) + "\n"


def _docker_needs(answers: tuple[str, str]) -> list[dict[str, object]]:
    """What a runtime calls itself between the filter and its program."""
    if answers[0] == "ALLOW":
        return []
    names = ["execve", "prctl", "capset", "write", "close", "fstat", "futex", "exit_group"]
    return [{"names": names, "action": f"SCMP_ACT_{answers[1]}"}]


@st.composite
def _docker_argument(draw: st.DrawFn, register: int) -> dict[str, object]:
    operator = draw(st.sampled_from(("EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ")))
    value, more = draw(_values), {}
    if operator == "MASKED_EQ":
        mask = draw(_masks)
        value, more = mask, {"valueTwo": value & mask}
    return {"index": register, "value": value, "op": f"SCMP_CMP_{operator}", **more}


@st.composite
def minijail_texts(draw: st.DrawFn) -> str:
    """Lines with expressions and errnos, and groups in braces."""
    lines = [draw(st.sampled_from(("", "@default kill-process", "@default trap")))]
    for call in draw(_chosen):
        said = draw(st.sampled_from(("1", "return 13", "", "", "", "{}")))
        if said == "{}":
            parts = [f"{draw(_minijail())}{draw(_minijail_action)}" for _ in range(2)]
            said = "{ " + ", ".join(parts) + " }"
        lines.append(f"{call}: {said or draw(_minijail())}")
    return "\n".join(filter(None, lines)) + "\n"


_minijail_action = st.sampled_from(("", "; return 1", "; trap", "; log", "; kill-process"))


@st.composite
def minijail0_texts(draw: st.DrawFn) -> str:
    """What `minijail0 -S` takes: it knows neither `@default` nor braces."""
    lines = []
    for call in draw(_chosen):
        after = draw(st.sampled_from(("", "", "; return 13")))
        lines.append(f"{call}: {draw(st.sampled_from(('1', 'return 1', '')))}")
        if lines[-1].endswith(" "):
            lines[-1] += f"{draw(_minijail())}{after}"
    return "\n".join(lines) + "\n"


@st.composite
def _minijail(draw: st.DrawFn) -> str:
    alternatives = []
    for _ in range(draw(st.integers(1, 2))):
        atoms = [
            f"arg{draw(st.integers(0, 5))} {draw(st.sampled_from((*_COMPARISONS, '&', 'in')))} "
            f"{draw(_values):#x}"
            for _ in range(draw(st.integers(1, 2)))
        ]
        alternatives.append(" && ".join(atoms))
    return " || ".join(alternatives)


@st.composite
def kafel_texts(draw: st.DrawFn) -> str:
    """Policies of action blocks, with arguments of the kernel's names, or of the policy's own."""
    actions = ("ALLOW", "ERRNO(13)", "TRAP(3)", "LOG", "KILL", "KILL_PROCESS")
    blocks = []
    for _ in range(draw(st.integers(1, 3))):
        rules = [draw(_kafel_rule()) for _ in range(draw(st.integers(1, 3)))]
        blocks.append(f"  {draw(st.sampled_from(actions))} {{ {', '.join(rules)} }}")
    default = draw(st.sampled_from(actions))
    return "POLICY p {\n" + ",\n".join(blocks) + f"\n}}\nUSE p DEFAULT {default}\n"


@st.composite
def _kafel_rule(draw: st.DrawFn) -> str:
    call = draw(st.sampled_from(_CALLS))
    names = _KAFEL_ARGUMENTS.get(call, ())
    own = not names or draw(st.booleans())
    if own:
        names = ("a", "b", "c")
    head = f"{call}({', '.join(names)})" if own else call
    shape = draw(st.sampled_from(("", "{0}", "{0} && {1}", "{0} || {1}", "!({0})", "{0}, {1}")))
    if not shape:
        return call
    return f"{head} {{ {shape.format(*(draw(_kafel_atom(names)) for _ in range(2)))} }}"


@st.composite
def _kafel_atom(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    name, operator = draw(st.sampled_from(names)), draw(st.sampled_from(_COMPARISONS))
    left = name if draw(st.booleans()) else f"({name} & {draw(_masks):#x})"
    return f"{left} {operator} {draw(_values):#x}"


@st.composite
def systemd_texts(draw: st.DrawFn) -> str:
    """A deny list with errnos of its own, and what is taken out of it again."""
    lines = ["[Service]"]
    for call in draw(_chosen):
        lines.append(f"SystemCallFilter=~{call}{draw(st.sampled_from(('', ':EACCES', ':kill')))}")
    if draw(st.booleans()):
        lines.append(f"SystemCallFilter={draw(st.sampled_from(_CALLS))}")
    if draw(st.booleans()):
        lines.append("SystemCallErrorNumber=EPERM")
    lines += draw(st.sampled_from(([], ["SystemCallArchitectures=native"])))
    return "\n".join(lines) + "\n"


TEXTS: Mapping[str, Callable[[], st.SearchStrategy[str]]] = {
    "crun": docker_texts,
    "minijail": minijail_texts,
    "minijail0": minijail0_texts,
    "kafel": kafel_texts,
    "systemd": systemd_texts,
}
"""By compiler."""
