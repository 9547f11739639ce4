"""The source of the package as the tests of the house read it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = [
    "MODULES",
    "PACKAGE",
    "ROOT",
    "imported_modules",
    "imported_names",
    "imports",
    "lives_in",
    "place",
    "tracked",
    "tree",
]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "dirigent"
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """Where a module stands in the house, as `room/file.py`."""
    return str(path.relative_to(PACKAGE))


def lives_in(path: Path, rooms: Iterable[str]) -> bool:
    """Whether a module is one of `rooms` or lies in one of them."""
    return any(place(path) == room or place(path).startswith(f"{room}/") for room in rooms)


@cache
def tree(path: Path) -> ast.Module:
    """The parsed module, always the same one."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """Every import statement of a module, wherever it hides."""
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported_modules(path: Path) -> set[str]:
    """The dotted names of the modules that a module imports or takes something out of."""
    plain = {alias.name for node in imports(path) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {source for source, _ in imported_names(path)}


def imported_names(path: Path) -> set[tuple[str, str]]:
    """What a module takes out of others, as (module, name)."""
    return {
        (node.module, alias.name)
        for node in imports(path)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


@cache
def tracked() -> list[Path]:
    """What git has or would take; outside a checkout, what lies in the folders that it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        folders = ("src", "tests", "docs", "tools", "benches", "examples")
        return [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [path for path in (ROOT / line for line in listed.stdout.splitlines()) if path.is_file()]
