"""Where attacks and scenarios are: the nearest directory upward that has both, else our own."""

from __future__ import annotations

from pathlib import Path

OWN = Path(__file__).resolve().parent.parent


def root(start: Path | None = None) -> Path:
    """The directory that holds `attacks/` and `scenarios/`."""
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        if (directory / "attacks").is_dir() and (directory / "scenarios").is_dir():
            return directory
    return OWN
