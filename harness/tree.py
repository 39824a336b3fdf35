"""Where attacks and scenarios are: the nearest directory upward that has both, else our own."""

from __future__ import annotations

from pathlib import Path

from harness import process

GIT_S = 10.0

OWN = Path(__file__).resolve().parent.parent


def root(start: Path | None = None) -> Path:
    """The directory that holds `attacks/` and `scenarios/`."""
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        if (directory / "attacks").is_dir() and (directory / "scenarios").is_dir():
            return directory
    return OWN


def revision(directory: Path, modules: str) -> str:
    """What stands in a tree, for those who read a report later: the revision where git knows it,
    and the digest of the modules that judge.
    """
    words = ["git", "-C", str(directory), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = process.run(words, timeout_s=GIT_S)
    except (FileNotFoundError, process.ProcessTimeout):
        return f"modules {modules}"
    described = found.stdout.strip() if found.status == 0 else ""
    return f"revision {described}, modules {modules}" if described else f"modules {modules}"
