"""Databases that are made of statements in files: sample data to try sources on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

__all__ = ["made_of"]


def made_of(file: Path, scripts: Iterable[str]) -> None:
    """Makes a SQLite file by these scripts, in their order; it must not exist yet."""
    with closing(sqlite3.connect(file)) as connection:
        for script in scripts:
            connection.executescript(script)
