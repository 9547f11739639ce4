"""In which dialect a path that leads nowhere is answered: that of its nearest neighbour."""

from __future__ import annotations

from collections.abc import Iterable

from dirigent.dialects.dialect import Dialect

__all__ = ["Faces"]


class Faces:
    """The dialects of all known paths."""

    def __init__(self, known: Iterable[tuple[str, Dialect]], usual: Dialect) -> None:
        self._known = [(_steps(path), dialect) for path, dialect in known]
        self._usual = usual

    def of(self, path: str) -> Dialect:
        """The dialect of the known path that shares most of its beginning; of several, the first."""
        steps, nearest, most = _steps(path), self._usual, 0
        for known, dialect in self._known:
            shared = next((at for at, (one, other) in enumerate(zip(steps, known, strict=False)) if one != other), None)
            if (shared := min(len(steps), len(known)) if shared is None else shared) > most:
                nearest, most = dialect, shared
        return nearest


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", "*")]
