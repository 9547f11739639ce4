"""Which deployments have something that belongs to a conversation, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

__all__ = ["MemoryAffinity"]

_MOST = 100_000
_LONGEST = 86_400.0


class MemoryAffinity:
    """Affinity of this process (core.ports.Affinity): the marks of a day, 100,000 at most; the oldest make room."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._marks: OrderedDict[bytes, tuple[Sequence[str], float]] = OrderedDict()

    def keep(self, mark: bytes, names: Sequence[str]) -> None:
        """The last word on a mark counts."""
        self._marks[mark] = (names, monotonic())
        self._marks.move_to_end(mark)
        if len(self._marks) > self._most:
            self._marks.popitem(last=False)

    def kept(self, mark: bytes, within: float | None = None) -> Sequence[str]:
        """What was kept last."""
        names, at = self._marks.get(mark, ((), 0.0))
        return names if names and monotonic() - at <= (_LONGEST if within is None else within) else ()
