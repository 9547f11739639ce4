"""A plug-in of pytest that makes sure that it is the compiled build which is tested."""

from __future__ import annotations

from importlib import import_module

import pytest

from tools.compile.sources import compilable

__all__ = ["pytest_configure"]


def pytest_configure() -> None:
    """Refuses to test anything else."""
    files = {module: str(import_module(module).__file__) for module in compilable()}
    plain = [module for module, file in files.items() if file.endswith(".py")]
    if plain:
        raise pytest.UsageError(f"not compiled: {', '.join(plain)}")
