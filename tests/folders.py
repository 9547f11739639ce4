"""What lies in folders in which somebody is at work: a file may go away between two looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["files_in"]


def files_in(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder with what it holds, in order; one that goes away meanwhile is left out."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    for file in sorted(found):
        if file.is_file():
            with suppress(FileNotFoundError):
                yield file, file.read_bytes()
