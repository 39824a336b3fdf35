"""The tree as the facts about it see it: tracked source files and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
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


def module_name(path: Path) -> str:
    """`enforcer/pin/__init__.py` is the module `enforcer.pin`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def dependencies(*, types: bool = True) -> Mapping[str, frozenset[str]]:
    """Every module of ours, and those of ours that it imports, wherever in it.

    With `types` also what is imported for these alone, which nobody imports at run time.
    """
    paths = {module_name(path): path for package in PACKAGES for path in modules(package)}
    return {
        name: frozenset(_ours(syntax(path), paths.keys(), types) - {name})
        for name, path in paths.items()
    }


def _ours(tree: ast.Module, known: Iterable[str], types: bool) -> set[str]:
    names = set(known)
    found: set[str] = set()
    for node in _nodes(tree, types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & names
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & names
            if inside - names:
                found.add(str(node.module))
    return found


def _nodes(node: ast.AST, types: bool) -> Iterator[ast.AST]:
    """All nodes; without `types` none of the branches that only type checkers take."""
    for child in ast.iter_child_nodes(node):
        if types or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _nodes(child, types)


def closure(roots: Iterable[str]) -> frozenset[str]:
    """All that must be there for these modules to be imported, the packages around them too."""
    graph = dependencies(types=False)
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            parents = [name[:place] for place, each in enumerate(name) if each == "."]
            waiting += [*graph[name], *parents]
    return frozenset(found)


def circles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Modules that import each other in a circle: the strongly connected parts (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        path.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            part = path[path.index(name) :]
            del path[path.index(name) :]
            if len(part) > 1:
                found.append(sorted(part))

    for name in graph:
        if name not in order:
            visit(name)
    return found
