"""The tree as the facts about it see it: tracked source files and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("enforcer", "harness")
EVERYWHERE = (*PACKAGES, "attacks", "scenarios", "tests", "ci", "docs")
TEXT = {".py", ".c", ".h", ".yaml", ".systrace", ".md", ".txt", ".tsv", ".toml", ".ini", ".html"}


def modules(package: str) -> tuple[Path, ...]:
    """Python files of a package, as paths relative to the root."""
    return tuple(path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py")))


def texts() -> Iterator[Path]:
    """Every text file of the project, as paths relative to the root."""
    for top in EVERYWHERE:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and (path.suffix in TEXT or path.parent.name == "ci"):
                yield path.relative_to(ROOT)
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and path.suffix in TEXT:
            yield path.relative_to(ROOT)


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(path: Path) -> frozenset[str]:
    """Top-level names of everything that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return frozenset(names)
