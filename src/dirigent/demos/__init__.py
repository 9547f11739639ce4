"""The use cases that `dirigent demo` shows: each a folder with a configuration, sample data and what is done."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DEMOS", "folder_of"]

_HERE = Path(__file__).parent
_FIRST = ("customer_service", "quotes", "development_plans", "sales_report", "documents")
_FOUND = {file.parent.name for file in _HERE.glob("*/demo.yaml")}
DEMOS = (*(name for name in _FIRST if name in _FOUND), *sorted(_FOUND.difference(_FIRST)))
"""Their names: those that most people ask for first."""


def folder_of(name: str) -> Path:
    """Where a use case stands. Raises KeyError where there is none of this name."""
    if name not in DEMOS:
        raise KeyError(name)
    return _HERE / name
