"""Where attacks and scenarios are: in the tree that one works in, else in our own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from harness import process

GIT_S = 10.0

_PACKAGE = Path(__file__).resolve().parent
SHIPPED = _PACKAGE / "shipped"
"""What a wheel holds beside the programs."""
OWN = SHIPPED if SHIPPED.is_dir() else _PACKAGE.parent
"""The directory of our own `attacks/` and `scenarios/`: the clone's, else what was installed."""
SCENARIO = ".scenario.yaml"
"""How a scenario's file is called outside `scenarios/`."""
DEPTH = 3


def root(start: Path | None = None) -> Path:
    """The tree that `start` lies in: the nearest directory upward that has `attacks/`, and beside
    them scenarios or in them manifests; else `start` itself where scenario files lie below; else
    our own.
    """
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        attacks = directory / "attacks"
        if attacks.is_dir() and (
            (directory / "scenarios").is_dir()
            or any(attacks.glob("*/*.yaml"))
            or single_scenarios(directory)
        ):
            return directory
    return here if single_scenarios(here) else OWN


def single_scenarios(directory: Path) -> tuple[Path, ...]:
    """The scenario files in a directory and down to DEPTH levels below, hidden ones left out."""
    patterns = (f"{'[!.]*/' * depth}[!.]*{SCENARIO}" for depth in range(DEPTH + 1))
    return tuple(sorted(path for each in patterns for path in directory.glob(each)))


def revision(directory: Path, modules: str) -> str:
    """What stands in a tree, for those who read a report later: the revision where git knows it,
    and the digest of the modules that judge.
    """
    if directory == SHIPPED:
        return f"version {version('interposition-lab')}, modules {modules}"
    words = ["git", "-C", str(directory), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = process.run(words, timeout_s=GIT_S)
    except (FileNotFoundError, process.ProcessTimeout):
        return f"modules {modules}"
    described = found.stdout.strip() if found.status == 0 else ""
    return f"revision {described}, modules {modules}" if described else f"modules {modules}"
