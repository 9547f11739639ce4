"""The use cases that `dirigent demo` shows: each a folder with a configuration, sample data and what is done."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DEMOS", "folder_of"]

DEMOS = ("customer_service", "quotes", "development_plans", "sales_report", "documents")
"""Their names, in the order in which they are told about."""


def folder_of(name: str) -> Path:
    """Where a use case stands. Raises KeyError where there is none of this name."""
    if name not in DEMOS:
        raise KeyError(name)
    return Path(__file__).parent / name
