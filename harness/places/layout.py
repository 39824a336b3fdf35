"""Where the objects of a run are: known before it starts, so that policies can name them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.wideners import widener_of

# Directories of the file hierarchy standard that a private mount can cover. The first one that
# nothing of ours lives under is used.
COVERABLE = (Path("/srv"), Path("/media"), Path("/mnt"), Path("/opt"), Path("/tmp"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`open` holds everything that a policy permits, `shut` what it denies.

    Both have names of the same length, so that a race can flip one into the other in place.
    """

    root: Path
    port: int = 4001
    allowed_port: int = 4002

    @property
    def directory(self) -> Path:
        """The permitted scratch directory, and the target's working directory."""
        return self.root / "open"

    @property
    def denied_directory(self) -> Path:
        return self.root / "shut"

    @property
    def allowed(self) -> Path:
        return self.directory / "object"

    @property
    def denied(self) -> Path:
        return self.denied_directory / "object"

    @property
    def deputy(self) -> Path:
        """The socket of a helper that reads files for others."""
        return self.denied_directory / "deputy"

    @property
    def program(self) -> Path:
        """Where the attack program is put."""
        return self.root / "bin" / "program"

    @property
    def gate(self) -> Path:
        """Where the program is put that targets of others' sandboxes begin with."""
        return self.root / "bin" / "gate"

    @property
    def state(self) -> Path:
        """Where a backend may have files of its own."""
        return self.root / "state"

    def directories(self) -> tuple[Path, ...]:
        """Everything that a run makes below the root."""
        return (self.directory, self.denied_directory, self.program.parent, self.state)

    def placeholders(self) -> dict[str, str]:
        """What a scenario may write as `${name}`."""
        return {
            "allowed": str(self.allowed),
            "allowed_dir": str(self.directory),
            "allowed_port": str(self.allowed_port),
            "denied": str(self.denied),
            "denied_dir": str(self.denied_directory),
            "dir": str(self.directory),
            "port": str(self.port),
            "program": str(self.program),
            "root": str(self.root),
            "scratch": str(self.directory),
        }

    def to_json(self) -> dict[str, object]:
        return {"root": str(self.root), "port": self.port, "allowed_port": self.allowed_port}


def variant_words(variant: str) -> dict[str, str]:
    """What a program is told of its variant: `self+openat2` is `self`, gone the way `openat2`, and
    `default+filter` is `default` with that widener.
    """
    plain, _, how = variant.partition("+")
    key = "widener" if widener_of(variant) else "way"
    return {"variant": plain, key: how} if how else {"variant": plain}


PLACEHOLDERS = frozenset(Layout(root=Path("/")).placeholders())


def coverable_root() -> Path | None:
    """The directory that a run's private file system covers, None when there is none."""
    ours = (
        Path(__file__).resolve(),
        Path(sys.prefix).resolve(),
        Path(sys.base_prefix).resolve(),
        Path.cwd(),
    )
    for candidate in COVERABLE:
        if candidate.is_dir() and not any(path.is_relative_to(candidate) for path in ours):
            return candidate
    return None
