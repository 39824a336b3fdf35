"""What is timed: one kind of call over one name or many, and a build, with the rules for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

MANY_RULES = 100
OPEN_CLOSE = "open+close"
SPAWNS_A_TENTH = 10
_FIRST_PORT = 20_000
_NAMED_CALLS = (
    "access, chmod, creat, faccessat, faccessat2, lstat, mkdir, mkdirat, newfstatat, open, openat, "
    "openat2, readlink, readlinkat, rename, rmdir, stat, statx, unlink, unlinkat"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing to time: `kind`, `spread` and `name` are the loop's arguments (see loop.c).

    `policy` is what confines it, `traced` what strace is to look at. `share`: one round in how many
    is made, where each takes long. A build has the kind `make` and its directory as name.
    """

    title: str
    kind: str
    name: str
    policy: Path
    spread: int = 1
    share: int = 1
    traced: str = "%file"
    register_only: bool = False

    @property
    def is_build(self) -> bool:
        """Whether a whole command is timed instead of the loop."""
        return self.kind == "make"


def prepared(directory: Path, program: Path, names: int, files: int) -> tuple[Row, ...]:
    """Rows over one name and over so many `names`, a build of so many C `files` (0: none).

    Their files and policies are made in `directory`.
    """
    place = directory / "permitted"
    place.mkdir()
    paths = _paths_policy(directory, "paths", _NAMED_CALLS)
    rows: list[Row] = []
    for title, kind, base, make in _KINDS:
        if make is not None:
            make(place / base, program)
            for number in range(names // _share(kind) or 1):
                make(place / f"{base}{number}", program)
        name = str(place / base) if base else str(_FIRST_PORT)
        row = Row(title=title, kind=kind, name=name, policy=paths, share=_share(kind))
        if kind == "connect":
            row = replace(row, policy=_ports_policy(directory), traced="connect")
        rows += _both(row, names)
        if kind == "spawn":
            judged = _paths_policy(directory, "programs", f"{_NAMED_CALLS}, execve")
            rows += _both(replace(row, title="spawn, judged by name", policy=judged), names)
    (place / "file-link").symlink_to("file")
    rows += [
        Row(title="open, relative name", kind="open", name="file", policy=paths),
        Row(title="open, symbolic link", kind="open", name=str(place / "file-link"), policy=paths),
        _registers(directory),
    ]
    if files:
        rows.append(_build(directory, paths, files))
    return tuple(rows)


def _both(row: Row, names: int) -> list[Row]:
    """The row over one name, and over different ones."""
    different = names // row.share or 1
    return [row, replace(row, title=f"{row.title}, {different:,} names", spread=different)]


def _share(kind: str) -> int:
    return SPAWNS_A_TENTH if kind == "spawn" else 1


def _file(name: Path, program: Path) -> None:
    name.write_text("content\n")


def _link(name: Path, program: Path) -> None:
    name.symlink_to("nowhere")


def _program(name: Path, program: Path) -> None:
    name.hardlink_to(program)


Maker = Callable[[Path, Path], None]
_KINDS: tuple[tuple[str, str, str, Maker | None], ...] = (
    (OPEN_CLOSE, "open", "file", _file),
    ("open of a missing name", "missing", "missing", None),
    ("stat", "stat", "file", None),
    ("stat of a missing name", "no-stat", "missing", None),
    ("readlink", "readlink", "link", _link),
    ("access", "access", "file", None),
    ("create+unlink", "create", "new", None),
    ("mkdir+rmdir", "mkdir", "directory", None),
    ("connect", "connect", "", None),
    ("spawn", "spawn", "program", _program),
)


def _paths_policy(directory: Path, name: str, calls: str) -> Path:
    policy = directory / f"{name}.yaml"
    policy.write_text(
        "default: permit\n"
        "rules:\n"
        f"  - permit: [{calls}]\n"
        f'    when: filename match "{directory / "permitted"}/*"\n'
        f"  - deny[eacces]: [{calls}]\n"
        f'    when: filename match "{directory}/*"\n'
    )
    return policy


def _ports_policy(directory: Path) -> Path:
    policy = directory / "ports.yaml"
    policy.write_text(
        "default: permit\n"
        "rules:\n"
        "  - permit: connect\n"
        '    when: sockaddr match "inet-?127.0.0.1?:*"\n'
        "  - deny[eacces]: connect\n"
        '    when: sockaddr match "inet-*"\n'
    )
    return policy


def _registers(directory: Path) -> Row:
    policy = directory / "many.yaml"
    rules = "".join(
        f"  - deny[eperm]: ioctl\n    when: arg[1]:32 == {0x5500 + number}\n"
        for number in range(MANY_RULES)
    )
    policy.write_text(f"default: permit\nrules:\n{rules}")
    return Row(
        title=f"getppid, {MANY_RULES} rules",
        kind="getppid",
        name="-",
        policy=policy,
        register_only=True,
    )


def _build(directory: Path, policy: Path, files: int) -> Row:
    """Small C files, an object each, and an archive of all."""
    tree = directory / "permitted" / "tree"
    tree.mkdir()
    objects = " ".join(f"file{number}.o" for number in range(files))
    (tree / "Makefile").write_text(
        f"all.a: {objects}\n\tar rcs $@ {objects}\n%.o: %.c\n\tcc -O1 -c $< -o $@\n"
    )
    for number in range(files):
        (tree / f"file{number}.c").write_text(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
            f"int f{number}(int a) {{ return a + {number}; }}\n"
        )
    return Row(title=f"make -j2, {files} C files", kind="make", name=str(tree), policy=policy)


def clear(row: Row) -> None:
    """Make a build start from its sources again."""
    for product in (*Path(row.name).glob("*.o"), *Path(row.name).glob("*.a")):
        product.unlink()


def can_build() -> bool:
    """Whether this machine has what a build needs."""
    return all(shutil.which(tool) for tool in ("make", "cc", "ar"))
