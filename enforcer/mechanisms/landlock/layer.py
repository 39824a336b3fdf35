"""One Landlock domain as a frozen value, and how it becomes a ruleset of the running kernel."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from enforcer.access.places import Shape
from enforcer.kernel.landlock import (
    RIGHTS_OF_FILES,
    FileRight,
    NetRight,
    Scope,
    create_ruleset,
    permit_beneath,
    permit_port,
)
from enforcer.kernel.openat2 import AT_FDCWD, RESOLVE_NO_SYMLINKS, openat2


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a domain handles (and so denies) and where it permits some of it.

    `places` are (path, shape, rights), `ports` (port, right).
    """

    files: FileRight
    net: NetRight
    scope: Scope
    places: tuple[tuple[str, str, FileRight], ...]
    ports: tuple[tuple[int, NetRight], ...]

    @property
    def is_empty(self) -> bool:
        """Whether it denies nothing."""
        return not (self.files or self.net or self.scope)

    def permits(self, path: str, right: FileRight) -> bool:
        """Whether some place that holds `path` grants the right."""
        return any(
            granted & right
            and (place == path or (shape != Shape.EXACT and _is_beneath(path, place)))
            for place, shape, granted in self.places
        )

    def describe(self) -> list[str]:
        """One line a fact."""
        lines = [f"  denies {_names(part)}" for part in (self.files, self.net, self.scope) if part]
        lines += [
            f"  permits {_names(rights)} {shape} {path}" for path, shape, rights in self.places
        ]
        return lines + [f"  permits {_names(right)} port {port}" for port, right in self.ports]


def layer_to_json(layer: Layer) -> dict[str, object]:
    """JSON values from which `layer_from_json` makes an equal layer."""
    return {
        "files": int(layer.files),
        "net": int(layer.net),
        "scope": int(layer.scope),
        "places": [[path, shape, int(rights)] for path, shape, rights in layer.places],
        "ports": [[port, int(right)] for port, right in layer.ports],
    }


def layer_from_json(data: object) -> Layer:
    """The layer. Raises ValueError."""
    if not isinstance(data, Mapping):
        raise ValueError(f"not a layer: {data!r}")
    return Layer(
        files=FileRight(int(data["files"])),
        net=NetRight(int(data["net"])),
        scope=Scope(int(data["scope"])),
        places=tuple(
            (str(path), str(shape), FileRight(int(rights)))
            for path, shape, rights in data["places"]
        ),
        ports=tuple((int(port), NetRight(int(right))) for port, right in data["ports"]),
    )


def build_ruleset(layer: Layer, command: str) -> tuple[int, list[str]]:
    """A ruleset's descriptor, and the places that could not be permitted, with the reason.

    A name that does not exist, or leads over a symbolic link (no canonical name does), permits
    nothing; so does the bare name of a directory. The file `command` is made readable, because
    execve takes that right too. Raises OSError.
    """
    ruleset = create_ruleset(layer.files, layer.net, layer.scope)
    left_out: list[str] = []
    for path, shape, rights in layer.places:
        fd = openat2(AT_FDCWD, os.fsencode(path), os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
        if fd < 0:
            left_out.append(f"{path}: {os.strerror(-fd)}")
            continue
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                if shape == Shape.EXACT:
                    left_out.append(f"{path}: a directory without what is in it")
                    continue
            elif shape == Shape.BENEATH:
                left_out.append(f"{path}: not a directory")
                continue
            else:
                rights &= RIGHTS_OF_FILES
            if rights:
                permit_beneath(ruleset, fd, rights)
        finally:
            os.close(fd)
    if layer.files & FileRight.READ_FILE:
        fd = os.open(command, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                permit_beneath(ruleset, fd, FileRight.READ_FILE)
        finally:
            os.close(fd)
    for port, right in layer.ports:
        permit_port(ruleset, port, right)
    return ruleset, left_out


def denied_ports(layers: Sequence[Layer], right: NetRight) -> Iterator[int]:
    """Ports below 1024 on which some layer denies the right, lowest first."""
    for port in range(1, 1024):
        for layer in layers:
            if layer.net & right and (port, right) not in layer.ports:
                yield port
                break


def _names(flags: FileRight | NetRight | Scope) -> str:
    return " ".join(str(flag.name) for flag in flags)


def _is_beneath(name: str, above: str) -> bool:
    return above == "/" or name.startswith(above + "/")
