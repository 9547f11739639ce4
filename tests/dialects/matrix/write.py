"""Writes the golden cells of the matrix anew: `python -m tests.dialects.matrix.write`. Read what has changed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.dialects.matrix.sending import sent
from tests.dialects.matrix.spoken import FOLDER, NAMES, Json, kept
from tests.dialects.matrix.telling import told

__all__ = ["features", "write"]


def features(folder: str, name: str) -> list[str]:
    """What can be asked, or answered, in this dialect; the rest has a reason in its place."""
    return [feature for feature, given in kept(folder, name).items() if not isinstance(given, str)]


def write() -> None:
    """Writes every cell."""
    for name in NAMES:
        _write("sent", name, {each: _row(sent, name, each) for each in features("asked", name)})
        _write("told", name, {each: _row(told, name, each) for each in features("answered", name)})


def _row(cell: Callable[[str, str, str], Json], name: str, feature: str) -> Json:
    return {other: cell(name, feature, other) for other in NAMES}


def _write(folder: str, name: str, cells: Json) -> None:
    place = FOLDER / folder / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(msgspec.json.format(msgspec.json.encode(cells), indent=1) + b"\n")


if __name__ == "__main__":
    write()
